package audit

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
)

// Query is the name of the query of a trail in metrics.
const Query = "audit"

// readTimeout bounds one query.
const readTimeout = 10 * time.Second

// columns are the columns of table audit that Entry has.
var columns = func() string {
	var names []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Entry]()) {
		names = append(names, f.Tag.Get("ch"))
	}
	return strings.Join(names, ", ")
}()

// Insert stores entries as one block.
func Insert(ctx context.Context, conn driver.Conn, entries []*Entry) error {
	batch, err := conn.PrepareBatch(clickhouse.Inserting(ctx), "INSERT INTO audit ("+columns+")")
	if err != nil {
		return err
	}
	defer batch.Close()
	for _, e := range entries {
		if err := batch.AppendStruct(e); err != nil {
			return err
		}
	}
	return batch.Send()
}

// Stored reads the trail that track has written to ClickHouse.
type Stored struct {
	Conn  driver.Conn
	Timer *clickhouse.Timer // measures the queries; may be nil
}

func ofExport(id export.ID, limit int) clickhouse.Query {
	var b clickhouse.Binder
	return b.Query("SELECT " + columns + " FROM audit WHERE workspace_id = " + b.ID("workspace", id.WorkspaceID) +
		" AND export_id = " + b.ID("export", id.ExportID) +
		"\nORDER BY at DESC, id DESC LIMIT 1 BY id LIMIT " + b.Count("limit", int64(limit)))
}

// OfExport returns the newest entries about an export, the newest first.
func (s Stored) OfExport(ctx context.Context, id export.ID, limit int) (entries []Entry, err error) {
	end := s.Timer.Start(ctx, Query)
	defer func() { end(err) }()
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	q := ofExport(id, limit)
	entries = []Entry{}
	if err := s.Conn.Select(q.Context(ctx), &entries, q.SQL); err != nil {
		return nil, fmt.Errorf("read the trail of export %s: %w", id, clickhouse.Explain(err))
	}
	return entries, nil
}
