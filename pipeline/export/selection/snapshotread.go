package selection

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ClickHouse/ch-go"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

// SnapshotRange is the part of a snapshot from a key up to a key that is not in it. A nil key is
// the snapshot's begin or end.
type SnapshotRange struct {
	Request  *export.Request // whose selection was frozen
	Snapshot string          // its id
	From, To *export.Key
}

// shape is a selection that has the same columns as the snapshot.
func (r *SnapshotRange) shape() *Selection { return New(r.Request, export.Selection{}) }

// conditions are those on the rows of the snapshot's table that are in the range.
//
// ClickHouse does not look for a comparison of tuples in the primary key. So what follows from it for single
// columns is said as well: without that, each window reads all keys of the snapshot.
func (r *SnapshotRange) conditions(b *clickhouse.Binder) []string {
	conditions := []string{inSnapshot(b, r.Request.WorkspaceID, r.Snapshot)}
	add := func(name, operator string, key *export.Key) (group, startedAt string) {
		if key == nil {
			return "", ""
		}
		group, startedAt = b.Text(name+"_group", key.Group), b.Milli(name, key.StartedAt.UnixMilli())
		conditions = append(conditions, "("+snapshotOrder+") "+operator+" ("+group+", "+startedAt+", "+
			b.ID(name+"_run", key.RunID)+", "+b.ID(name+"_node", key.NodeRunID)+")")
		return group, startedAt
	}
	fromGroup, from := add("from", ">=", r.From)
	toGroup, to := add("to", "<", r.To)
	oneGroup := r.From != nil && r.To != nil && r.From.Group == r.To.Group
	switch {
	case New(r.Request, export.Selection{}).needs.Group == record.Ungrouped:
		conditions, oneGroup = append(conditions, "group_key = ''"), true
	case oneGroup:
		conditions = append(conditions, "group_key = "+fromGroup)
	default:
		conditions = bound(conditions, "group_key >= ", fromGroup)
		conditions = bound(conditions, "group_key <= ", toGroup)
	}
	if oneGroup {
		conditions = bound(conditions, "started_at >= ", from)
		conditions = bound(conditions, "started_at <= ", to)
	}
	return conditions
}

// bound adds a condition, unless its parameter is empty.
func bound(conditions []string, condition, parameter string) []string {
	if parameter == "" {
		return conditions
	}
	return append(conditions, condition+parameter)
}

// keysQuery selects the keys and the feedback of the range, in the order of the snapshot.
func (r *SnapshotRange) keysQuery() clickhouse.Query {
	var b clickhouse.Binder
	return b.Query("SELECT\n" + selectList(r.shape().newKeyReader().fields, "", "") + "\nFROM " + keysTable +
		" WHERE " + and(r.conditions(&b)) + "\nORDER BY " + snapshotOrder)
}

// dense reports whether most runs of the app between the ends of the range are in the snapshot.
func (r *SnapshotRange) dense() bool {
	s, f := r.Request.Selection, r.Request.Filters
	return r.From != nil && r.To != nil && s.RunIDs == nil && (s.Window == nil || s.Window.By != export.ByIngestedAt) &&
		(f.Statuses == nil || slices.Contains(f.Statuses, "succeeded")) && !f.Narrow()
}

// runsQuery selects the runs of the range, in the same order. Both queries read in the order of
// their table's key, so the server sorts nothing, however wide the rows are.
//
// Of a dense range, it selects all runs of the app, and [merge] leaves out those that are not in the snapshot.
// A set of their keys would be read, made and looked in for each window. Without it, ClickHouse takes 25 s of
// processor time for a million runs in place of 28, and reads 9.4 rows for each in place of 10.5 (300,000
// runs of 1.2 kB, on a busy machine).
func (r *SnapshotRange) runsQuery() clickhouse.Query {
	var b clickhouse.Binder
	conditions := appConditions(&b, r.Request)
	if r.From != nil {
		conditions = append(conditions, "started_at >= "+b.Milli("from", r.From.StartedAt.UnixMilli()))
	}
	if r.To != nil {
		conditions = append(conditions, "started_at <= "+b.Milli("to", r.To.StartedAt.UnixMilli()))
	}
	if !r.dense() {
		keys := "SELECT started_at, run_id FROM " + keysTable + " WHERE " + and(r.conditions(&b))
		conditions = append(conditions, "(started_at, run_id) IN ("+keys+")")
	}
	return b.Query("SELECT\n" + selectList(newRunReader(r.Request.Split != nil, nil).fields, "", "") +
		"\nFROM " + latest("runs") + and(conditions) + "\nORDER BY started_at, run_id")
}

// SnapshotRows counts what [SnapshotReader.Read] found.
type SnapshotRows struct {
	Rows     int64 // of the snapshot in the range
	Vanished int64 // of these, the rows whose run is not in table runs any more
}

// SnapshotReader reads parts of snapshots.
type SnapshotReader struct {
	Keys, Runs *ch.Client // a connection for each of the two queries that are merged
	ID         string     // of the queries; "/keys" and "/runs" are added where there are two
	Settings   []ch.Setting

	patience patience // zero: defaultPatience
}

