package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/millrace/millrace/pipeline/clickhouse"
)

type exportsCommand struct {
	Ls exportsLs `cmd:"" help:"List the exports of a workspace, newest first."`
}

type exportsLs struct {
	workspaceFlag
	N    int  `short:"n" default:"50" help:"The newest N."`
	JSON bool `name:"json" help:"One JSON object a line, with every field."`
}

// Run lists exports as the view `exports` has them.
func (c exportsLs) Run(ctx context.Context, a *app) error {
	workspace, err := c.workspace(a.cfg)
	if err != nil {
		return err
	}
	conn, err := a.cfg.dsn.Open()
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx = chgo.Context(ctx, chgo.WithParameters(chgo.Parameters{"workspace": workspace, "n": fmt.Sprint(c.N)}),
		chgo.WithSettings(chgo.Settings{"date_time_output_format": "iso", "output_format_json_quote_64bit_integers": 0}))
	columns := "export_id, name, purpose, nodes, records, status, percent_done, requested_by, requested_at, error_message"
	if c.JSON {
		columns = "formatRowNoNewline('JSONEachRow', *)"
	}
	rows, err := conn.Query(ctx, "SELECT "+columns+" FROM exports WHERE workspace_id = {workspace:String} ORDER BY requested_at DESC, export_id LIMIT {n:UInt32}")
	if err != nil {
		return fmt.Errorf("list the exports: %w", clickhouse.Explain(err))
	}
	defer rows.Close()
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(w, "EXPORT\tNAME\tPURPOSE\tNODES\tRECORDS\tSTATUS\tCREATOR\tCREATED")
	}
	for rows.Next() {
		if c.JSON {
			var line string
			if err := rows.Scan(&line); err != nil {
				return err
			}
			fmt.Fprintln(a.stdout, line)
			continue
		}
		var id, name, purpose, status, creator, reason string
		var nodes []string
		var records uint64
		var percent float64
		var created time.Time
		if err := rows.Scan(&id, &name, &purpose, &nodes, &records, &status, &percent, &creator, &created, &reason); err != nil {
			return err
		}
		switch status {
		case "running":
			status = fmt.Sprintf("running %.0f%%", percent)
		case "failed":
			status += ": " + reason
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", id, printable(name), purpose, strings.Join(nodes, ", "), records, printable(status),
			printable(creator), created.UTC().Format(time.DateTime))
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("list the exports: %w", clickhouse.Explain(err))
	}
	return w.Flush()
}
