package client

import (
	"context"
	"fmt"
	"strings"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/rivo/uniseg"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
)

// ExportsLs is the command line of millrace exports ls.
type ExportsLs struct {
	app.WorkspaceFlag
	N    int  `short:"n" default:"50" help:"The newest N."`
	JSON bool `name:"json" help:"One JSON object a line, with every field."`
}

// Run lists exports as the view `exports` has them.
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
	if err := c.list(ctx, a, conn, workspace); err != nil {
		return fmt.Errorf("list the exports: %w", clickhouse.Explain(err))
	}
	return nil
}

func (c ExportsLs) list(ctx context.Context, a *app.App, conn driver.Conn, workspace string) error {
	ctx = chgo.Context(ctx, chgo.WithParameters(chgo.Parameters{"workspace": workspace, "n": fmt.Sprint(c.N + 1)}),
		chgo.WithSettings(chgo.Settings{"date_time_output_format": "iso", "output_format_json_quote_64bit_integers": 0}))
	columns := "export_id, name, purpose, nodes, records, status, percent_done, requested_by, requested_at, error_code"
	if c.JSON {
		columns = "formatRowNoNewline('JSONEachRow', *)"
	}
	rows, err := conn.Query(ctx, "SELECT "+columns+" FROM exports WHERE workspace_id = {workspace:String} ORDER BY requested_at DESC, export_id LIMIT {n:UInt32}")
	if err != nil {
		return err
	}
	defer rows.Close()
	t := table{right: map[int]bool{4: true}, rows: [][]string{{"EXPORT", "NAME", "PURPOSE", "NODES", "RECORDS", "STATUS", "CREATOR", "CREATED"}}}
	n, more := 0, false
	for rows.Next() {
		if more = n == c.N; more {
			break
		}
		n++
		if c.JSON {
			var line string
			if err := rows.Scan(&line); err != nil {
				return err
			}
			fmt.Fprintln(a.Stdout, line)
			continue
		}
		cells, err := exportCells(rows)
		if err != nil {
			return err
		}
		t.rows = append(t.rows, cells)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	switch {
	case c.JSON:
		return nil
	case n == 0:
		_, err := fmt.Fprintf(a.Stdout, "No exports in workspace %s yet. File one:\n\n  millrace request --workspace %s --source recipe --app APP --purpose export_dataset --limit 1000 --watch\n", workspace, workspace)
		return err
	}
	_, err = fmt.Fprint(a.Stdout, t.String())
	if err == nil && more {
		_, err = fmt.Fprintf(a.Stdout, "These are the newest %d; -n shows more.\n", c.N)
	}
	return err
}

// exportCells is a row of the list.
func exportCells(rows driver.Rows) ([]string, error) {
	var id, name, purpose, status, creator, code string
	var nodes []string
	var records uint64
	var percent float64
	var created time.Time
	if err := rows.Scan(&id, &name, &purpose, &nodes, &records, &status, &percent, &creator, &created, &code); err != nil {
		return nil, err
	}
	switch export.Status(status) {
	case export.StatusRunning:
		status = fmt.Sprintf("running %.0f%%", percent)
	case export.StatusFailed:
		status += ": " + code
	}
	return []string{
		id, shorten(printable(name), 40), purpose, shorten(printable(strings.Join(nodes, ", ")), 30), fmt.Sprint(records), printable(status),
		shorten(printable(creator), 32), created.UTC().Format(time.DateTime),
	}, nil
}

// table aligns cells by their width on a terminal, which is not their number of characters.
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

// shorten cuts a text to a width on a terminal.
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

// byteSize writes a number of bytes for people, in powers of 1000.
func byteSize(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	x, units := float64(n)/1000, "kMGTPE"
	for x >= 999.95 && len(units) > 1 {
		x, units = x/1000, units[1:]
	}
	return fmt.Sprintf("%.1f %cB", x, units[0])
}

// plural writes "1 file", "2 files".
func plural(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}
