// Package runstore stores run events in ClickHouse: columnar inserts over the native protocol, one
// block a statement, into the tables runs, nodes and feedback.
package runstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/columns"
	"github.com/millrace/millrace/pipeline/runs"
)

// insertTimeout bounds an insert on both sides. Exports rely on it: a row's ingested_at is at most this
// much older than the moment it can be read.
const insertTimeout = 30 * time.Second

// Refused is a row that ClickHouse does not take.
type Refused struct {
	Index int   // in the rows that were given
	Err   error // ClickHouse's answer; it may quote the row, so it is for logs of class and code only
}

// Store inserts into one database. Each table has a connection of its own, so that the three kinds of
// rows may be inserted at the same time; two inserts into the same table must not run at once.
type Store struct {
	runs     table[runs.Run]
	nodes    table[runs.Node]
	feedback table[runs.Feedback]
}

// New returns a store for a database. It connects on first use.
func New(dsn *clickhouse.DSN) *Store {
	return &Store{
		runs:     table[runs.Run]{dsn: dsn, name: "runs", block: newBlock(columns.Runs)},
		nodes:    table[runs.Node]{dsn: dsn, name: "nodes", block: newBlock(columns.Nodes)},
		feedback: table[runs.Feedback]{dsn: dsn, name: "feedback", block: newBlock(columns.Feedback)},
	}
}

// InsertRuns stores snapshots of runs. Storing one again changes nothing (invariant 2). Rows that
// ClickHouse refuses are found and returned, all others are stored. An error means that an unknown part
// of the rows is stored, and that it is safe to insert all of them again; clickhouse.Classify says
// whether that is of any use.
func (s *Store) InsertRuns(ctx context.Context, rows []*runs.Run) ([]Refused, error) {
	return s.runs.insertAll(ctx, rows, 0)
}

// InsertNodes stores snapshots of node runs, as InsertRuns does.
func (s *Store) InsertNodes(ctx context.Context, rows []*runs.Node) ([]Refused, error) {
	return s.nodes.insertAll(ctx, rows, 0)
}

// InsertFeedback stores snapshots of feedback, as InsertRuns does.
func (s *Store) InsertFeedback(ctx context.Context, rows []*runs.Feedback) ([]Refused, error) {
	return s.feedback.insertAll(ctx, rows, 0)
}

// Check connects and asks for every column that inserts fill and its type, so that wrong credentials or
// a schema of another version are known before the first row: with a column of another type, rows might
// be refused one by one.
func (s *Store) Check(ctx context.Context) error {
	for _, check := range []func(context.Context) error{s.runs.check, s.nodes.check, s.feedback.check} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the connections.
func (s *Store) Close() {
	s.runs.disconnect()
	s.nodes.disconnect()
	s.feedback.disconnect()
}

type table[R any] struct {
	dsn    *clickhouse.DSN
	name   string
	block  *block[R]
	client *ch.Client
}

// insertAll inserts rows, and where ClickHouse blames a row, finds it by halving. Base is the index of
// the first row in what the caller gave.
func (t *table[R]) insertAll(ctx context.Context, rows []*R, base int) ([]Refused, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	err := t.insert(ctx, rows)
	if err == nil || clickhouse.Classify(err) != clickhouse.Row {
		return nil, err
	}
	if len(rows) == 1 {
		return []Refused{{Index: base, Err: err}}, nil
	}
	half := len(rows) / 2
	left, err := t.insertAll(ctx, rows[:half], base)
	if err != nil {
		return nil, err
	}
	right, err := t.insertAll(ctx, rows[half:], base+half)
	return append(left, right...), err
}

// settings of every insert. Batches are made here, so the server's own batching is off; a batch may
// touch any number of months, since a producer's clock must not hold up its neighbours' rows.
var settings = []ch.Setting{
	ch.SettingInt("async_insert", 0),
	ch.SettingInt("max_partitions_per_insert_block", 0),
	ch.SettingInt("optimize_on_insert", 0), // reads deduplicate; doing it here too costs a quarter of the insert and more
	ch.SettingInt("max_execution_time", int(insertTimeout/time.Second)),
	ch.SettingInt("distributed_foreground_insert", 1),
	{Key: "log_comment", Value: "millrace ingest"},
}

func (t *table[R]) insert(ctx context.Context, rows []*R) error {
	ctx, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()
	if err := t.connect(ctx); err != nil {
		return err
	}
	input := t.block.input
	input.Reset()
	for _, row := range rows {
		t.block.append(row)
	}
	err := clickhouse.Do(ctx, t.client, ch.Query{Body: input.Into(t.name), Input: input, Settings: settings})
	if err != nil {
		t.disconnect() // a connection is not reusable after an error
		return fmt.Errorf("insert %d rows into %s: %w", len(rows), t.name, err)
	}
	return nil
}

func (t *table[R]) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()
	if err := t.connect(ctx); err != nil {
		return err
	}
	input := t.block.input
	names := make([]string, len(input))
	for i, c := range input {
		names[i] = c.Name
	}
	var there proto.ColInfoInput
	body := "SELECT " + strings.Join(names, ", ") + " FROM " + t.name + " LIMIT 0"
	if err := clickhouse.Do(ctx, t.client, ch.Query{Body: body, Result: &there}); err != nil {
		t.disconnect()
		return fmt.Errorf("check table %s: %w", t.name, err)
	}
	for i, c := range there {
		if want := input[i].Data.Type(); c.Type != want {
			return fmt.Errorf("check table %s: column %s is %s, not %s: %w", t.name, c.Name, c.Type, want, clickhouse.ErrSchema)
		}
	}
	return nil
}

func (t *table[R]) connect(ctx context.Context) (err error) {
	if t.client != nil && !t.client.IsClosed() {
		return nil
	}
	t.client, err = t.dsn.Dial(ctx)
	return err
}

func (t *table[R]) disconnect() {
	if t.client != nil {
		t.client.Close()
		t.client = nil
	}
}
