package plan

import (
	"bytes"
	"context"
	"errors"
	"math"

	"github.com/ClickHouse/ch-go"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/pipeline/stage"
	"github.com/millrace/millrace/sinks/fragment"
)

// DryRun is what an export would come to.
type DryRun struct {
	Rows     int64            `json:"rows_planned"`
	Read     int64            `json:"rows_read"` // of them, the most recent: as many as a window has at most
	Used     int64            `json:"rows_used"` // of those read
	Records  int64            `json:"records"`
	Splits   map[string]int64 `json:"splits"` // records
	Dropped  map[string]int64 `json:"dropped"`
	Warnings []export.Warning `json:"warnings"`
	// Lines are the first records as they would be written: of CSV below its header, and of JSON and Parquet as
	// JSON.
	Lines []string `json:"lines"`
}

// maxLines is how many records a dry run shows.
const maxLines = 3

// Try reads what a request selects, a window at most, and says what an export of it would come to. It writes nothing.
func Try(ctx context.Context, dsn *clickhouse.DSN, r *export.Request, windowRecords int64) (*DryRun, error) {
	p := &export.Plan{ID: r.ID, Request: r, Selection: r.Selection}
	d := &DryRun{Splits: map[string]int64{}, Dropped: map[string]int64{}, Warnings: []export.Warning{}, Lines: []string{}}
	err := stage.WithClickHouse(ctx, dsn, func(client *ch.Client) error {
		q := &queries{ctx: ctx, client: client, comment: "millrace dry run of a request of workspace " + r.WorkspaceID}
		size := r.WindowSize(windowRecords)
		err := fix(q, p, size)
		if err != nil {
			return err
		}
		if d.Rows, err = q.int(selection.NewSelection(r, p.Bounded()).Count(math.MaxInt64)); err != nil {
			return err
		}
		if d.Rows > size && (p.Selection.Limit == 0 || p.Selection.Limit > size) {
			p.Selection.Limit = size
		}
		return d.read(q, dsn, p)
	})
	if err != nil && !errors.As(err, new(*export.Error)) {
		err = clickhouse.Explain(err)
	}
	return d, err
}

func (d *DryRun) read(q *queries, dsn *clickhouse.DSN, p *export.Plan) error {
	r := p.Request
	warnings := map[string]int64{}
	out := &sampler{DryRun: d, warnings: warnings}
	encoder, err := format.NewEncoder(r.Purpose, r.Target, r.Format, export.NoCompression, p.Options, nil)
	if err != nil {
		return err
	}
	if r.Format == export.CSV {
		out.encoder = encoder
		if err := encoder.Open(&out.text); err != nil {
			return err
		}
	}
	stream, err := format.NewStream(r.Purpose, r.Target, p.Options, r.Shares(), out)
	if err != nil {
		return err
	}
	chosen := selection.NewSelection(r, p.Bounded())
	write := func(row *format.Row) error {
		d.Read++
		if err := stream.Row(row); err != nil {
			return &export.Error{Code: "format_failed", Message: err.Error()}
		}
		return nil
	}
	rows := func(ctx context.Context, fn func(*format.Row) error) error {
		_, err := selection.ReadRows(ctx, q.client, q.read(chosen.Rows()), fn)
		return err
	}
	if nodes := chosen.NodeRuns(); nodes.SQL == "" {
		err = rows(q.ctx, write)
	} else {
		err = stage.WithClickHouse(q.ctx, dsn, func(client *ch.Client) error {
			return selection.WithNodes(q.ctx, client, q.read(nodes), rows, write)
		})
	}
	if err == nil {
		err = stream.Close()
	}
	if err == nil && out.encoder != nil {
		err = out.encoder.Close()
		d.Lines = append(d.Lines, out.text.String())
	}
	d.Warnings = append(d.Warnings, p.Warnings...)
	d.Warnings = append(d.Warnings, export.RecordWarnings(r, d.Records, warnings)...)
	return err
}

// sampler counts what a stream gives, and keeps the first records.
type sampler struct {
	*DryRun
	warnings map[string]int64
	encoder  fragment.Encoder // of a format whose lines are not the records
	text     bytes.Buffer
}

// Record implements [format.Output].
func (s *sampler) Record(r *format.Record) error {
	s.Records++
	s.Used += r.Rows
	s.Splits[r.Split]++
	switch {
	case s.Records > maxLines:
		return nil
	case s.encoder != nil:
		return s.encoder.Append(r.JSON)
	}
	s.Lines = append(s.Lines, string(r.JSON))
	return nil
}

// Drop implements [format.Output].
func (s *sampler) Drop(reason string, rows int64) { s.Dropped[reason] += rows }

// Warn implements [format.Output].
func (s *sampler) Warn(code string) { s.warnings[code]++ }
