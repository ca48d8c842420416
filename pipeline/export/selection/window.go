package selection

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

// Query is a query with its parameters.
type Query struct {
	// ID is the query id that system.query_log shows; "" lets the client make one.
	ID string
	// SQL selects [RowColumns]. Its values are parameters, {name:Type}: no query runs without its workspace
	// bound as one (invariant 9).
	SQL        string
	Parameters []proto.Parameter
	// Settings are those of [ReadSettings], and what the query needs beside them.
	Settings []ch.Setting

	columns func() *window // what it selects instead
}

// maxReadMemory is what one reading query may use on the server, in bytes.
const maxReadMemory = 4 << 30

// maxReadBlock is the rows of a block, of which reader and server hold a few. It bounds their memory where
// a query sorts whole rows, since a sort fills its blocks; read in the order of the table they have about
// 1 MB. 3,000 rows of 300 kB took the reader 70 MB in that order, and sorted 350 MB, or in blocks of 8,192
// rows 3.7 GB. For rows of 1 kB the size makes no difference down to 256.
const maxReadBlock = 256

// ReadSettings are the settings of a query that reads rows for an export: it can change nothing, has limits
// in time and memory, and fails when it meets one of them, where the overflow mode break would return
// fewer rows and no error (invariant 5). Comment is its log_comment, for system.query_log.
func ReadSettings(comment string, limit time.Duration) []ch.Setting {
	settings := []ch.Setting{
		{Key: "readonly", Value: "1", Important: true},
		{Key: "log_comment", Value: comment},
		{Key: "max_execution_time", Value: strconv.FormatFloat(limit.Seconds(), 'f', -1, 64), Important: true},
		ch.SettingInt("max_memory_usage", maxReadMemory),
		ch.SettingInt("max_block_size", maxReadBlock),
		ch.SettingInt("max_bytes_before_external_sort", maxReadMemory/4),
	}
	return append(settings, exact()...)
}

// exact are the settings without which a query may return something else than what it says.
func exact() []ch.Setting {
	settings := []ch.Setting{
		{Key: "join_use_nulls", Value: "0", Important: true},            // RowColumns tells by a default
		{Key: "prefer_global_in_and_join", Value: "1", Important: true}, // on a cluster, every shard needs the whole set
	}
	for _, mode := range []string{
		"timeout_overflow_mode", "timeout_overflow_mode_leaf", "read_overflow_mode", "read_overflow_mode_leaf",
		"result_overflow_mode", "sort_overflow_mode", "group_by_overflow_mode", "distinct_overflow_mode",
		"join_overflow_mode", "set_overflow_mode", "transfer_overflow_mode",
	} {
		settings = append(settings, ch.Setting{Key: mode, Value: "throw", Important: true})
	}
	return settings
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
func ReadRows(ctx context.Context, client *ch.Client, query Query, fn func(*record.Row) error) (rows int, err error) {
	return readRows(ctx, client, query, defaultPatience, fn)
}

func readRows(ctx context.Context, client *ch.Client, query Query, patience patience, fn func(*record.Row) error) (rows int, err error) {
	if query.columns == nil {
		query.columns = newWindow
	}
	return query.columns().read(ctx, client, query, patience, fn)
}

// read streams the rows of a query that selects the window's columns.
func (w *window) read(ctx context.Context, client *ch.Client, query Query, patience patience, fn func(*record.Row) error) (rows int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(patience.silence, func() { cancel(errSilent) })
	defer silence.Stop()
	defer clickhouse.Guard(ctx, client, patience.hangUp)()

	var fnErr error
	err = client.Do(ctx, ch.Query{
		Body: query.SQL, QueryID: query.ID, Parameters: query.Parameters, Settings: query.Settings,
		Result: w.results(),
		OnResult: func(_ context.Context, block proto.Block) error {
			silence.Stop() // it is fn's turn
			for i := range block.Rows {
				if fnErr = fn(w.at(i)); fnErr != nil {
					return fnErr
				}
				rows++
			}
			silence.Reset(patience.silence)
			return nil
		},
		OnProgress: func(context.Context, proto.Progress) error {
			silence.Reset(patience.silence)
			return nil
		},
	})
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
	return rows, fmt.Errorf("query %s: %w", query.ID, err)
}
