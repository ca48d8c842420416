// Package runstore stores run events in ClickHouse: columnar inserts over the native protocol, one
// statement a batch, into the tables runs, nodes and feedback.
//
//   - runstore.go: the tables, inserting a batch
//   - identity.go: one row a run, whatever its sort key
//   - columns.go: blocks of columns
package runstore

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/columns"
	"github.com/millrace/millrace/pipeline/runs"
)

// insertTimeout bounds an insert on the client and on the server. Exports rely on it: a row can be
// read at most this long after its ingested_at.
const insertTimeout = 30 * time.Second

// quorumTimeout bounds the wait for a quorum within it.
const quorumTimeout = 20 * time.Second

// Refused is a row that ClickHouse rejects.
type Refused struct {
	Index int   // in the rows of the call
	Err   error // ClickHouse's answer; log only its class and code, since it may quote the row
}

// Store inserts into one database. Each table has its own connection, so that runs, nodes and
// feedback can be inserted at the same time. Two inserts into the same table must not run at the
// same time.
type Store struct {
	runs     table[runs.Run]
	nodes    table[runs.Node]
	feedback table[runs.Feedback]
}

// Names of the queries in metrics.
const (
	queryInsert = "insert"
	queryCheck  = "check"
	queryHide   = "hide"
)

// New returns a store for a database. The store connects on first use.
func New(dsn *clickhouse.DSN) *Store {
	dsn.Timer().Init(queryInsert, queryCheck, queryHide)
	return &Store{
		runs:     table[runs.Run]{dsn: dsn, name: "runs", columns: columns.Runs, identity: runIdentity},
		nodes:    table[runs.Node]{dsn: dsn, name: "nodes", columns: columns.Nodes, identity: nodeIdentity},
		feedback: table[runs.Feedback]{dsn: dsn, name: "feedback", columns: columns.Feedback},
	}
}

// Quorum makes inserts wait until so many replicas of a shard have the rows; 0 is as before, one. Fewer
// replicas that answer are an error that a retry can mend. Call it before the first insert.
func (s *Store) Quorum(replicas int) {
	var quorum []ch.Setting
	if replicas > 0 {
		quorum = []ch.Setting{ch.SettingInt("insert_quorum", replicas),
			ch.SettingInt("insert_quorum_timeout", int(quorumTimeout/time.Millisecond))}
	}
	s.runs.quorum, s.nodes.quorum, s.feedback.quorum = quorum, quorum, quorum
}

// OnMoved sets a function that is told, of each insert, how many of its runs, or of its node runs, are stored with
// several sort keys. Inserts into several tables call it at the same time, and one that is tried again calls it
// again. Call OnMoved before the first insert.
func (s *Store) OnMoved(f func(identities int)) { s.runs.onMoved, s.nodes.onMoved = f, f }

// InsertRuns stores snapshots of runs. Storing a snapshot again changes nothing (invariant 2). When it has
// returned, readers see the newest snapshot of each run, whatever columns of the sort key it changed. It
// returns the rows that ClickHouse refuses, and stores all others. After an error an unknown part
// of the rows is stored, and it is safe to insert all of them again; [clickhouse.Classify] tells
// whether a retry can succeed.
func (s *Store) InsertRuns(ctx context.Context, rows []*runs.Run) ([]Refused, error) {
	return s.runs.store(ctx, rows)
}

// InsertNodes stores snapshots of node runs, as InsertRuns does.
func (s *Store) InsertNodes(ctx context.Context, rows []*runs.Node) ([]Refused, error) {
	return s.nodes.store(ctx, rows)
}

// InsertFeedback stores snapshots of feedback, as InsertRuns does.
func (s *Store) InsertFeedback(ctx context.Context, rows []*runs.Feedback) ([]Refused, error) {
	return s.feedback.store(ctx, rows)
}

