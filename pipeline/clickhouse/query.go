package clickhouse

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	chgo "github.com/ClickHouse/clickhouse-go/v2"
)

// Query is a query with the values of its parameters. Both clients can run it: ch-go by
// [Query.Native], and clickhouse-go by [Query.Context].
type Query struct {
	// ID is the query id that system.query_log shows. With "" the client makes one.
	ID string
	// SQL is the text. It contains no values but parameters, {name:Type}.
	SQL string
	// Parameters are the values of the parameters of SQL, by name. The server refuses any others.
	Parameters map[string]string
	// Settings are such as [ReadSettings].
	Settings []ch.Setting
}

// Native returns the query for ch-go. The caller adds where the result goes.
func (q Query) Native() ch.Query {
	query := ch.Query{Body: q.SQL, QueryID: q.ID, Settings: q.Settings}
	for _, name := range slices.Sorted(maps.Keys(q.Parameters)) {
		query.Parameters = append(query.Parameters, proto.Parameter{Key: name, Value: QuoteText(q.Parameters[name])})
	}
	return query
}

// Context returns ctx for a call of clickhouse-go with q.SQL, such as conn.Query(q.Context(ctx),
// q.SQL).
func (q Query) Context(ctx context.Context) context.Context {
	options := []chgo.QueryOption{chgo.WithParameters(q.Parameters)}
	if q.ID != "" {
		options = append(options, chgo.WithQueryID(q.ID))
	}
	if q.Settings != nil {
		settings := make(chgo.Settings, len(q.Settings))
		for _, s := range q.Settings {
			settings[s.Key] = s.Value
		}
		options = append(options, chgo.WithSettings(settings))
	}
	return chgo.Context(ctx, options...)
}

// Binder collects the values of a query, so that none is part of its text. Each method binds a
// value to the parameter of a name, and returns the expression that stands for it in the text. A
// name may be bound again, to another value for the next query.
//
// The server unescapes parameters of type String. So [Binder.Text] binds in hexadecimal, and
// [Binder.ID] is for texts that need no escaping.
//
// The zero Binder is ready to use. It is not safe for concurrent use, but for [Binder.Query].
type Binder struct{ values map[string]string }

func (b *Binder) bind(name, value, kind string) string {
	if b.values == nil {
		b.values = map[string]string{}
	}
	b.values[name] = value
	return "{" + name + ":" + kind + "}"
}

// ID binds a text without quotes, backslashes and control characters: an id, a word of the
// contract, or a list of such that the query takes apart.
func (b *Binder) ID(name, value string) string { return b.bind(name, value, "String") }

// IDs binds ids that contain no comma, and returns what may follow IN.
func (b *Binder) IDs(name string, values []string) string {
	return "(splitByChar(',', " + b.ID(name, strings.Join(values, ",")) + "))"
}

// Text binds any text.
func (b *Binder) Text(name, value string) string {
	return "unhex(" + b.ID(name, hex.EncodeToString([]byte(value))) + ")"
}

// Texts binds at least one text, and returns what may follow IN. It is a subquery, since ClickHouse
// makes a constant array anew for every row if a lambda makes it.
func (b *Binder) Texts(name string, values []string) string {
	encoded := make([]string, len(values))
	for i, v := range values {
		encoded[i] = hex.EncodeToString([]byte(v))
	}
	return "(SELECT unhex(arrayJoin(splitByChar(',', " + b.ID(name, strings.Join(encoded, ",")) + "))))"
}

// Array binds at least one text, and returns an array. In a lambda, take Texts.
func (b *Binder) Array(name string, values []string) string {
	encoded := make([]string, len(values))
	for i, v := range values {
		encoded[i] = hex.EncodeToString([]byte(v))
	}
	return "arrayMap(v -> unhex(v), splitByChar(',', " + b.ID(name, strings.Join(encoded, ",")) + "))"
}

// Int binds an integer.
func (b *Binder) Int(name string, value int64) string {
	return b.bind(name, strconv.FormatInt(value, 10), "Int64")
}

// Count binds a number for LIMIT, which is not negative.
func (b *Binder) Count(name string, value int64) string {
	return b.bind(name, strconv.FormatInt(value, 10), "UInt64")
}

// Float binds a finite number.
func (b *Binder) Float(name string, value float64) string {
	return b.bind(name, strconv.FormatFloat(value, 'g', -1, 64), "Float64")
}

