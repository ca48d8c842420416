package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
)

type requestCommand struct {
	workspaceFlag
	File        string             `short:"f" name:"file" placeholder:"FILE|-" help:"The request's JSON; flags override its fields."`
	Name        string             `help:"A name for people."`
	Source      string             `help:"copilot or recipe."`
	App         string             `help:"Id of the copilot or recipe."`
	Purpose     string             `help:"export_dataset, recipe_evaluation, node_evaluation, node_optimization or fine_tuning."`
	Limit       int64              `help:"The most recent N."`
	RunID       []string           `name:"run-id" sep:"none" help:"These runs; may be repeated."`
	From        string             `help:"Start of the time window, RFC 3339, inclusive."`
	To          string             `help:"End of the time window, exclusive."`
	By          string             `help:"Time of the window: started_at (default) or ingested_at."`
	Node        []string           `sep:"none" help:"Node of a node purpose; may be repeated."`
	AppVersion  []string           `name:"version" sep:"none" help:"Only these app versions; may be repeated."`
	Status      []string           `sep:"none" help:"Only these statuses; may be repeated."`
	Rating      string             `help:"Only runs with this rating: thumbsUp or thumbsDown."`
	MinScore    *float64           `name:"min-score" help:"Only runs with at least this score."`
	Target      string             `help:"Tool whose shape the records get; default canonical."`
	Format      string             `help:"jsonl, json, csv or parquet."`
	Compression string             `help:"none, gzip or zstd."`
	Split       map[string]float64 `help:"Shares of the splits, such as validation=0.1;test=0.1."`
	Option      map[string]string  `mapsep:"none" help:"Option of the target, k=v, v is JSON or text; may be repeated."`
	Watch       bool               `help:"Show progress until the export ends."`
	JSON        bool               `name:"json" help:"Print the events as JSON, one a line."`
}

// Run files the request, and with --watch follows it to its end.
func (c requestCommand) Run(ctx context.Context, a *app) error {
	document, err := c.document(a)
	if err != nil {
		return err
	}
	minted := document["export_id"] == nil
	if minted {
		document["export_id"] = uuid.Must(uuid.NewV7()).String()
	}
	data, err := json.Marshal(document)
	if err != nil {
		return err
	}
	request, err := export.ParseRequest(data)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("the request is not valid:\n%w", err)}
	}
	client, err := a.kafkaClient(producerOptions()...)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := a.requireKafka(ctx, client); err != nil {
		return err
	}
	var w *watcher
	if c.Watch {
		if w, err = a.watch(ctx, request.ID, minted); err != nil {
			return err
		}
		defer w.close()
	}
	if err := a.fileRequest(ctx, client, request.ID, data); err != nil {
		return err
	}
	if !c.Watch {
		if c.JSON {
			return json.NewEncoder(a.stdout).Encode(request.ID)
		}
		_, err := fmt.Fprintln(a.stdout, request.ExportID)
		return err
	}
	if !c.JSON {
		fmt.Fprintf(a.stdout, "export %s\n", request.ExportID)
	}
	return c.follow(ctx, a, w)
}

// fileRequest publishes a request, as any other producer would.
func (a *app) fileRequest(ctx context.Context, client *kgo.Client, id export.ID, data []byte) error {
	e := event.Event{ID: uuid.NewString(), Source: "millrace/request", Type: export.TypeRequested, Time: time.Now(), Data: data}
	topic := a.cfg.KafkaTopicPrefix + event.TopicExportRequests
	if err := client.ProduceSync(ctx, e.Record(topic, id.Key())).FirstErr(); err != nil {
		return fmt.Errorf("write to topic %s: %w; `millrace topics` creates the topics", topic, err)
	}
	return nil
}

