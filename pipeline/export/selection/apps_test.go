package selection_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/pipeline/runs"
)

// A request may be about several apps, or about all of the workspace. Their runs come in the order in
// which they started, whatever the app.
func TestARequestMayBeAboutSeveralApps(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	const rows = 60
	for i := range rows {
		r := &runs.Run{WorkspaceID: "acme", RunID: fmt.Sprintf("run-%02d", (i*37)%rows), Source: "recipe",
			AppID: []string{"c", "a", "b", "a.b"}[i%4], StartedAt: day.Add(time.Duration(i/2) * time.Second), UpdatedAt: day,
			Status: []string{"succeeded", "failed"}[i%5/4], Inputs: fmt.Sprintf(`{"n":%d}`, i/3)}
		switch i % 10 {
		case 8:
			r.WorkspaceID = "umbrella"
		case 9:
			r.Source = "copilot"
		}
		if refused, err := h.store.InsertRuns(t.Context(), []*runs.Run{r}); err != nil || refused != nil {
			t.Fatal(refused, err)
		}
		if i%3 == 0 {
			h.feedback(r.RunID, "f", func(f *runs.Feedback) { f.WorkspaceID = r.WorkspaceID })
		}
	}
	h.ingestedAt("runs", "run-00", day.Add(-time.Hour))
	const from = `SELECT concat(toString(started_at), ' ', run_id) FROM runs_with_feedback
WHERE workspace_id = 'acme' AND source = 'recipe' AND `
	for i, test := range []struct {
		apps  export.Apps
		where string
	}{
		{export.Apps{"a"}, "app_id = 'a'"},
		{export.Apps{"a", "c"}, "app_id IN ('a', 'c')"},
		{export.Apps{"a.b", "none"}, "app_id = 'a.b'"},
		{nil, "1"},
	} {
		for j, shape := range []struct {
			where string
			set   func(*export.Request)
		}{
			{"1", func(*export.Request) {}},
			{"feedback_rating = 'thumbsUp' AND status != 'failed'", func(r *export.Request) {
				r.Filters.Rating, r.Filters.Statuses = "thumbsUp", []string{"succeeded"}
			}},
			{"ingested_at >= '2026-01-01'", func(r *export.Request) {
				r.Selection = window(export.ByIngestedAt, time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), time.Now().Add(time.Hour))
			}},
			{"1", func(r *export.Request) { r.Options = map[string]any{"with_nodes": true} }},
			{"1", func(r *export.Request) { r.Selection.Limit = 1000 }},
		} {
			r := export.Request{ID: export.ID{WorkspaceID: "acme"}, Source: "recipe", AppID: test.apps,
				Purpose: export.ExportDataset, Target: export.Canonical, Format: export.JSONL}
			shape.set(&r)
			where := shape.where
			if r.Selection.Window != nil { // what was judged since comes again
				where = "1"
				if test.apps == nil || test.apps[0] != "a.b" {
					where = "run_id != 'run-00' OR feedback_rating != ''"
				}
			}
			var want []string
			for _, line := range h.lines(from + test.where + " AND (" + where + ")") {
				want = append(want, line[strings.LastIndexByte(line, ' ')+1:])
			}
			for path, rows := range map[string][]kept{"direct": h.direct(r),
				"staged": h.inWindows(fmt.Sprintf("s%d%d", i, j), r, 20)} {
				var got []string
				for _, row := range rows {
					got = append(got, row.run)
				}
				if len(want) < 3 || !slices.Equal(got, want) {
					t.Errorf("apps %v, shape %d, %s: %v, want %v", test.apps, j, path, got, want)
				}
			}
		}
	}
	r := export.Request{ID: export.ID{WorkspaceID: "acme"}, Source: "recipe", AppID: export.Apps{"a", "gone", "c"}}
	got, err := selection.UnknownNames(t.Context(), &selection.Reader{Client: h.dial()}, &r, 10)
	if err != nil || len(got) != 1 || got[0].Code != "app_not_found" || got[0].Count != 1 {
		t.Errorf("warnings %+v, %v", got, err)
	}
}