// Milli binds a time in milliseconds since 1970, as a DateTime64(3, 'UTC').
func (b *Binder) Milli(name string, milli int64) string {
	return "fromUnixTimestamp64Milli(" + b.Int(name, milli) + ", 'UTC')"
}

// Micro binds a time in microseconds since 1970, as a DateTime64(6, 'UTC').
func (b *Binder) Micro(name string, micro int64) string {
	return "fromUnixTimestamp64Micro(" + b.Int(name, micro) + ", 'UTC')"
}

// Clone returns a binder with the same values, for a query that runs beside others.
func (b *Binder) Clone() *Binder { return &Binder{maps.Clone(b.values)} }

// Query returns the query with those of the values whose parameters its text contains.
func (b *Binder) Query(sql string) Query {
	used := map[string]string{}
	for name, value := range b.values {
		if strings.Contains(sql, "{"+name+":") {
			used[name] = value
		}
	}
	return Query{SQL: sql, Parameters: used}
}

// ReadTexts returns what a query selects that has one column of type String and few rows.
func ReadTexts(ctx context.Context, client *ch.Client, q Query) (texts []string, err error) {
	var column proto.ColStr
	query := q.Native()
	query.Result = proto.Results{{Data: &column}}
	query.OnResult = func(context.Context, proto.Block) error {
		for i := range column.Rows() {
			texts = append(texts, column.Row(i))
		}
		return nil
	}
	if err := Do(ctx, client, query); err != nil {
		return nil, fmt.Errorf("query %s: %w", q.ID, err)
	}
	return texts, nil
}

// ReadInt returns the one integer, as a decimal text, that a query selects.
func ReadInt(ctx context.Context, client *ch.Client, q Query) (int64, error) {
	texts, err := ReadTexts(ctx, client, q)
	if err != nil {
		return 0, err
	}
	if len(texts) != 1 {
		return 0, fmt.Errorf("query %s: %d rows instead of one", q.ID, len(texts))
	}
	return strconv.ParseInt(texts[0], 10, 64)
}

// ReadSettings returns the settings of a query that only reads. It fails when it meets its limit of
// time or of memory, where the overflow mode break would return fewer rows and no error (invariant
// 5). Comment is its log_comment, for system.query_log, and memory is what it may use on the
// server, in bytes.
func ReadSettings(comment string, limit time.Duration, memory int) []ch.Setting {
	return append(querySettings(comment, limit, memory), ch.Setting{Key: "readonly", Value: "1", Important: true})
}

// InsertSettings returns the settings of an INSERT … SELECT, with the limits of [ReadSettings].
// When it returns, its rows are in the table, on a cluster too.
func InsertSettings(comment string, limit time.Duration, memory int) []ch.Setting {
	return append(querySettings(comment, limit, memory),
		ch.Setting{Key: "async_insert", Value: "0", Important: true},
		ch.Setting{Key: "distributed_foreground_insert", Value: "1", Important: true})
}

// Inserting returns ctx for an insert with clickhouse-go. When it returns, its rows are in the table, on a cluster
// too: neither are they batched by rules of the server's own, nor do they wait on the disk of one server for their
// shard. The number of partitions of a block has no limit, because requesters choose the times of requests.
func Inserting(ctx context.Context) context.Context {
	return chgo.Context(ctx, chgo.WithSettings(chgo.Settings{"async_insert": 0, "distributed_foreground_insert": 1,
		"max_partitions_per_insert_block": 0}))
}

func querySettings(comment string, limit time.Duration, memory int) []ch.Setting {
	settings := []ch.Setting{
		{Key: "log_comment", Value: comment},
		{Key: "max_execution_time", Value: strconv.FormatFloat(limit.Seconds(), 'f', -1, 64), Important: true},
		ch.SettingInt("max_memory_usage", memory),
		ch.SettingInt("max_bytes_before_external_sort", memory/4),
		{Key: "join_use_nulls", Value: "0", Important: true},            // an empty feedback_id is a run without feedback
		{Key: "prefer_global_in_and_join", Value: "1", Important: true}, // on a cluster, every shard needs the whole set
		// The side that ClickHouse keeps in memory is the right one, as queries are written. Left to itself, it
		// keeps the whole rows of runs where their keys would do: 7.2 processor seconds for 300,000 in place of
		// 2.3, and 2.6 GiB of memory in place of 0.7.
		{Key: "query_plan_join_swap_table", Value: "false"},
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
