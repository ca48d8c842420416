package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"

	"github.com/google/uuid"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/jsonscan"
	"github.com/millrace/millrace/pipeline/kafka"
)

// Request is the command line of millrace request.
type Request struct {
	app.WorkspaceFlag
	File       string   `short:"f" name:"file" placeholder:"FILE|-" help:"The request's JSON; flags override its fields."`
	Name       string   `help:"A name for people."`
	Source     string   `help:"copilot or recipe."`
	App        []string `sep:"none" help:"Id of the copilot or recipe; may be repeated. Without it: all of the workspace, where the purpose allows it."`
	Purpose    string   `help:"export_dataset, recipe_evaluation, node_evaluation, node_optimization or fine_tuning; see millrace formats."`
	Limit      int64    `help:"Only the most recent N runs; with --node, the most recent N node runs of each node."`
	LimitRuns  int64    `help:"Only the most recent N runs; with --node, all node runs of the nodes in these runs."`
	Sample     int64    `help:"Only a sample of N runs: the same flags pick the same runs again. With --node, all node runs of the nodes in these runs."`
	SampleSeed int64    `name:"sample-seed" help:"Another seed picks other runs."`
	SampleBy   string   `name:"sample-by" help:"Sample evenly by version, rating, status or a key of metadata."`
	RunID      []string `name:"run-id" sep:"none" help:"Id of a run to export; may be repeated."`
	From       string   `help:"Start of the time window, RFC 3339, inclusive."`
	To         string   `help:"End of the time window, exclusive."`
	By         string   `help:"Column that the time window is about: started_at (default) or ingested_at."`
	Node       []string `sep:"none" help:"Id of a node, for node purposes; may be repeated."`
	FilterFlags
	Target      string             `help:"Tool that the records are shaped for; see millrace formats; default canonical, for fine_tuning openai_chat."`
	Format      string             `help:"jsonl, json, csv or parquet."`
	Compression string             `help:"none, gzip or zstd."`
	Split       map[string]float64 `help:"Shares of the splits, such as validation=0.1;test=0.1, and seed=7."`
	Option      map[string]string  `mapsep:"none" help:"Option of the target, NAME=VALUE, where VALUE is JSON or text; may be repeated."`
	Watch       bool               `help:"Show progress until the export ends."`
	Download    string             `placeholder:"DIR" type:"path" help:"Watch, and then download the files into DIR. With --watch, a recipe_evaluation is always downloaded, by default into a new folder named by the export's id."`
	DryRun      bool               `help:"File no request: print how many rows match, the first records, and what would be dropped."`
	JSON        bool               `name:"json" help:"Print the events as JSON, one a line."`
}

// Run files the request, and with --watch follows it to its end.
func (c Request) Run(ctx context.Context, a *app.App) error {
	_, err := c.run(ctx, a)
	return err
}

// run files the request and returns the id of the export.
func (c Request) run(ctx context.Context, a *app.App) (export.ID, error) {
	request, data, minted, err := c.Parse(a)
	if err != nil {
		return export.ID{}, err
	}
	if c.DryRun {
		return request.ID, c.try(ctx, a, request)
	}
	client, err := a.KafkaClient(kafka.ProducerOptions()...)
	if err != nil {
		return request.ID, err
	}
	defer client.Close()
	if err := a.RequireKafka(ctx, client); err != nil {
		return request.ID, err
	}
	watch := c.Watch || c.Download != ""
	var f *live.Follower
	if watch { // before the request is filed, so that no state is missed
		if f, err = Follow(ctx, a, !minted, request.ID); err != nil {
			return request.ID, err
		}
		defer f.Close()
	}
	if err := ExportRequests(a, client, "millrace/request").File(ctx, request.ID, data); err != nil {
		return request.ID, withTopicsHint(err)
	}
	switch {
	case !watch && c.JSON:
		return request.ID, a.PrintJSON(request.ID)
	case !watch:
		_, err := fmt.Fprintln(a.Stdout, request.ExportID)
		return request.ID, err
	case !c.JSON:
		fmt.Fprintf(a.Stdout, "export %s\n", request.ExportID)
	}
	completion, err := c.follow(ctx, a, f)
	if err == nil && c.downloads(request) {
		err = c.download(ctx, a, completion)
	}
	if err == nil && completion.Records == 0 {
		err = &app.ExitError{Code: app.ExitNoRecords}
	}
	return request.ID, err
}

// Parse returns the checked request, its JSON, and whether the command made the export's id because
// the request had none.
func (c Request) Parse(a *app.App) (request *export.Request, data []byte, minted bool, err error) {
	document, err := c.document(a)
	if err != nil {
		return nil, nil, false, err
	}
	if minted = document["export_id"] == nil; minted {
		document["export_id"] = uuid.Must(uuid.NewV7()).String()
	}
	if data, err = json.Marshal(document); err != nil {
		return nil, nil, false, err
	}
	if request, err = export.ParseRequest(data); err != nil {
		err = c.explain(err)
	}
	return request, data, minted, err
}

