package track

import (
	"context"
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
		if err := batch.AppendStruct(r.state); err != nil {
			return err
		}
	}
	return batch.Send()
}

func insertEvents() string {
	names := make([]string, len(export.StateColumns))
	for i, column := range export.StateColumns {
		names[i] = column.Name
	}
	return "INSERT INTO export_events (" + strings.Join(names, ", ") + ")"
}
