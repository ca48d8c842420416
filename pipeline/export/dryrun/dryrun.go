// Package dryrun finds out what a request would come to: for the API, the command line and the
// pages. It reads, and writes nothing.
package dryrun

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"

	"github.com/ClickHouse/ch-go"

	"github.com/millrace/millrace/pipeline/budget"
	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/sinks/fragment"
)

// DryRun is what an export would come to.
type DryRun struct {
	Rows     int64            `json:"rows_planned"`
	Read     int64            `json:"rows_read"` // the most recent of the planned rows, one window at most
	Used     int64            `json:"rows_used"` // of the rows read
	Records  int64            `json:"records"`
	Splits   map[string]int64 `json:"splits"` // records
	Dropped  map[string]int64 `json:"dropped"`
	Warnings []export.Warning `json:"warnings"`
	// Lines are the first records as the export would write them: CSV with its header, JSON and
	// Parquet as JSON.
	Lines []string `json:"lines"`
	// Shown are the records of Lines as JSON, for pages.
	Shown []json.RawMessage `json:"-"`
}

// maxLines is how many records a dry run shows.
const maxLines = 3

// Query is the name of the queries of a dry run in metrics.
const Query = "dry_run"

// Run reads the rows that a request selects, one window at most, and returns what an export of the
// request would come to. It returns an *export.Error where the rows cannot be formatted. What it takes
// in memory it takes from the [budget.Budget.Scope] of ctx.
func Run(ctx context.Context, dsn *clickhouse.DSN, r *export.Request, windowRecords int64) (*DryRun, error) {
	var d *DryRun
	var err error
	for rows := selection.BlockRows(0); ; rows = rows.Fewer() {
		if err := budget.Hold(ctx, rows.Memory()); err != nil {
			return nil, err
		}
		d = &DryRun{Splits: map[string]int64{}, Dropped: map[string]int64{}, Warnings: []export.Warning{}, Lines: []string{}}
		err = dsn.Timer().Time(ctx, Query, func() error { return d.run(ctx, dsn, r, r.WindowSize(windowRecords), rows) })
		if !errors.Is(err, selection.ErrWide) || rows.Wide() {
			break
		}
	}
	if err != nil && !errors.As(err, new(*export.Error)) {
		err = clickhouse.Explain(err)
	}
	return d, err
}

func (d *DryRun) run(ctx context.Context, dsn *clickhouse.DSN, r *export.Request, size int64,
	rows selection.BlockRows) error {
	return dsn.With(ctx, func(client *ch.Client) error { return d.runOn(ctx, client, dsn, r, size, rows) })
}

func (d *DryRun) runOn(ctx context.Context, client *ch.Client, dsn *clickhouse.DSN, r *export.Request, size int64,
	rows selection.BlockRows) error {
	p := &export.Plan{ID: r.ID, Request: r, Selection: r.Selection}
	reader := &selection.Reader{Client: client, Comment: "millrace dry run of a request of workspace " + r.WorkspaceID,
		BlockRows: rows}
	if err := selection.Clamp(ctx, reader, p); err != nil {
		return err
	}
	return dsn.Through(ctx, selection.Tables, func(pins []ch.Setting) error {
		reader.Pins = pins
		return d.try(ctx, dsn, reader, p, size)
	})
}

// try counts the rows, and reads one window of them at most.
func (d *DryRun) try(ctx context.Context, dsn *clickhouse.DSN, reader *selection.Reader, p *export.Plan,
	size int64) (err error) {
	r := p.Request
	if err := selection.Resolve(ctx, reader, p, size); err != nil {
		return err
	}
	if d.Rows, err = selection.CountRows(ctx, reader, p, math.MaxInt64); err != nil {
		return err
	}
	unknown, err := selection.UnknownNames(ctx, reader, r, d.Rows)
	if err != nil {
		return err
	}
	p.Warnings = append(p.Warnings, unknown...)
	each := max(1, size/int64(max(1, len(r.Nodes)))) // the limit counts the rows of each node
	if d.Rows > size && (p.Selection.Limit == 0 || p.Selection.Limit > each) {
		p.Selection.Limit = each
		if err := selection.ResolveSince(ctx, reader, p, size); err != nil {
			return err
		}
	}
	out, err := newSampler(d, p)
	if err != nil {
		return err
	}
	p.Rows = min(d.Rows, size)
	if err := d.read(ctx, dsn, reader, p, out); err != nil {
		return err
	}
	return out.close(p)
}