// downloads reports whether to download the files. A recipe evaluation that is watched is always
// downloaded, because people read it at once.
func (c Request) downloads(r *export.Request) bool {
	return c.Download != "" || r.Purpose == export.RecipeEvaluation
}

func (c Request) download(ctx context.Context, a *app.App, completion *export.Completion) error {
	out := a.Stdout
	if c.JSON { // standard output carries the events
		out = a.Stderr
	}
	if completion.Fragments == 0 {
		_, err := fmt.Fprintln(out, "nothing to download: the export has no records")
		return err
	}
	return download(ctx, a, completion.ID, c.Download, files.DownloadOptions{}, out)
}

// document returns the request's JSON: the fields of the file, overridden by the flags.
func (c Request) document(a *app.App) (map[string]any, error) {
	document := map[string]any{}
	if c.File != "" {
		text, err := readRequest(a, c.File)
		if err != nil {
			return nil, err
		}
		d := json.NewDecoder(strings.NewReader(string(text)))
		d.UseNumber()
		if err := d.Decode(&document); err != nil {
			return nil, app.Usage("%s is not a JSON object: %w", c.File, err)
		}
	}
	if document["workspace_id"] == nil || c.Workspace != "" {
		workspace, err := c.WorkspaceID(a.Config)
		if err != nil {
			return nil, err
		}
		document["workspace_id"] = workspace
	}
	set := func(key, value string) {
		if value != "" {
			document[key] = value
		}
	}
	set("name", c.Name)
	set("source", c.Source)
	set("purpose", c.Purpose)
	set("target", c.Target)
	set("format", c.Format)
	set("compression", c.Compression)
	if document["requested_by"] == nil {
		set("requested_by", user())
	}
	if len(c.App) > 0 {
		document["app_id"] = export.Apps(c.App)
	}
	if len(c.Node) > 0 {
		document["nodes"] = c.Node
	}
	if len(c.Split) > 0 {
		document["split"] = c.Split
	}
	if selection := c.selection(); len(selection) > 0 {
		document["selection"] = selection
	}
	filters, err := c.filters()
	if err != nil {
		return nil, err
	}
	overlay(document, "filters", filters)
	overlay(document, "options", c.options())
	return document, nil
}

// maxRequest is the size of a request in bytes, as over HTTP.
const maxRequest = 4 << 20

func readRequest(a *app.App, name string) ([]byte, error) {
	in := a.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	document, err := io.ReadAll(io.LimitReader(in, maxRequest+1))
	if err == nil && len(document) > maxRequest {
		err = app.Usage("%s is not a request: a request has at most %d MiB", name, maxRequest>>20)
	}
	return jsonscan.TrimByteOrderMark(document), err
}

// selection returns the selection of the flags. It replaces the file's selection as a whole, since
// a mix of both would be neither.
func (c Request) selection() map[string]any {
	selection := map[string]any{}
	if c.Limit != 0 {
		selection["limit"] = c.Limit
	}
	if c.LimitRuns != 0 {
		selection["limit_runs"] = c.LimitRuns
	}
	sample := map[string]any{}
	if c.Sample != 0 {
		sample["size"] = c.Sample
	}
	if c.SampleSeed != 0 {
		sample["seed"] = c.SampleSeed
	}
	if c.SampleBy != "" {
		sample["by"] = c.SampleBy
	}
	if len(sample) > 0 {
		selection["sample"] = sample
	}
	if len(c.RunID) > 0 {
		selection["run_ids"] = c.RunID
	}
	window := map[string]any{}
	for key, value := range map[string]string{"from": c.From, "to": c.To, "by": c.By} {
		if value != "" {
			window[key] = value
		}
	}
	if len(window) > 0 {
		selection["window"] = window
	}
	return selection
}

func (c Request) options() map[string]any {
	options := map[string]any{}
	for key, text := range c.Option {
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			value = text
		}
		options[key] = value
	}
	return options
}

// overlay sets fields in an object of the document, and creates the object if it is missing.
func overlay(document map[string]any, key string, fields map[string]any) {
	if len(fields) == 0 {
		return
	}
	object, ok := document[key].(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	maps.Copy(object, fields)
	document[key] = object
}

// CommandLine returns the request as a user would type it.
func (c *Request) CommandLine() string {
	line := fmt.Sprintf(`request --source %s --app %s --purpose %s --limit %d --name "%s"`, c.Source, c.App, c.Purpose,
		c.Limit, c.Name)
	for _, node := range c.Node {
		line += " --node " + node
	}
	for flag, value := range map[string]string{"target": c.Target, "format": c.Format} {
		if value != "" {
			line += " --" + flag + " " + value
		}
	}
	for split, share := range c.Split {
		line += fmt.Sprintf(" --split %s=%g", split, share)
	}
	return line
}
