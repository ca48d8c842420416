package history

import (
	"cmp"
	"context"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// maxNodePairs is how many pairs of runs the comparison of nodes covers, the newest.
const maxNodePairs = 2000

// NodeResult is how a node ran in the runs of the base and of the version that are compared.
type NodeResult struct {
	NodeID, NodeName, NodeType string
	Base, Version              NodeNumbers
}

// NodeNumbers are numbers of the node runs of a node in one version. Numbers that no node run has are
// nil.
type NodeNumbers struct {
	NodeRuns, Failed int64
	P50, P95         *float64 // of the latency, in milliseconds
	CostUSD, Tokens  *float64 // the mean of those that have it
}

// compareNodes reads the nodes of the newest pairs.
func (r *reading) compareNodes(ctx context.Context, q *CompareQuery, m *match) (nodes []NodeResult, pairs int64,
	err error) {
	all := m.pairs("")
	slices.SortFunc(all, func(a, b inputPair) int { return cmp.Compare(b.version.started, a.version.started) })
	all = all[:min(len(all), maxNodePairs)]
	if len(all) == 0 {
		return nil, 0, nil
	}
	var base, version []string
	first, last := all[0].base.started, all[0].base.started
	for _, p := range all {
		base, version = append(base, p.base.run), append(version, p.version.run)
		first = min(first, p.base.started, p.version.started)
		last = max(last, p.base.started, p.version.started)
	}
	// A node run starts with its run or later.
	in := r.app(q.Source, q.AppID) + " AND started_at BETWEEN " + r.Milli("first", first) + " AND " +
		r.Milli("last", last+dayMilli) + " AND run_id IN " + r.Texts("runs", append(base, version...))
	sql := "SELECT node_id, run_id IN " + r.IDs("base_runs", base) + " AS of_base, argMax(node_name, started_at)," +
		" argMax(node_type, started_at), avg(ifNull(sequence, 0)) AS place,\n    toInt64(count())," +
		" toInt64(countIf(status = 'failed')), quantiles(0.5, 0.95)(toUnixTimestamp64Milli(ended_at) -" +
		" toUnixTimestamp64Milli(started_at)), toInt64(countIf(isNotNull(ended_at))),\n    avg(cost_usd)," +
		" avgIf(ifNull(usage_input_tokens, 0) + ifNull(usage_output_tokens, 0), isNotNull(usage_input_tokens) OR" +
		" isNotNull(usage_output_tokens)),\n" +
		"    toInt64(countIf(isNotNull(usage_input_tokens) OR isNotNull(usage_output_tokens)))" +
		"\nFROM " + latest("nodes", in) + "\nGROUP BY node_id, of_base ORDER BY place, node_id, of_base"
	places := map[string]int{}
	err = r.each(ctx, sql, func(rows driver.Rows) error {
		var id, name, kind string
		var ofBase uint8
		var place, tokens float64
		var n NodeNumbers
		var ended, counted int64
		var latency []float64
		err := rows.Scan(&id, &ofBase, &name, &kind, &place, &n.NodeRuns, &n.Failed, &latency, &ended, &n.CostUSD, &tokens,
			&counted)
		if ended > 0 {
			n.P50, n.P95 = &latency[0], &latency[1]
		}
		if counted > 0 {
			n.Tokens = &tokens
		}
		i, known := places[id]
		if !known {
			i = len(nodes)
			places[id], nodes = i, append(nodes, NodeResult{NodeID: id, NodeName: name, NodeType: kind})
		}
		if ofBase == 1 {
			nodes[i].Base = n
		} else {
			nodes[i].Version = n
		}
		return err
	})
	return nodes, int64(len(all)), err
}
