package selection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

// maxReadMemory bounds the memory of a reading query on the server, in bytes.
const maxReadMemory = 4 << 30

// maxReadBlock bounds the rows of a block. The reader and the server hold a few blocks at a time. A
// sort fills its blocks, so the bound matters where a query sorts whole rows; in the order of the
// table a block has about 1 MB. Measured on 3,000 rows of 300 kB: the reader took 70 MB in the
// order of the table, 350 MB sorted, and 3.7 GB sorted in blocks of 8,192 rows. For rows of 1 kB,
// blocks of 256 rows are as fast as larger ones.
const maxReadBlock = 256

// ReadSettings returns the settings of a query that reads rows for an export. Comment and limit are
// as in [clickhouse.ReadSettings].
func ReadSettings(comment string, limit time.Duration, rows BlockRows) []ch.Setting {
	return append(clickhouse.ReadSettings(comment, limit, maxReadMemory), rows.setting(),
		// Of a condition that it remembers, ClickHouse reads whole granules of 8,192 rows or 10 MiB, whatever a block
		// may have. The second query of a window has the condition of the first, so its blocks were too large.
		ch.Setting{Key: "use_query_condition_cache", Value: "0"})
}

// WindowSettings returns the settings of the queries of a window, which are [ReadSettings] without layers.
//
// ClickHouse divides what it reads FINAL into layers, for threads that work side by side, and reads a granule where
// they meet in both. Windows are read side by side as they are. Without layers, a window of 30,000 of 300,000 runs
// takes 40 ms of processor time in place of 60, 12 MiB of memory in place of 22, and a granule less.
func WindowSettings(comment string, limit time.Duration, rows BlockRows) []ch.Setting {
	return append(ReadSettings(comment, limit, rows),
		ch.Setting{Key: "split_intersecting_parts_ranges_into_layers_final", Value: "0"})
}

// patience bounds how long ReadRows waits for a server that does not answer.
type patience struct {
	silence time.Duration // between packets; a working server sends its progress ten times a second
	hangUp  time.Duration // between cancelling the query and closing the connection
}

var defaultPatience = patience{silence: 30 * time.Second, hangUp: time.Second}

var errSilent = errors.New("ClickHouse went silent in the middle of the query")

// ReadRows streams the rows of a query that selects [RowColumns] and calls fn for each. The reader
// owns the row and all that it refers to; they are valid until fn returns. ReadRows returns the
// number of rows that fn was given.
//
// The error is nil if and only if fn returned nil for every row and the server confirmed the last
// one (invariant 5). An error of fn stops the query and is returned as it is. Other errors are
// wrapped with the query's id, for [clickhouse.Classify]. After an exception of the server the
// client can be used again. After any other error, also one of fn or ctx, its connection is closed.
// The error wraps [ErrWide] where the rows are too wide for the blocks of the query.
func ReadRows(
	ctx context.Context, client *ch.Client, query RowQuery, fn func(*record.Row) error,
) (rows int, err error) {
	return readRows(ctx, client, query, defaultPatience, fn)
}

func readRows(
	ctx context.Context, client *ch.Client, query RowQuery, patience patience, fn func(*record.Row) error,
) (rows int, err error) {
	if query.reader == nil {
		query.reader = newRowReader
	}
	return query.reader().read(ctx, client, query.Query, patience, fn)
}

// read streams the rows of a query that selects the reader's columns.
func (r *rowReader) read(
	ctx context.Context, client *ch.Client, q clickhouse.Query, patience patience, fn func(*record.Row) error,
) (rows int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(patience.silence, func() { cancel(errSilent) })
	defer silence.Stop()
	defer clickhouse.Guard(ctx, client, patience.hangUp)()

	var fnErr error
	query := q.Native()
	query.Result = r.results()
	r.room.whole = r.room.whole || isWide(q.Settings)
	query.OnResult = func(_ context.Context, block proto.Block) error {
		silence.Stop() // the time that fn takes does not count
		r.room.used = 0
		for i := range block.Rows {
			if fnErr = fn(r.fill(i)); fnErr != nil {
				return fnErr
			}
			rows++
		}
		silence.Reset(patience.silence)
		return nil
	}
	query.OnProgress = func(context.Context, proto.Progress) error {
		silence.Reset(patience.silence)
		return nil
	}
	err = client.Do(ctx, query)
	if err == nil {
		return rows, nil
	}
	if fnErr != nil || !ch.IsException(err) {
		client.Close() // the rest of the answer may still arrive; Do does not close the connection in every case
	}
	if fnErr != nil {
		return rows, fnErr
	}
	if errors.Is(context.Cause(ctx), errSilent) {
		err = errSilent // instead of the cancellation that the silence caused
	}
	return rows, fmt.Errorf("query %s: %w", q.ID, err)
}
