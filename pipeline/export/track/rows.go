package track

import (
	"context"
	"encoding/json"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/stage"
)

// eventRow is a row of export_events; ClickHouse fills in ingested_at.
type eventRow struct {
	WorkspaceID    string            `ch:"workspace_id"`
	ExportID       string            `ch:"export_id"`
	Name           string            `ch:"name"`
	Purpose        string            `ch:"purpose"`
	Source         string            `ch:"source"`
	AppID          string            `ch:"app_id"`
	Nodes          []string          `ch:"nodes"`
	Target         string            `ch:"target"`
	Format         string            `ch:"format"`
	RequestedBy    string            `ch:"requested_by"`
	RequestedAt    time.Time         `ch:"requested_at"`
	Status         string            `ch:"status"`
	PercentDone    float64           `ch:"percent_done"`
	RowsDone       uint64            `ch:"rows_done"`
	RowsPlanned    uint64            `ch:"rows_planned"`
	RowsUsed       uint64            `ch:"rows_used"`
	Vanished       uint64            `ch:"vanished"`
	Records        uint64            `ch:"records"`
	WindowsDone    uint64            `ch:"windows_done"`
	WindowsPlanned uint64            `ch:"windows_planned"`
	Fragments      uint64            `ch:"fragments"`
	Bytes          uint64            `ch:"bytes"`
	Dropped        map[string]uint64 `ch:"dropped"`
	ManifestURI    string            `ch:"manifest_uri"`
	ManifestSHA256 string            `ch:"manifest_sha256"`
	Watermark      *time.Time        `ch:"watermark"`
	LoadWith       string            `ch:"load_with"`
	Warnings       string            `ch:"warnings"`
	ErrorCode      string            `ch:"error_code"`
	ErrorMessage   string            `ch:"error_message"`
	ErrorRetryable bool              `ch:"error_retryable"`
	ErrorPointer   string            `ch:"error_pointer"`
	AcceptedAt     *time.Time        `ch:"accepted_at"`
	CompletedAt    *time.Time        `ch:"completed_at"`
	At             time.Time         `ch:"at"`
}

const insertEvents = `INSERT INTO export_events (
	workspace_id, export_id, name, purpose, source, app_id, nodes, target, format, requested_by, requested_at, status,
	percent_done, rows_done, rows_planned, rows_used, vanished, records, windows_done, windows_planned, fragments, bytes, dropped,
	manifest_uri, manifest_sha256, watermark, load_with, warnings, error_code, error_message,
	error_retryable, error_pointer, accepted_at, completed_at, at)`

// appendEvents inserts the events as one block. The driver's asynchronous inserts are off: they
// acknowledge by their own rules.
func appendEvents(ctx context.Context, conn driver.Conn, rows []row) error {
	ctx = chgo.Context(ctx, chgo.WithSettings(chgo.Settings{"async_insert": 0}))
	batch, err := conn.PrepareBatch(ctx, insertEvents)
	if err != nil {
		return err
	}
	defer batch.Close()
	for _, r := range rows {
		var e eventRow
		switch doc := r.event.(type) {
		case *export.Progress:
			e = progressRow(doc)
		case *export.Completion:
			e = completionRow(doc)
		}
		if err := batch.AppendStruct(&e); err != nil {
			return err
		}
	}
	return batch.Send()
}

func aboutRow(a *export.About) eventRow {
	return eventRow{
		WorkspaceID: a.WorkspaceID, ExportID: a.ExportID, Name: a.Name, Purpose: a.Purpose, Source: a.Source, AppID: a.AppID,
		Nodes: a.Nodes, Target: a.Target, Format: a.Format, RequestedBy: a.RequestedBy, RequestedAt: a.RequestedAt,
		Status: string(a.Status),
	}
}

func progressRow(p *export.Progress) eventRow {
	e := aboutRow(&p.About)
	e.PercentDone = p.PercentDone
	e.RowsDone, e.RowsPlanned = uint64(p.RowsDone), uint64(p.RowsPlanned)
	e.Records, e.Fragments, e.Bytes = uint64(p.Records), uint64(p.Fragments), uint64(p.Bytes)
	e.WindowsDone, e.WindowsPlanned = uint64(p.WindowsDone), uint64(p.WindowsPlanned)
	e.Dropped, e.At = counts(p.Dropped), p.At
	return e
}

// completionRow leaves 0 where the event says nothing: of an export that did not succeed, how far it was.
func completionRow(c *export.Completion) eventRow {
	e := aboutRow(&c.About)
	e.RowsPlanned, e.RowsUsed, e.Vanished = uint64(c.RowsPlanned), uint64(c.RowsUsed), uint64(c.Vanished)
	if c.Status == export.StatusSucceeded {
		e.PercentDone, e.RowsDone = 100, uint64(c.RowsPlanned)
	}
	e.Records, e.Fragments, e.Bytes = uint64(c.Records), uint64(c.Fragments), uint64(c.Bytes)
	e.Dropped = counts(c.Dropped)
	e.ManifestURI, e.ManifestSHA256, e.LoadWith = c.ManifestURI, c.ManifestSHA256, c.LoadWith
	e.Watermark, e.AcceptedAt, e.CompletedAt = optional(c.Watermark), optional(c.AcceptedAt), &c.CompletedAt
	warnings, _ := json.Marshal(c.Warnings)
	e.Warnings = string(warnings)
	if c.Error != nil {
		e.ErrorCode, e.ErrorMessage, e.ErrorRetryable, e.ErrorPointer = c.Error.Code, c.Error.Message, c.Error.Retryable, c.Error.Pointer
	}
	e.At = c.CompletedAt
	return e
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func newCounter(registry prometheus.Registerer) *prometheus.CounterVec {
	return stage.Register(registry, prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "millrace", Subsystem: Name, Name: "events_total", Help: "Progress and completion events, by outcome: stored or dead_letter.",
	}, []string{"outcome"}))
}

func counts(dropped map[string]int64) map[string]uint64 {
	out := make(map[string]uint64, len(dropped))
	for reason, n := range dropped {
		out[reason] = uint64(n)
	}
	return out
}
