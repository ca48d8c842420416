package track

import (
	"context"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
)

// appendEvents inserts the events as one block; ClickHouse fills in ingested_at.
func appendEvents(ctx context.Context, conn driver.Conn, rows []row) error {
	batch, err := conn.PrepareBatch(clickhouse.Inserting(ctx), insertEvents())
	if err != nil {
		return err
	}
	defer batch.Close()
	for _, r := range rows {
		if r.state == nil || r.state.Partial {
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
	batch, err := conn.PrepareBatch(clickhouse.Inserting(ctx), "INSERT INTO export_notices (workspace_id, export_id, "+
		"cancelling, retrying_stage, retrying_code, retrying_message, retrying_since, retrying_attempts, at)")
	if err != nil {
		return err
	}
	defer batch.Close()
	for _, r := range rows {
		s := r.state
		if s == nil {
			continue
		}
		retrying := s.Retrying
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
	return slices.ContainsFunc(rows, func(r row) bool {
		return r.state != nil && (r.state.Cancelling || r.state.Retrying != nil)
	})
}

// entriesOf returns the entries of the trail.
func entriesOf(rows []row) (entries []*audit.Entry) {
	for _, r := range rows {
		if r.entry != nil {
			entries = append(entries, r.entry)
		}
	}
	return entries
}

func insertEvents() string {
	names := make([]string, len(export.StateColumns))
	for i, column := range export.StateColumns {
		names[i] = column.Name
	}
	return "INSERT INTO export_events (" + strings.Join(names, ", ") + ")"
}