// Check connects and compares the type of every column that inserts fill. So wrong credentials and
// a schema of another version are found before the first row; with a wrong column type, ClickHouse
// might refuse the rows one by one.
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
	dsn      *clickhouse.DSN
	name     string
	columns  []columns.Column[R]
	identity *identity // nil: it is the whole sort key
	quorum   []ch.Setting
	onMoved  func(identities int)
	block    *block[R] // nil: made for the next insert
	client   *ch.Client
}

// blockBytes is about how many bytes of texts are sent in one block. ClickHouse joins the blocks of a statement to
// one part. A block is in memory three times: its columns, as sent, and compressed.
const blockBytes = 2 << 20

// maxKept is how many bytes of texts a block, and a connection beside it, keep for the next insert.
const maxKept = 32 << 20

// store inserts rows, and hides the snapshots that they supersede, or that supersede them.
func (t *table[R]) store(ctx context.Context, rows []*R) ([]Refused, error) {
	refused, err := t.insertAll(ctx, rows, 0)
	if err == nil && t.identity != nil {
		err = t.hideSuperseded(ctx, rows)
	}
	return refused, err
}

// insertAll inserts rows. Where ClickHouse refuses a row, insertAll finds it by halving. Base is
// the index of rows[0] in the rows of the caller.
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

// settings are the settings of every insert. The store makes the batches, so the server's own
// batching is off. A batch may touch any number of months: a producer's wrong clock must not block
// other rows.
var settings = []ch.Setting{
	ch.SettingInt("async_insert", 0),
	ch.SettingInt("max_partitions_per_insert_block", 0),
	// Reads deduplicate. Deduplicating here too takes at least a quarter more time.
	ch.SettingInt("optimize_on_insert", 0),
	ch.SettingInt("max_execution_time", int(insertTimeout/time.Second)),
	ch.SettingInt("distributed_foreground_insert", 1),
	// On a cluster, the other replicas of a shard get rows and keys a moment later. So rows go to the first
	// replica that answers, and hide looks there, to whatever server the process is connected.
	{Key: "load_balancing", Value: "in_order"},
	ch.SettingInt("prefer_localhost_replica", 0),
	{Key: "log_comment", Value: "millrace ingest"},
}

func (t *table[R]) insert(ctx context.Context, rows []*R) error {
	ctx, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()
	if err := t.connect(ctx); err != nil {
		return err
	}
	input, left := t.empty(), rows
	fill := func(context.Context) error {
		input.Reset()
		if len(left) == 0 {
			return io.EOF
		}
		left = left[t.block.fill(left, blockBytes):]
		return nil
	}
	err := t.dsn.Timer().Time(ctx, queryInsert, func() error {
		return clickhouse.Do(ctx, t.client, ch.Query{Body: input.Into(t.name), Input: input, OnInput: fill,
			Settings: slices.Concat(settings, t.quorum)})
	})
	if err != nil {
		t.disconnect() // a connection is not reusable after an error
		return fmt.Errorf("insert %d rows into %s: %w", len(rows), t.name, err)
	}
	if t.block.size() > maxKept {
		t.block = nil
		t.disconnect()
	}
	return nil
}

// empty returns the empty columns of the table's block.
func (t *table[R]) empty() proto.Input {
	if t.block == nil {
		t.block = newBlock(t.columns)
	}
	t.block.input.Reset()
	return t.block.input
}

func (t *table[R]) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()
	if err := t.connect(ctx); err != nil {
		return err
	}
	input := t.empty()
	names := make([]string, len(input))
	for i, c := range input {
		names[i] = c.Name
	}
	var there proto.ColInfoInput
	body := "SELECT " + strings.Join(names, ", ") + " FROM " + t.name + " LIMIT 0"
	err := t.dsn.Timer().Time(ctx, queryCheck, func() error {
		return clickhouse.Do(ctx, t.client, ch.Query{Body: body, Result: &there})
	})
	if err != nil {
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
