package client

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/dryrun"
	"github.com/millrace/millrace/pipeline/export/format"
)

// try prints what a request would export, without filing it.
func (c Request) try(ctx context.Context, a *app.App, r *export.Request) error {
	d, err := dryrun.Run(ctx, a.Config.DSN, r, int64(a.Config.ExportWindowRecords))
	if err != nil {
		return err
	}
	if c.JSON {
		return a.PrintJSON(d)
	}
	_, err = fmt.Fprint(a.Stdout, describeDryRun(r, d))
	return err
}

func describeDryRun(r *export.Request, d *dryrun.DryRun) string {
	var b strings.Builder
	what := "run"
	if len(r.Nodes) > 0 {
		what = "node run"
	}
	fmt.Fprintf(&b, "planned: %s\n", plural(d.Rows, what))
	if d.Read < d.Rows {
		fmt.Fprintf(&b, "looked at the most recent %d of them:\n", d.Read)
	}
	fmt.Fprintf(&b, "records: %d of %s", d.Records, plural(d.Used, what))
	if r.Split != nil {
		for _, split := range format.Splits {
			fmt.Fprintf(&b, ", %s %d", split, d.Splits[split])
		}
	}
	b.WriteByte('\n')
	for _, reason := range slices.Sorted(maps.Keys(d.Dropped)) {
		fmt.Fprintf(&b, "dropped: %d rows, %s\n", d.Dropped[reason], printable(reason))
	}
	for _, w := range d.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", printable(w.Code+": "+w.Message))
	}
	if len(d.Lines) > 0 {
		fmt.Fprintf(&b, "first records of %s:\n", printable(r.Target))
		for _, line := range d.Lines {
			b.WriteString(strings.TrimRight(line, "\r\n") + "\n")
		}
	}
	b.WriteString("nothing was written\n")
	return b.String()
}
