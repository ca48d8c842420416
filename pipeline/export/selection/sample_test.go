package selection_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/dryrun"
	"github.com/millrace/millrace/pipeline/runs"
)

// A sample is the same however often and in whatever way it is read, and as an analyst would take it.
func TestASampleHasTheSameRunsEachTime(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.solved(100)
	const hash = "sipHash64(toInt64(7), run_id)"
	for name, c := range map[string]struct {
		request export.Request
		runs    string // an analyst's: the runs of the sample
	}{
		"of runs": {evaluated(export.ExportDataset), "SELECT run_id FROM runs_latest ORDER BY " + hash + " LIMIT 6"},
		"of liked runs": {func() export.Request {
			r := evaluated(export.ExportDataset)
			r.Filters.Rating = "thumbsUp"
			return r
		}(), "SELECT run_id FROM runs_with_feedback WHERE feedback_rating = 'thumbsUp' ORDER BY " + hash + " LIMIT 6"},
		"of node runs": {evaluated(export.NodeOptimization, "solve"),
			"SELECT DISTINCT run_id FROM nodes_latest WHERE node_id = 'solve' ORDER BY " + hash + " LIMIT 6"},
	} {
		r := c.request
		r.Selection = export.Selection{Sample: &export.Sample{Size: 6, Seed: 7}}
		want := h.lines(c.runs)
		if len(want) != 6 {
			t.Fatalf("%s: %d runs", name, len(want))
		}
		first := h.direct(r)
		for path, rows := range map[string][]kept{"direct": first, "again": h.direct(r),
			"staged": h.inWindows(fmt.Sprint("s", rand.Uint64()), r, 7)} {
			if got := runsOf(rows); !slices.Equal(got, want) || len(rows) != len(first) {
				t.Errorf("%s, %s: %d rows of runs %v, want %v", name, path, len(rows), got, want)
			}
		}
		r.Source, r.Format = "recipe", export.JSONL
		d, err := dryrun.Run(t.Context(), h.dsn, &r, 30_000)
		if err != nil || d.Rows != int64(len(first)) {
			t.Errorf("%s: a dry run has %+v, %v", name, d, err)
		}
		r.Selection.Sample.Seed = 8
		if slices.Equal(runsOf(h.direct(r)), want) {
			t.Errorf("%s: another seed takes the same runs", name)
		}
		r.Selection.Sample.Size = 1000
		if n, all := len(h.direct(r)), len(h.direct(c.request)); n != all {
			t.Errorf("%s: a sample of more runs than there are has %d of %d rows", name, n, all)
		}
	}
}

// runsOf returns the runs of rows, sorted, each once.
func runsOf(rows []kept) []string {
	set := map[string]bool{}
	for _, row := range rows {
		set[row.run] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// Each stratum gives as many runs as the others, or all that it has.
func TestASampleIsEvenByItsStrata(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	versions := []string{"v1", "v1", "v1", "v1", "v1", "v1", "v1", "v2", "v2", "v3"} // 70, 20 and 10 of a hundred
	for i := range 100 {
		id := fmt.Sprintf("r%02d", i)
		h.run(id, i, func(r *runs.Run) {
			r.AppVersion, r.Status = versions[i%10], []string{"succeeded", "failed"}[i%10/9]
			r.Metadata = []runs.Pair{{Key: "region", Value: versions[i%10]}, {Key: "version", Value: fmt.Sprint(i % 2)}}
		})
		h.node(id, "n", i, func(n *runs.Node) {
			n.AppVersion, n.Status = versions[i%10], []string{"succeeded", "failed"}[i%10/9]
			if i%2 == 0 {
				n.Metadata = []runs.Pair{{Key: "region", Value: versions[i%10]}}
			}
		})
		if i%10 < 3 {
			h.feedback(id, "f", func(f *runs.Feedback) { f.Rating = []string{"thumbsUp", "thumbsUp", "thumbsDown"}[i%10] })
		}
	}
	version := func(i int) string { return versions[i%10] }
	for by, c := range map[string]struct {
		stratum func(i int) string
		want    []int // how many of 45 runs are of each stratum
	}{
		export.ByVersion:   {version, []int{10, 17, 18}},
		"region":           {version, []int{10, 17, 18}},
		"absent":           {func(int) string { return "" }, []int{45}},
		export.ByStatus:    {func(i int) string { return fmt.Sprint(i%10 == 9) }, []int{10, 35}},
		export.ByRating:    {func(i int) string { return []string{"up", "up", "down", ""}[min(3, i%10)] }, []int{10, 17, 18}},
		"metadata.version": {func(i int) string { return fmt.Sprint(i % 2) }, []int{22, 23}},
	} {
		for _, nodes := range [][]string{nil, {"solve"}} {
			if nodes != nil && by != "region" && by != export.ByRating {
				continue
			}
			r := evaluated(export.ExportDataset)
			if nodes != nil {
				r = evaluated(export.NodeOptimization, nodes...)
			}
			r.Selection = export.Selection{Sample: &export.Sample{Size: 45, Seed: 3, By: by}}
			rows := h.direct(r)
			staged := h.inWindows(fmt.Sprint("s", rand.Uint64()), r, 10)
			if !slices.Equal(runsOf(rows), runsOf(staged)) {
				t.Errorf("by %s: the staged sample is another one", by)
			}
			got := map[string]int{}
			for _, id := range runsOf(rows) {
				var i int
				fmt.Sscanf(id, "r%d", &i)
				got[c.stratum(i)]++
			}
			if counts := slices.Sorted(maps.Values(got)); !slices.Equal(counts, c.want) {
				t.Errorf("by %s, nodes %v: %v, want %v", by, nodes, got, c.want)
			}
		}
	}
}