// read reads the rows of the selection into the sampler.
func (d *DryRun) read(ctx context.Context, dsn *clickhouse.DSN, reader *selection.Reader, p *export.Plan,
	out *sampler) error {
	r := p.Request
	stream, err := targets.NewStream(r.Purpose, r.Target, p.Options, r.Shares(), out)
	if err != nil {
		return err
	}
	chosen := selection.Of(p)
	write := func(row *record.Row) error {
		d.Read++
		if err := stream.Row(row); err != nil {
			return &export.Error{Code: export.FormatFailed, Message: err.Error()}
		}
		return nil
	}
	rows := func(ctx context.Context, fn func(*record.Row) error) error {
		return dsn.With(ctx, func(keys *ch.Client) error { // rows and their feedback are read at the same time
			window := selection.WindowReader{Keys: keys, Runs: reader.Client, Settings: reader.Settings()}
			_, err := window.ReadSelection(ctx, chosen, fn)
			return err
		})
	}
	nodes := chosen.NodeRuns()
	if nodes.SQL == "" {
		if err := rows(ctx, write); err != nil {
			return err
		}
		return stream.Close()
	}
	err = dsn.With(ctx, func(client *ch.Client) error { // node runs are read beside their runs
		return selection.WithNodes(ctx, client, reader.LimitedRows(nodes), rows, write)
	})
	if err != nil {
		return err
	}
	return stream.Close()
}

// sampler counts what a stream writes, and keeps the first records.
type sampler struct {
	*DryRun
	tally   export.Tally     // of the warnings and the records of split train
	encoder fragment.Encoder // of CSV, whose lines are not the records
	text    bytes.Buffer
}

func newSampler(d *DryRun, p *export.Plan) (*sampler, error) {
	r := p.Request
	s := &sampler{DryRun: d, tally: export.Tally{Labels: map[string]int64{}, Warnings: map[string]int64{}}}
	encoder, err := targets.NewEncoder(r.Purpose, r.Target, r.Format, export.NoCompression, p.Options, nil)
	if err != nil || r.Format != export.CSV {
		return s, err
	}
	s.encoder = encoder
	return s, encoder.Open(&s.text)
}

// close ends the text of CSV and adds the warnings.
func (s *sampler) close(p *export.Plan) error {
	if s.encoder != nil {
		if err := s.encoder.Close(); err != nil {
			return err
		}
		s.Lines = append(s.Lines, s.text.String())
	}
	s.Warnings = append(s.Warnings, p.Warnings...)
	s.Warnings = append(s.Warnings, export.RecordWarnings(p.Request, &s.tally)...)
	return nil
}

// Record implements [format.Output].
func (s *sampler) Record(r *format.Record) error {
	s.Records++
	s.Used += r.Rows
	s.tally.Records++
	s.Splits[r.Split]++
	if r.Split == format.Train {
		s.tally.Train++
		if r.Label != "" {
			s.tally.Labels[r.Label]++
		}
	}
	if s.Records > maxLines {
		return nil
	}
	s.Shown = append(s.Shown, bytes.Clone(r.JSON))
	if s.encoder != nil {
		return s.encoder.Append(r.JSON)
	}
	s.Lines = append(s.Lines, string(r.JSON))
	return nil
}

// Drop implements [format.Output].
func (s *sampler) Drop(reason string, rows int64) { s.Dropped[reason] += rows }

// Warn implements [format.Output].
func (s *sampler) Warn(code string, run []byte) { s.tally.Warn(code, run) }
