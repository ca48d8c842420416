package demo

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/client"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/kafka"
)

// exports are one request for each purpose, each with a target that suits the app.
var exports = []client.Request{
	{Name: "Knowledge answers", Source: "recipe", App: []string{"knowledge-answer"}, Purpose: export.ExportDataset,
		Format: export.Parquet},
	{Name: "Knowledge, by version", Source: "recipe", App: []string{"knowledge-answer"}, Purpose: export.RecipeEvaluation},
	{Name: "Retrieval", Source: "recipe", App: []string{"knowledge-answer"}, Purpose: export.NodeEvaluation,
		Node: []string{"retrieve"}},
	{Name: "Answer prompt", Source: "recipe", App: []string{"knowledge-answer"}, Purpose: export.NodeOptimization,
		Node: []string{"generate"}, Target: "dspy"},
	{Name: "Help desk chats", Source: "copilot", App: []string{"airline-helpdesk"}, Purpose: export.FineTuning,
		Split: map[string]float64{"validation": 0.1}},
}

// export files one export for each purpose, and then lists, views and verifies the exports as a
// user would. It prints the command of each step above the step's output.
func (c Command) export(ctx context.Context, a *app.App) error {
	inner := *a
	inner.Stdout = &indented{w: a.Stdout}
	step := func(title string, commands ...string) {
		fmt.Fprintf(a.Stdout, "\n%s\n\n", title)
		for _, command := range commands {
			fmt.Fprintf(a.Stdout, "  $ millrace %s\n", command)
		}
		fmt.Fprintln(a.Stdout)
	}
	requests := slices.Clone(exports)
	var commands []string
	for i := range requests {
		requests[i].Limit = maxRows
		commands = append(commands, requests[i].CommandLine())
	}
	step("File an export for each purpose, and watch them side by side", commands...)
	completions, err := fileAll(ctx, &inner, requests)
	if err != nil {
		return err
	}
	step("List the exports", "exports ls")
	if err := waitTracked(ctx, a, len(requests)); err != nil {
		return err
	}
	if err := (client.ExportsLs{N: 10}).Run(ctx, &inner); err != nil {
		return err
	}
	for _, completion := range completions {
		arg := client.ExportArg{ID: completion.ExportID}
		step("The first record of "+completion.Purpose+", made for "+completion.Target, "exports view "+completion.ExportID+
			" -n 1")
		if err := (client.ExportsView{ExportArg: arg, N: 1}).Run(ctx, &inner); err != nil {
			return err
		}
		if err := (client.ExportsVerify{ExportArg: arg}).Run(ctx, &inner); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.Stdout, "\nWhat to do with them. The files are in %s\n\n  $ export MILLRACE_BUCKET_URL=%s\n",
		filepath.Join(c.Dir, "bucket", filepath.FromSlash("exports/"+a.Config.DefaultWorkspace)), a.Config.BucketURL)
	for _, completion := range completions {
		fmt.Fprintf(a.Stdout, "\n  %s for %s, %d records:\n  $ %s\n", completion.Purpose, completion.Target,
			completion.Records, completion.LoadWith)
	}
	fmt.Fprintf(a.Stdout, "\n  Any of them as one file a split, to take along:\n  $ millrace exports download %s\n",
		completions[0].ExportID)
	return nil
}

// maxRows is the largest number of rows in an export of the demo.
const maxRows = 600

// fileAll files the exports, shows their progress side by side, and returns their completions in
// the order of the requests.
func fileAll(ctx context.Context, a *app.App, requests []client.Request) ([]*export.Completion, error) {
	producer, err := a.KafkaClient(kafka.ProducerOptions()...)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	ids, documents := make([]export.ID, len(requests)), make([][]byte, len(requests))
	for i := range requests {
		request, document, _, err := requests[i].Parse(a)
		if err != nil {
			return nil, err
		}
		ids[i], documents[i] = request.ID, document
	}
	f, err := client.Follow(ctx, a, false, ids...)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	door := client.ExportRequests(a, producer, "millrace/demo")
	for i := range documents {
		if err := door.File(ctx, ids[i], documents[i]); err != nil {
			return nil, err
		}
	}
	percent, completions := make([]float64, len(ids)), make([]*export.Completion, len(ids))
	show := func(id export.ID, done float64) {
		percent[slices.Index(ids, id)] = done
		for i, p := range percent {
			fmt.Fprintf(a.Stdout, "%s %3.0f%%  ", requests[i].Purpose, p)
		}
		fmt.Fprintln(a.Stdout)
	}
	err = f.Wait(ctx, func(s *export.State) error {
		if s.Status.Final() {
			completions[slices.Index(ids, s.ID)] = &export.Completion{State: *s}
			show(s.ID, 100)
		} else {
			show(s.ID, s.PercentDone)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, c := range completions {
		client.Verify(ctx, a, c)
		fmt.Fprintf(a.Stdout, "\n%s, %s\n%s", c.Name, c.Purpose, client.DescribeCompletion(c))
		if c.Status != export.StatusSucceeded {
			return nil, &app.ExitError{Code: app.ExitExportFailed, Err: client.DescribeFailure(c.Failure())}
		}
	}
	return completions, nil
}

// waitTracked waits until ClickHouse knows that the exports have ended. That is a moment after
// their completions were sent.
func waitTracked(ctx context.Context, a *app.App, exports int) error {
	conn, err := a.Config.DSN.Open()
	if err != nil {
		return err
	}
	defer conn.Close()
	return app.Poll(ctx, func() (bool, error) {
		page, err := live.Stored{Conn: conn}.List(ctx, live.Query{
			Workspace: a.Config.DefaultWorkspace, Status: []string{string(export.StatusSucceeded)}, Limit: exports,
		})
		return err == nil && len(page.Exports) >= exports, err
	})
}

// indented writes lines, each indented by two spaces.
type indented struct {
	w      io.Writer
	inside bool
}

func (o *indented) Write(b []byte) (int, error) {
	var out strings.Builder
	for _, c := range b {
		if !o.inside && c != '\n' {
			out.WriteString("  ")
		}
		o.inside = c != '\n'
		out.WriteByte(c)
	}
	if _, err := o.w.Write([]byte(out.String())); err != nil {
		return 0, err
	}
	return len(b), nil
}
