package selection

import "github.com/millrace/millrace/pipeline/clickhouse"

// Queries are those that a [WindowReader] reads the range with.
func (r *SnapshotRange) Queries() []clickhouse.Query {
	if shape := r.shape(); shape.wide() {
		return []clickhouse.Query{r.wideQuery(shape)}
	}
	return []clickhouse.Query{r.keysQuery(), r.runsQuery()}
}

// Queries are those that a [WindowReader] reads the selection with.
func (q *Selection) Queries() []clickhouse.Query {
	if q.wide() {
		return []clickhouse.Query{q.wideRows()}
	}
	return []clickhouse.Query{q.keysQuery(), q.runsQuery()}
}
