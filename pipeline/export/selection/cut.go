package selection

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
)

// Cut cuts the snapshot of a request into windows of size rows, and returns how many rows it has. Whole says that
// the snapshot is in one table, and not in those of a cluster's servers.
//
// Ungrouped runs are in order in each part of the snapshot's table, and the parts follow each other. So it is known at
// which place of which part a window begins, and ClickHouse reads the granule of that place. To number the rows
// instead, as for grouped rows, it reads all of them: 2.4 s for 10 million, in place of 0.5. They are numbered too
// where parts overlap, or are merged while they are read.
func Cut(ctx context.Context, r *Reader, request *export.Request, id string, size int64, whole bool) (
	windows []export.PlannedWindow, rows int64, err error) {
	if whole && !New(request, export.Selection{}).wide() {
		c := &placed{r, request, id}
		if windows, rows, err = c.cut(ctx, size); windows != nil || err != nil {
			return windows, rows, err
		}
	}
	return readWindows(ctx, r, snapshotKeys(request, id, size))
}

// placed is a snapshot of ungrouped runs, whose runs are read by their places.
type placed struct {
	r       *Reader
	request *export.Request
	id      string
}

// part is a part of a snapshot's table.
type part struct {
	name        string
	rows        int64
	first, last *export.Key
}

// maxParts is how many parts are looked at. Two queries for each should take less than one that reads all rows.
const maxParts = 32

// cut returns no windows where the parts are not in order, or have changed meanwhile.
func (c *placed) cut(ctx context.Context, size int64) (windows []export.PlannedWindow, rows int64, err error) {
	parts, err := c.parts(ctx)
	if err != nil || len(parts) == 0 || len(parts) > maxParts {
		return nil, 0, err
	}
	if follow, err := c.follow(ctx, parts); !follow || err != nil {
		return nil, 0, err
	}
	var last *export.Key
	for _, p := range parts {
		begins := places(p.rows, rows, size)
		keys, err := c.at(ctx, p.name, append(begins, p.rows-1))
		if keys == nil || err != nil {
			return nil, 0, err
		}
		for _, key := range keys[:len(begins)] {
			windows = append(windows, export.PlannedWindow{From: key, Rows: size})
		}
		rows, last = rows+p.rows, keys[len(keys)-1]
	}
	ending := &windows[len(windows)-1]
	ending.Rows, ending.LastStartedAt = rows-int64(len(windows)-1)*size, last.StartedAt
	return windows, rows, nil
}

// places returns the places in a part of so many rows at which windows begin, behind other rows.
func places(rows, before, size int64) (list []int64) {
	for place := (size - before%size) % size; place < rows; place += size {
		list = append(list, place)
	}
	return list
}

// follow puts the parts in order, and reports whether each ends before the next begins.
func (c *placed) follow(ctx context.Context, parts []part) (bool, error) {
	if len(parts) == 1 {
		return true, nil
	}
	for i := range parts {
		keys, err := c.at(ctx, parts[i].name, []int64{0, parts[i].rows - 1})
		if keys == nil || err != nil {
			return false, err
		}
		parts[i].first, parts[i].last = keys[0], keys[len(keys)-1]
	}
	slices.SortFunc(parts, func(a, b part) int { return compareRuns(a.first, b.first) })
	for i := range parts[1:] {
		if compareRuns(parts[i].last, parts[i+1].first) >= 0 {
			return false, nil
		}
	}
	return true, nil
}

// compareRuns compares the keys of ungrouped runs.
func compareRuns(a, b *export.Key) int {
	return cmp.Or(a.StartedAt.Compare(b.StartedAt), strings.Compare(a.RunID, b.RunID))
}

// parts returns the parts of the snapshot, with rows only. Its id is that of a partition, so that ClickHouse knows the
// numbers without reading rows.
func (c *placed) parts(ctx context.Context) (parts []part, err error) {
	var name proto.ColStr
	var rows proto.ColUInt64
	results := proto.Results{{Name: "part", Data: &name}, {Name: "rows", Data: &rows}}
	err = c.r.blocks(ctx, c.partsQuery(), results, func() {
		for i := range name.Rows() {
			parts = append(parts, part{name: name.Row(i), rows: int64(rows.Row(i))})
		}
	})
	return parts, err
}

func (c *placed) partsQuery() clickhouse.Query {
	var b clickhouse.Binder
	return b.Query("SELECT CAST(_part, 'String') AS part, count() AS rows FROM " + keysTable + " WHERE stage_id = " +
		b.ID("snapshot", c.id) + " GROUP BY part")
}

