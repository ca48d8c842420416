package history

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/export/condition"
)

// judged is a run that stands for its version on an input. Numbers that are absent are NaN.
type judged struct {
	version string
	run     string
	started int64 // milliseconds since 1970
	failed  bool
	rating  string

	score, latency, cost, tokens float64
}

// newestOf returns the start of the n-th newest run of an app in a time range, or from where there are
// fewer, and how many runs that are. Older snapshots count too: the table is read from its end, without
// FINAL.
func (r *reading) newestOf(ctx context.Context, inApp string, from, to, n int64) (cut, runs int64, err error) {
	sql := "SELECT toUnixTimestamp64Milli(min(started_at)), toInt64(count()) FROM (SELECT started_at FROM runs WHERE " +
		inApp + " AND NOT superseded AND " + r.between(from, to) +
		"\nORDER BY source DESC, app_id DESC, started_at DESC LIMIT " + r.Count("at_most", n) + ")"
	err = r.each(ctx, sql, func(rows driver.Rows) error { return rows.Scan(&cut, &runs) })
	if runs < n {
		cut = from
	}
	return cut, runs, err
}

func (r *reading) between(from, to int64) string {
	return "started_at >= " + r.Milli("from", from) + " AND started_at < " + r.Milli("to", to)
}

// orNaN returns an expression for a nullable number that is NaN where the number is absent.
func orNaN(number string) string { return "ifNull(toFloat64(" + number + "), nan)" }

// sharedInputs reads the runs of each input that two or more versions share. With FINAL it reads only
// the inputs that several versions have in any snapshot, and so it does the feedback.
func (r *reading) sharedInputs(ctx context.Context, inApp string, from, to int64) (all [][]judged, err error) {
	in := inApp + " AND " + r.between(from, to)
	shared := "input_group IN (SELECT input_group FROM runs WHERE " + in + " AND NOT superseded" +
		"\n    GROUP BY input_group HAVING uniqExact(app_version) > 1)"
	newest := "SELECT input_group, toString(app_version) AS version, argMax(tuple(run_id," +
		" toUnixTimestamp64Milli(started_at), status = 'failed',\n    " +
		orNaN(condition.Latency) + ", " + orNaN("cost_usd") +
		",\n    if(isNull(usage_input_tokens) AND isNull(usage_output_tokens), nan," +
		" toFloat64(ifNull(usage_input_tokens, 0) + ifNull(usage_output_tokens, 0)))), (started_at, run_id)) AS newest" +
		"\nFROM " + latest("runs", in) + " AND status != 'running' AND app_version != '' AND " + shared +
		"\nGROUP BY input_group, version"
	merged := verdicts(runHash + " IN (SELECT " + runHash + " FROM runs WHERE " + in + " AND NOT superseded AND " +
		shared + ")")
	list := "groupArray(version), groupArray(toString(rating)), groupArray(score)"
	for _, element := range []string{"1", "2", "3", "4", "5", "6"} {
		list += ", groupArray(newest." + element + ")"
	}
	sql := "SELECT " + list + "\nFROM (SELECT input_group, version, newest, merged_rating AS rating, " +
		orNaN("merged_score") + " AS score\nFROM (" + newest + ") AS r\nLEFT ANY JOIN (" + merged +
		") AS f ON f.run = cityHash64(r.newest.1))\nGROUP BY input_group HAVING count() > 1"
	names := map[string]string{} // so that a version is one text in memory
	err = r.each(ctx, sql, func(rows driver.Rows) error {
		var versions, ratings, runs []string
		var started []int64
		var failed []uint8
		var score, latency, cost, tokens []float64
		err := rows.Scan(&versions, &ratings, &score, &runs, &started, &failed, &latency, &cost, &tokens)
		input := make([]judged, len(versions))
		for i, v := range versions {
			if names[v] == "" {
				names[v] = v
			}
			input[i] = judged{names[v], runs[i], started[i], failed[i] == 1, ratings[i], score[i], latency[i], cost[i],
				tokens[i]}
		}
		all = append(all, input)
		return err
	})
	return all, err
}

// match holds the base and the other versions against each other, input by input.
type match struct {
	inputs        [][]judged
	since         *time.Time // see Comparison.Since
	base, version string
	began         map[string]int64
	order         []string // the versions, the one that began last first
}

