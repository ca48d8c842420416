package selection

import (
	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
)

// Queries are those that a [WindowReader] reads the range with.
func (r *SnapshotRange) Queries() []clickhouse.Query {
	queries := []clickhouse.Query{r.keysQuery(), r.runsQuery()}
	if shape := r.shape(); shape.wide() {
		queries = []clickhouse.Query{r.wideQuery(shape)}
	}
	if nodes := r.NodeRuns(); nodes.SQL != "" {
		queries = append(queries, nodes.Query)
	}
	return queries
}

// Queries are those that a [WindowReader] reads the selection with.
func (q *Selection) Queries() []clickhouse.Query {
	if q.wide() {
		return []clickhouse.Query{q.wideRows()}
	}
	return []clickhouse.Query{q.keysQuery(), q.runsQuery()}
}

// CutQueries are those that [Cut] reads a snapshot of one part with.
func CutQueries(r *export.Request, id, part string, rows, size int64) []clickhouse.Query {
	c := &placed{request: r, id: id}
	return []clickhouse.Query{c.partsQuery(), c.atQuery(part, append(places(rows, 0, size), rows-1))}
}