// Read streams the rows of a part of a snapshot, each with the feedback of the snapshot, in the
// order of the snapshot, and calls fn for each. Where a snapshot has only keys and feedback, two
// queries are merged. Row, errors and connections are as in [ReadRows].
//
// The caller compares the number of rows with the plan: a snapshot that is gone has none.
func (s *SnapshotReader) Read(
	ctx context.Context, r *SnapshotRange, fn func(*record.Row) error,
) (found SnapshotRows, err error) {
	patience := cmp.Or(s.patience, defaultPatience)
	query := func(q clickhouse.Query, suffix string) clickhouse.Query {
		q.ID, q.Settings = s.ID+suffix, s.Settings
		return q
	}
	if shape := r.shape(); shape.wide() {
		n, err := shape.newWideReader().read(ctx, s.Keys, query(r.wideQuery(shape), ""), patience, fn)
		return SnapshotRows{Rows: int64(n)}, err
	}
	group, ctx := errgroup.WithContext(ctx)
	blocks := make(chan []snapshotKey, 4)
	group.Go(func() error {
		keys := r.shape().newKeyReader()
		if err := sendKeys(ctx, s.Keys, keys, query(r.keysQuery(), "/keys"), patience, blocks); err != nil {
			return err // without closing blocks: that would look like the end of the keys
		}
		close(blocks)
		return nil
	})
	group.Go(func() error {
		m := &merge{ctx: ctx, blocks: blocks, found: &found}
		reader := newRunReader(r.Request.Split != nil, nil)
		_, err := reader.read(ctx, s.Runs, query(r.runsQuery(), "/runs"), patience, func(row *record.Row) error {
			if found, err := m.join(row); err != nil || !found {
				return err
			}
			return fn(row)
		})
		if err != nil {
			return err
		}
		return m.rest()
	})
	err = group.Wait()
	return found, err
}

// snapshotKey is a row of keysTable.
type snapshotKey struct {
	position
	hasFeedback bool
	feedback    record.Feedback
}

func (q *Selection) newKeyReader() *rowReader {
	reader := &rowReader{}
	reader.fields = append([]field{milliseconds("{r}started_at", &reader.row.StartedAt),
		text("{r}run_id", &reader.row.RunID)},
		q.feedbackFields(&reader.row)...)
	return reader
}

// maxKeysBytes bounds the texts of feedback in a block of keys. One key may have more.
const maxKeysBytes = 4 << 20

// sendKeys sends the keys in small blocks. The channel bounds the number of blocks in memory.
func sendKeys(ctx context.Context, client *ch.Client, keys *rowReader, query clickhouse.Query, patience patience,
	blocks chan<- []snapshotKey) error {
	block := make([]snapshotKey, 0, maxReadBlock)
	size := 0 // of the texts of the block
	send := func() error {
		select {
		case blocks <- block:
			block, size = make([]snapshotKey, 0, maxReadBlock), 0
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	_, err := keys.read(ctx, client, query, patience, func(row *record.Row) error {
		key, n := cloneKey(row)
		block = append(block, key)
		size += n
		if len(block) < maxReadBlock && size < maxKeysBytes {
			return nil
		}
		return send()
	})
	if err != nil {
		return err
	}
	return send()
}

// cloneKey copies the key from memory that the reader reuses, and returns the size of its feedback
// in bytes.
func cloneKey(row *record.Row) (key snapshotKey, size int) {
	key = snapshotKey{position: position{row.StartedAt, bytes.Clone(row.RunID)}, hasFeedback: row.HasFeedback}
	if row.HasFeedback {
		key.feedback, size = row.Feedback.Clone()
	}
	return key, size
}

// merge walks through the keys of a snapshot beside the runs.
type merge struct {
	ctx    context.Context
	blocks <-chan []snapshotKey
	block  []snapshotKey // the rest of the current block, of which the first is the current key
	found  *SnapshotRows

	lastKey, lastRun position // to check their order
}

// position is a place in the order of both queries.
type position struct {
	startedAt int64
	runID     []byte
}

func (p position) compare(other position) int {
	return cmp.Or(cmp.Compare(p.startedAt, other.startedAt), bytes.Compare(p.runID, other.runID))
}

// errOrder is the error of a wrong query.
var errOrder = errors.New("the runs or the keys of their snapshot are not in order")

// key returns the current key, nil after the last one.
func (m *merge) key() (*snapshotKey, error) {
	for len(m.block) == 0 {
		select {
		case block, more := <-m.blocks:
			if !more {
				return nil, nil
			}
			for i := range block {
				if at := block[i].position; m.lastKey.runID != nil && m.lastKey.compare(at) >= 0 {
					return nil, fmt.Errorf("%w: key %s", errOrder, at.runID)
				}
				m.lastKey = block[i].position
			}
			m.block = block
		case <-m.ctx.Done():
			return nil, context.Cause(m.ctx)
		}
	}
	return &m.block[0], nil
}

// next counts the current key and goes on to the next.
func (m *merge) next() {
	m.block = m.block[1:]
	m.found.Rows++
}

// join gives a run the feedback of its key, and reports whether it has a key. It counts the keys before
// that one, whose runs have vanished.
func (m *merge) join(row *record.Row) (found bool, err error) {
	at := position{row.StartedAt, row.RunID}
	if m.lastRun.runID != nil && m.lastRun.compare(at) >= 0 {
		return false, fmt.Errorf("%w: run %s", errOrder, row.RunID)
	}
	m.lastRun = position{at.startedAt, append(m.lastRun.runID[:0], at.runID...)}
	for {
		key, err := m.key()
		if key == nil || err != nil {
			return false, err
		}
		switch order := key.compare(at); {
		case order > 0:
			return false, nil
		case order == 0:
			row.HasFeedback, row.Feedback = key.hasFeedback, key.feedback
			m.next()
			return true, nil
		}
		m.next()
		m.found.Vanished++
	}
}

// rest counts the keys after the last run.
func (m *merge) rest() error {
	for {
		key, err := m.key()
		if key == nil || err != nil {
			return err
		}
		m.next()
		m.found.Vanished++
	}
}