// at returns the keys of the runs at these places of a part, which ascend; nil if it has not all of them.
func (c *placed) at(ctx context.Context, part string, places []int64) (keys []*export.Key, err error) {
	places = slices.Compact(places) // a window may begin at the last place
	var startedAt proto.ColInt64
	var run proto.ColStr
	results := proto.Results{{Name: "started_at_ms", Data: &startedAt}, {Name: "run_id", Data: &run}}
	err = c.r.blocks(ctx, c.atQuery(part, places), results, func() {
		for i := range run.Rows() {
			keys = append(keys, &export.Key{StartedAt: time.UnixMilli(startedAt.Row(i)).UTC(), RunID: run.Row(i)})
		}
	})
	if err != nil || len(keys) != len(places) {
		return nil, err
	}
	return keys, nil
}

func (c *placed) atQuery(part string, places []int64) clickhouse.Query {
	texts := make([]string, len(places))
	for i, place := range places {
		texts[i] = strconv.FormatInt(place, 10)
	}
	var b clickhouse.Binder
	return b.Query("SELECT toUnixTimestamp64Milli(started_at) AS started_at_ms, run_id FROM " + keysTable + " WHERE " +
		inSnapshot(&b, c.request.WorkspaceID, c.id) + " AND _part = " + b.ID("part", part) +
		" AND _part_offset IN CAST(splitByChar(',', " + b.ID("places", strings.Join(texts, ",")) +
		"), 'Array(UInt64)')\nORDER BY " + tableOrder)
}

// blocks runs a query, and calls fn for each block of its results.
func (r *Reader) blocks(ctx context.Context, q clickhouse.Query, results proto.Results, fn func()) error {
	q = r.Limited(q)
	query := q.Native()
	query.Result = results
	query.OnResult = func(context.Context, proto.Block) error {
		fn()
		return nil
	}
	if err := clickhouse.Do(ctx, r.Client, query); err != nil {
		return fmt.Errorf("query %s: %w", q.ID, err)
	}
	return nil
}

// snapshotKeys is the query for readWindows: the keys at which the windows of a request's
// snapshot begin. A window has size rows and the rest of its last group. A snapshot has each row
// exactly once, so windows that begin at these keys partition it (invariant 3). None begins inside
// a group. A row without a group is a group by itself.
func snapshotKeys(r *export.Request, id string, size int64) clickhouse.Query {
	var b clickhouse.Binder
	return b.Query("SELECT tupleElement(key, 1) AS group_key,\n" +
		"toUnixTimestamp64Milli(tupleElement(key, 2)) AS started_at_ms,\n" +
		"tupleElement(key, 3) AS run_id, tupleElement(key, 4) AS node_run_id, toInt64(first) AS first,\n" +
		"toInt64(last) AS last FROM (\n" +
		"    SELECT argMinIf((" + snapshotOrder + "), number, begins) AS key, minIf(number, begins) AS first,\n" +
		"    max(number) AS last FROM (\n" +
		"        SELECT " + snapshotOrder + ", row_number() OVER w AS number,\n" +
		"        group_key = '' OR group_key != lagInFrame(group_key) OVER w AS begins\n" +
		"        FROM " + New(r, export.Selection{}).snapshotTable() + " WHERE " + inSnapshot(&b, r.WorkspaceID, id) + "\n" +
		"        WINDOW w AS (ORDER BY " + snapshotOrder + " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)\n" +
		"    ) GROUP BY intDiv(number - 1, " + b.Count("size", size) + ")\n) ORDER BY last")
}

// readWindows returns the windows that snapshotKeys cuts a snapshot into, and how many rows it has.
func readWindows(ctx context.Context, r *Reader, q clickhouse.Query) (windows []export.PlannedWindow, rows int64,
	err error) {
	var group, run, node proto.ColStr
	var startedAt, first, last proto.ColInt64
	var starts []int64 // of each window, the number of rows before it
	results := proto.Results{
		{Name: "group_key", Data: &group}, {Name: "started_at_ms", Data: &startedAt}, {Name: "run_id", Data: &run},
		{Name: "node_run_id", Data: &node}, {Name: "first", Data: &first}, {Name: "last", Data: &last},
	}
	err = r.blocks(ctx, q, results, func() {
		for i := range run.Rows() {
			if rows = last.Row(i); first.Row(i) == 0 {
				continue // all of them are in a group that began before
			}
			key := &export.Key{
				Group: group.Row(i), StartedAt: time.UnixMilli(startedAt.Row(i)).UTC(), RunID: run.Row(i), NodeRunID: node.Row(i),
			}
			windows, starts = append(windows, export.PlannedWindow{From: key}), append(starts, first.Row(i)-1)
		}
	})
	if err != nil {
		return nil, 0, err
	}
	for i := range windows {
		end := rows
		if i+1 < len(windows) {
			end = starts[i+1]
		}
		windows[i].Rows = end - starts[i]
	}
	return windows, rows, nil
}
