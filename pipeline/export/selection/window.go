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

// maxReadMemory is what one reading query may use on the server, in bytes.
const maxReadMemory = 4 << 30

// maxReadBlock is the rows of a block, of which reader and server hold a few. It bounds their memory where
// a query sorts whole rows, since a sort fills its blocks; read in the order of the table they have about
// 1 MB. 3,000 rows of 300 kB took the reader 70 MB in that order, and sorted 350 MB, or in blocks of 8,192
// rows 3.7 GB. For rows of 1 kB the size makes no difference down to 256.
const maxReadBlock = 256

// ReadSettings returns the settings of a query that reads rows for an export. Comment and limit are as in
// [clickhouse.ReadSettings].
func ReadSettings(comment string, limit time.Duration) []ch.Setting {
	return append(clickhouse.ReadSettings(comment, limit, maxReadMemory), ch.SettingInt("max_block_size", maxReadBlock))
}

// patience is how long ReadRows waits for a server, in vain.
type patience struct {
	silence time.Duration // without a packet; a server at work sends its progress ten times a second
	hangUp  time.Duration // after the query was cancelled, until the connection is closed
}

var defaultPatience = patience{silence: 30 * time.Second, hangUp: time.Second}

var errSilent = errors.New("ClickHouse went silent in the middle of the query")

// ReadRows streams the rows of a query that selects [RowColumns] and calls fn for each. The row and all it
// refers to are the reader's, and valid until fn returns. It returns how many rows fn was given.
//
// There is no error if and only if fn returned nil for every row and the server said that this was the
// last one (invariant 5). An error of fn stops the query and is returned as it is. Anything else is wrapped
// with the query's id, for [Classify]. After an exception of the server the client can be used again; after
// any other error, fn's and ctx's too, its connection is closed.
func ReadRows(ctx context.Context, client *ch.Client, query RowQuery, fn func(*record.Row) error) (rows int, err error) {
	return readRows(ctx, client, query, defaultPatience, fn)
}

func readRows(ctx context.Context, client *ch.Client, query RowQuery, patience patience, fn func(*record.Row) error) (rows int, err error) {
	if query.columns == nil {
		query.columns = newWindow
	}
	return query.columns().read(ctx, client, query.Query, patience, fn)
}

// read streams the rows of a query that selects the window's columns.
func (w *window) read(ctx context.Context, client *ch.Client, q clickhouse.Query, patience patience, fn func(*record.Row) error) (rows int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(patience.silence, func() { cancel(errSilent) })
	defer silence.Stop()
	defer clickhouse.Guard(ctx, client, patience.hangUp)()

	var fnErr error
	query := q.Native()
	query.Result = w.results()
	query.OnResult = func(_ context.Context, block proto.Block) error {
		silence.Stop() // it is fn's turn
		for i := range block.Rows {
			if fnErr = fn(w.at(i)); fnErr != nil {
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
		client.Close() // there may be more of the answer to come; Do closes it most of the time, but not always
	}
	if fnErr != nil {
		return rows, fnErr
	}
	if errors.Is(context.Cause(ctx), errSilent) {
		err = errSilent // and not the cancellation that it led to
	}
	return rows, fmt.Errorf("query %s: %w", q.ID, err)
}
