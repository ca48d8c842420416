package client

import (
	"context"
	"fmt"
	"strings"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/terminal"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/sinks/bucket"
)

// ExportsLs is the command line of millrace exports ls.
type ExportsLs struct {
	app.WorkspaceFlag
	N    int  `short:"n" default:"50" help:"Only the newest N."`
	JSON bool `name:"json" help:"One JSON object a line, with every field."`
}

// Run lists the exports that are recorded in ClickHouse.
func (c ExportsLs) Run(ctx context.Context, a *app.App) error {
	workspace, err := c.WorkspaceID(a.Config)
	if err != nil {
		return err
	}
	if c.N < 1 {
		return app.Usage("-n must be 1 or more")
	}
	conn, err := a.Config.DSN.Open()
	if err != nil {
		return err
	}
	defer conn.Close()
	page, err := live.Stored{Conn: conn}.List(ctx, live.Query{Workspace: workspace, Limit: c.N})
	if err != nil {
		return fmt.Errorf("list the exports: %w", err)
	}
	if c.JSON {
		return printStates(ctx, a, page.Exports)
	}
	if len(page.Exports) == 0 {
		_, err := fmt.Fprintf(a.Stdout, "No exports in workspace %s yet. File one:\n\n  millrace request --workspace %s "+
			"--source recipe "+
			"--app APP --purpose export_dataset --limit 1000 --watch\n", workspace, workspace)
		return err
	}
	_, err = fmt.Fprint(a.Stdout, exportsTable(page.Exports, terminal.Of(a.Stdout)))
	if err == nil && page.Next != "" {
		_, err = fmt.Fprintf(a.Stdout, "These are the newest %d; -n shows more.\n", c.N)
	}
	return err
}

// printStates prints exports as JSON. How to load one, and where its manifest is, are there if the bucket has
// the manifest.
func printStates(ctx context.Context, a *app.App, list []live.Export) error {
	b, err := bucket.Open(ctx, a.Config.BucketURL)
	if err == nil {
		defer b.Close()
	}
	for _, x := range list {
		if b == nil || files.Derive(ctx, b, &x.State) != nil {
			x.LoadWith, x.ManifestURI = "", "" // those of an event are none of ours
		}
		if err := a.PrintJSON(x); err != nil {
			return err
		}
	}
	return nil
}

// exportsTable returns the rows of a listing as they fit a screen.
func exportsTable(list []live.Export, s terminal.Screen) string {
	t := terminal.Table{Columns: []terminal.Column{
		{Title: "EXPORT"}, {Title: "NAME", Min: 12}, {Title: "PURPOSE"}, {Title: "NODES", Min: 8, Optional: 4},
		{Title: "RECORDS", Right: true}, {Title: "SIZE", Right: true, Optional: 3},
		{Title: "STATUS", Min: 13, Style: func(cell string) terminal.Style {
			status, _, _ := strings.Cut(strings.ReplaceAll(cell, ":", ""), " ")
			return terminal.StatusStyle(status)
		}},
		{Title: "CREATOR", Min: 8, Optional: 2}, {Title: "CREATED", Optional: 1},
	}}
	ids := shortIDs(list, s)
	for i := range list {
		x := &list[i].State
		status := string(x.Status)
		switch x.Status {
		case export.StatusRunning:
			status = fmt.Sprintf("running %.0f%%", x.PercentDone)
		case export.StatusFailed:
			status += ": " + x.ErrorCode
		}
		t.Add(ids[i], terminal.Shorten(printable(x.Name), 40), x.Purpose,
			terminal.Shorten(printable(strings.Join(x.Nodes, ", ")), 30), fmt.Sprint(x.Records), files.Size(x.Bytes),
			printable(status), terminal.Shorten(printable(x.RequestedBy), 32), s.Time(x.RequestedAt))
	}
	return t.On(s)
}

// plural writes "1 file", "2 files".
func plural(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}
