package track

import (
	"context"
	"slices"
	"strings"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/export"
)

// appendEvents inserts the events as one block; ClickHouse fills in ingested_at. The driver's
// asynchronous inserts are off, because ClickHouse acknowledges them by rules of their own.
func appendEvents(ctx context.Context, conn driver.Conn, rows []row) error {
	ctx = chgo.Context(ctx, chgo.WithSettings(chgo.Settings{"async_insert": 0}))
	batch, err := conn.PrepareBatch(ctx, insertEvents())
	if err != nil {
		return err
	}
	defer batch.Close()
	for _, r := range rows {
		if r.state.Partial {
			continue
		}
		if err := batch.AppendStruct(r.state); err != nil {
			return err
		}
	}
	if batch.Rows() == 0 {
		return nil
	}
	return batch.Send()
}

// appendNotices inserts what the events tell of cancels and retries.
func appendNotices(ctx context.Context, conn driver.Conn, rows []row) error {
	ctx = chgo.Context(ctx, chgo.WithSettings(chgo.Settings{"async_insert": 0}))
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO export_notices (workspace_id, export_id, cancelling, "+
		"retrying_stage, retrying_code, retrying_message, retrying_since, retrying_attempts, at)")
	if err != nil {
		return err
	}
	defer batch.Close()
	for _, r := range rows {
		s, retrying := r.state, r.state.Retrying
		switch {
		case retrying == nil && !s.Cancelling:
			continue
		case retrying == nil:
			retrying = &export.Retrying{Since: s.UpdatedAt}
		}
		if err := batch.Append(s.WorkspaceID, s.ExportID, s.Cancelling, retrying.Stage, retrying.Code, retrying.Message,
			retrying.Since, uint64(max(0, retrying.Attempts)), s.UpdatedAt); err != nil {
			return err
		}
	}
	return batch.Send()
}

// hasNotices reports whether a row has something for export_notices.
func hasNotices(rows []row) bool {
	return slices.ContainsFunc(rows, func(r row) bool { return r.state.Cancelling || r.state.Retrying != nil })
}

func insertEvents() string {
	names := make([]string, len(export.StateColumns))
	for i, column := range export.StateColumns {
		names[i] = column.Name
	}
	return "INSERT INTO export_events (" + strings.Join(names, ", ") + ")"
}
