package selection

import "github.com/millrace/millrace/pipeline/clickhouse"

// Queries are those that a [SnapshotReader] reads the range with.
func (r *SnapshotRange) Queries() []clickhouse.Query {
	if shape := r.shape(); shape.wide() {
		return []clickhouse.Query{r.wideQuery(shape)}
	}
	return []clickhouse.Query{r.keysQuery(), r.runsQuery()}
}