// choose orders the versions, and chooses those that the query does not name, or that have no shared
// input: the version that began last, and as base the one that began before it.
func (m *match) choose() {
	m.began = map[string]int64{}
	for _, input := range m.inputs {
		for _, x := range input {
			if first, known := m.began[x.version]; !known || x.started < first {
				m.began[x.version] = x.started
			}
		}
	}
	m.order = slices.SortedFunc(maps.Keys(m.began), func(a, b string) int {
		return cmp.Or(cmp.Compare(m.began[b], m.began[a]), cmp.Compare(b, a))
	})
	known := func(version string) bool { return slices.Contains(m.order, version) }
	if !known(m.version) {
		m.version = m.order[0]
		if m.version == m.base {
			m.version = m.order[1]
		}
	}
	if !known(m.base) || m.base == m.version {
		m.base = m.order[(slices.Index(m.order, m.version)+1)%len(m.order)]
	}
}

// runOf returns the run of a version on an input, or nil.
func runOf(input []judged, version string) *judged {
	i := slices.IndexFunc(input, func(x judged) bool { return x.version == version })
	if i < 0 {
		return nil
	}
	return &input[i]
}

// against returns the outcome of a run against that of the base. By is how much it differs.
func (x *judged) against(base *judged) (outcome string, by float64) {
	switch {
	case !math.IsNaN(x.score) && !math.IsNaN(base.score):
		by = x.score - base.score
	case x.rating != "" && base.rating != "":
		by = thumb(x.rating) - thumb(base.rating)
	default:
		return Unjudged, 0
	}
	switch {
	case by > 0:
		return Better, by
	case by < 0:
		return Worse, -by
	}
	return Same, 0
}

func thumb(rating string) float64 {
	if rating == "thumbsUp" {
		return 1
	}
	return 0
}

// results returns how each version did.
func (m *match) results() []VersionResult {
	all := make([]VersionResult, len(m.order))
	for i, version := range m.order {
		all[i] = m.result(version)
	}
	return all
}

func (m *match) result(version string) VersionResult {
	v := VersionResult{Version: version, Began: time.UnixMilli(m.began[version]).UTC()}
	var score, latency, cost, tokens []float64
	add := func(to *[]float64, x float64) {
		if !math.IsNaN(x) {
			*to = append(*to, x)
		}
	}
	for _, input := range m.inputs {
		x, base := runOf(input, version), runOf(input, m.base)
		if x == nil || base == nil {
			continue
		}
		v.count(x, base)
		add(&score, x.score)
		add(&latency, x.latency)
		add(&cost, x.cost)
		add(&tokens, x.tokens)
	}
	v.Score, v.LatencyMS, v.CostUSD, v.Tokens = newSpread(score), newSpread(latency), newSpread(cost), newSpread(tokens)
	return v
}

// count counts a run of the version; the base has no outcomes.
func (v *VersionResult) count(x, base *judged) {
	v.Inputs++
	if x.failed {
		v.Failed++
	}
	switch x.rating {
	case "thumbsUp":
		v.ThumbsUp++
	case "thumbsDown":
		v.ThumbsDown++
	}
	if x == base {
		return
	}
	switch outcome, _ := x.against(base); outcome {
	case Better:
		v.Better++
	case Worse:
		v.Worse++
	case Same:
		v.Same++
	case Unjudged:
		v.Unjudged++
	}
}

// inputPair is the runs of the base and the version on an input.
type inputPair struct {
	base, version *judged
	outcome       string
	by            float64
}

// pairs returns the pairs with an outcome, or all where it is "": those that differ most first, among
// them the newest.
func (m *match) pairs(outcome string) (pairs []inputPair) {
	for _, input := range m.inputs {
		x, base := runOf(input, m.version), runOf(input, m.base)
		if x == nil || base == nil {
			continue
		}
		p := inputPair{base: base, version: x}
		if p.outcome, p.by = x.against(base); outcome == "" || p.outcome == outcome {
			pairs = append(pairs, p)
		}
	}
	slices.SortFunc(pairs, func(a, b inputPair) int {
		return cmp.Or(cmp.Compare(b.by, a.by), cmp.Compare(b.version.started, a.version.started),
			cmp.Compare(b.version.run, a.version.run))
	})
	return pairs
}