// document is the request's JSON: the file's, with the flags over it.
func (c requestCommand) document(a *app) (map[string]any, error) {
	document := map[string]any{}
	if c.File != "" {
		text, err := a.readRequest(c.File)
		if err != nil {
			return nil, err
		}
		d := json.NewDecoder(strings.NewReader(string(text)))
		d.UseNumber()
		if err := d.Decode(&document); err != nil {
			return nil, usage("%s is not a JSON object: %w", c.File, err)
		}
	}
	if document["workspace_id"] == nil || c.Workspace != "" {
		workspace, err := c.workspace(a.cfg)
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
	set("app_id", c.App)
	set("purpose", c.Purpose)
	set("target", c.Target)
	set("format", c.Format)
	set("compression", c.Compression)
	if document["requested_by"] == nil {
		set("requested_by", os.Getenv("USER"))
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
	overlay(document, "filters", c.filters())
	overlay(document, "options", c.options())
	return document, nil
}

func (a *app) readRequest(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(a.stdin)
	}
	return os.ReadFile(name)
}

// selection replaces the file's as a whole: half of one and half of another would be neither.
func (c requestCommand) selection() map[string]any {
	selection := map[string]any{}
	if c.Limit != 0 {
		selection["limit"] = c.Limit
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

func (c requestCommand) filters() map[string]any {
	filters := map[string]any{}
	if len(c.AppVersion) > 0 {
		filters["app_versions"] = c.AppVersion
	}
	if len(c.Status) > 0 {
		filters["statuses"] = c.Status
	}
	if c.Rating != "" {
		filters["rating"] = c.Rating
	}
	if c.MinScore != nil {
		filters["min_score"] = *c.MinScore
	}
	return filters
}

func (c requestCommand) options() map[string]any {
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

// overlay lays fields over an object of the document.
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

// follow shows the progress of an export, and how it ended.
func (c requestCommand) follow(ctx context.Context, a *app, w *watcher) error {
	bar := a.progress("export", -1)
	out := json.NewEncoder(a.stdout)
	completion, err := w.wait(ctx, func(p *export.Progress) {
		switch {
		case c.JSON:
			out.Encode(p) //nolint:errcheck // the completion's is checked
		case bar.bar != nil:
			bar.total(p.RowsPlanned)
			bar.set(p.RowsDone)
		default:
			fmt.Fprintln(a.stdout, describeProgress(p))
		}
	})
	bar.finish()
	if err != nil {
		if ctx.Err() != nil {
			err = errors.New("stopped watching; the export goes on")
		}
		return err
	}
	if c.JSON {
		err = out.Encode(completion)
	} else {
		_, err = fmt.Fprint(a.stdout, describeCompletion(completion))
	}
	if err != nil {
		return err
	}
	switch completion.Status {
	case export.StatusFailed:
		return &exitError{exitExportFailed, describeFailure(completion.Error)}
	case export.StatusCancelled:
		return &exitError{code: exitCancelled}
	}
	return nil
}

func describeFailure(e *export.Error) error {
	if e == nil {
		return errors.New("the export failed")
	}
	if e.Pointer != "" {
		return fmt.Errorf("the export failed: %s: %w", e.Pointer, e)
	}
	return fmt.Errorf("the export failed: %w", e)
}

func describeProgress(p *export.Progress) string {
	return fmt.Sprintf("%s %.0f%%: %d of %d rows, %d records in %d files", p.Status, p.PercentDone, p.RowsDone, p.RowsPlanned, p.Records, p.Fragments)
}

func describeCompletion(c *export.Completion) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d records in %d files, %d bytes\n", c.Status, c.Records, c.Fragments, c.Bytes)
	for reason, rows := range c.Dropped {
		fmt.Fprintf(&b, "dropped: %d rows, %s\n", rows, reason)
	}
	for _, warning := range c.Warnings {
		fmt.Fprintf(&b, "warning: %s: %s\n", warning.Code, warning.Message)
	}
	if c.ManifestURI != "" {
		fmt.Fprintf(&b, "manifest: %s\n", c.ManifestURI)
	}
	if c.LoadWith != "" {
		fmt.Fprintf(&b, "load it with: %s\n", c.LoadWith)
	}
	return b.String()
}
