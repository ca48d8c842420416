package client

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/rivo/uniseg"

	"github.com/millrace/millrace/cmd/millrace/app"
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
	t := table{right: map[int]bool{4: true}, rows: [][]string{{"EXPORT", "NAME", "PURPOSE", "NODES", "RECORDS", "STATUS",
		"CREATOR", "CREATED"}}}
	for i := range page.Exports {
		t.rows = append(t.rows, exportCells(&page.Exports[i].State))
	}
	_, err = fmt.Fprint(a.Stdout, t.String())
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

// exportCells returns the cells of a row.
func exportCells(x *export.State) []string {
	status := string(x.Status)
	switch x.Status {
	case export.StatusRunning:
		status = fmt.Sprintf("running %.0f%%", x.PercentDone)
	case export.StatusFailed:
		status += ": " + x.ErrorCode
	}
	return []string{
		x.ExportID, shorten(printable(x.Name), 40), x.Purpose, shorten(printable(strings.Join(x.Nodes, ", ")), 30),
		fmt.Sprint(x.Records), printable(status), shorten(printable(x.RequestedBy), 32),
		x.RequestedAt.UTC().Format(time.DateTime),
	}
}

// table aligns cells by their width on a terminal. The width of a text may differ from its number
// of characters.
type table struct {
	rows  [][]string
	right map[int]bool // columns of numbers
}

func (t table) String() string {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], uniseg.StringWidth(cell))
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			space := strings.Repeat(" ", widths[i]-uniseg.StringWidth(cell))
			if i > 0 {
				line.WriteString("  ")
			}
			if t.right[i] {
				line.WriteString(space + cell)
			} else {
				line.WriteString(cell + space)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// shorten cuts a text so that it is at most width columns wide on a terminal.
func shorten(s string, width int) string {
	if uniseg.StringWidth(s) <= width {
		return s
	}
	var b strings.Builder
	used := 0
	for g := uniseg.NewGraphemes(s); g.Next() && used+g.Width() < width; used += g.Width() {
		b.WriteString(g.Str())
	}
	return b.String() + "…"
}

// plural writes "1 file", "2 files".
func plural(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}
