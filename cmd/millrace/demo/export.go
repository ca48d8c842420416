package demo

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/client"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/kafka"
)

// demoExports are an export for each purpose, as a target that fits.
var exports = []client.Request{
	{Name: "Knowledge answers", Source: "recipe", App: "knowledge-answer", Purpose: export.ExportDataset, Format: export.Parquet},
	{Name: "Knowledge, by version", Source: "recipe", App: "knowledge-answer", Purpose: export.RecipeEvaluation},
	{Name: "Retrieval", Source: "recipe", App: "knowledge-answer", Purpose: export.NodeEvaluation, Node: []string{"retrieve"}},
	{Name: "Answer prompt", Source: "recipe", App: "knowledge-answer", Purpose: export.NodeOptimization, Node: []string{"generate"}, Target: "dspy"},
	{Name: "Help desk chats", Source: "copilot", App: "airline-helpdesk", Purpose: export.FineTuning, Split: map[string]float64{"validation": 0.1}},
}

// export files one export for each purpose, and does with them what a user would: each step under the command that does
// it.
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
		step("The first record of "+completion.Purpose+", made for "+completion.Target, "exports view "+completion.ExportID+" -n 1")
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
		fmt.Fprintf(a.Stdout, "\n  %s for %s, %d records:\n  $ %s\n", completion.Purpose, completion.Target, completion.Records, completion.LoadWith)
	}
	fmt.Fprintf(a.Stdout, "\n  Any of them as one file a split, to take along:\n  $ millrace exports download %s\n", completions[0].ExportID)
	return nil
}

// demoLimit is how many rows an export of the demo has at most.
const maxRows = 600

// fileAll asks for exports, shows how far they are, side by side, and returns their completions in the order of the
// requests.
func fileAll(ctx context.Context, a *app.App, requests []client.Request) ([]*export.Completion, error) {
	producer, err := a.KafkaClient(kafka.ProducerOptions()...)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	ids, events := make([]export.ID, len(requests)), make([]event.Event, len(requests))
	for i := range requests {
		request, data, _, err := requests[i].Parse(a)
		if err != nil {
			return nil, err
		}
		ids[i] = request.ID
		events[i] = event.Event{ID: uuid.NewString(), Source: "millrace/demo", Type: export.TypeRequested, Time: time.Now(), Data: data}
	}
	w, err := client.NewWatcher(ctx, a, true, ids...)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	for i := range events {
		if err := client.Publish(ctx, a, producer, events[i], ids[i]); err != nil {
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
	err = w.WaitAll(ctx, func(p *export.Progress) { show(p.ID, p.PercentDone) }, func(c *export.Completion) {
		completions[slices.Index(ids, c.ID)] = c
		show(c.ID, 100)
	})
	if err != nil {
		return nil, err
	}
	for _, c := range completions {
		fmt.Fprintf(a.Stdout, "\n%s, %s\n%s", c.Name, c.Purpose, client.DescribeCompletion(c))
		if c.Status != export.StatusSucceeded {
			return nil, &app.ExitError{Code: app.ExitExportFailed, Err: client.DescribeFailure(c.Failure())}
		}
	}
	return completions, nil
}

// waitTracked waits until the view exports knows how the exports ended, which is a moment after their events.
func waitTracked(ctx context.Context, a *app.App, exports int) error {
	conn, err := a.Config.DSN.Open()
	if err != nil {
		return err
	}
	defer conn.Close()
	return app.Poll(ctx, func() (bool, error) {
		var ended uint64
		err := conn.QueryRow(ctx, "SELECT count() FROM exports WHERE completed_at IS NOT NULL").Scan(&ended)
		return ended >= uint64(exports), err
	})
}

// indented writes lines with two spaces before each.
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
