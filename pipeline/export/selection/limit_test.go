package selection_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/dryrun"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/pipeline/runs"
)

// A small limit reads the end of the table only: hardly more rows than are requested, and no set of their keys.
// Rows that arrive after it was planned are among the most recent ones.
func TestASmallLimitReadsTheEndOfTheTable(t *testing.T) {
	t.Parallel()
	const stored, limit = 6000, 5
	h := newHistory(t)
	h.exec(fmt.Sprintf("INSERT INTO runs (workspace_id, run_id, source, app_id, status, started_at, updated_at, version) "+
		"SELECT 'acme', leftPad(toString(number), 5, '0'), 'recipe', 'app', if(number %% 2 = 0, 'succeeded', 'failed'), "+
		"toDateTime64('2026-01-01', 3, 'UTC') + number, now64(), 1 FROM numbers(%d)", stored))
	h.feedback("05996", "f")
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		filters     export.Filters
		bound       bool // whether the plan knows a time since which the rows have started
		newest, all []string
	}{
		"all": {export.Filters{}, true,
			[]string{"05995", "05996(thumbsUp )", "05997", "05998", "05999"},
			[]string{"05996(thumbsUp )", "05997", "05998", "05999", "new"}},
		"of a status": {export.Filters{Statuses: []string{"succeeded"}}, true,
			[]string{"05990", "05992", "05994", "05996(thumbsUp )", "05998"},
			[]string{"05992", "05994", "05996(thumbsUp )", "05998", "new"}},
		"of a rating": {export.Filters{Rating: "thumbsUp"}, false,
			[]string{"05996(thumbsUp )"}, []string{"05996(thumbsUp )"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := export.Request{ID: export.ID{WorkspaceID: "acme"}, Source: "recipe", AppID: export.Apps{"app"},
				Purpose: export.ExportDataset, Target: export.Canonical, Filters: c.filters,
				Selection: export.Selection{Limit: limit}}
			p := &export.Plan{ID: r.ID, Request: &r, Selection: r.Selection}
			reader := &selection.Reader{Client: h.dial(), Comment: "test"}
			if err := selection.Resolve(t.Context(), reader, p, 1000); err != nil {
				t.Fatal(err)
			}
			n, err := selection.CountRows(t.Context(), reader, p, 1e6)
			if err != nil || n != int64(len(c.newest)) {
				t.Errorf("%d rows are counted, %v; want %d", n, err, len(c.newest))
			}
			if p.Since.IsZero() == c.bound {
				t.Errorf("since %s", p.Since)
			}
			slack := time.Duration(2*(limit+limit/8+16)) * time.Second
			if c.bound && p.Since.Before(first.Add(stored*time.Second-slack)) {
				t.Errorf("since %s, which is long before the rows", p.Since)
			}
			read := func() (list []string) {
				if _, err := h.reader().ReadSelection(t.Context(), selection.Of(p), func(row *record.Row) error {
					list = append(list, describe(row))
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				return list
			}
			if got := read(); !slices.Equal(got, c.newest) {
				t.Errorf("read %v, want %v", got, c.newest)
			}
			h.run("new", 0, func(r *runs.Run) { r.StartedAt = first.Add(2 * stored * time.Second) })
			defer h.exec("ALTER TABLE runs DELETE WHERE run_id = 'new' SETTINGS mutations_sync = 1")
			if got := read(); !slices.Equal(got, c.all) {
				t.Errorf("after one more run, read %v, want %v", got, c.all)
			}
		})
	}
}

// Of an app with few runs, the most recent ones alone are read, too; and a dry run of all its rows reads no more
// than it shows.
func TestALimitOfFewRunsReadsTheNewestOnes(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.exec("INSERT INTO runs (workspace_id, run_id, source, app_id, status, started_at, updated_at, version) " +
		"SELECT 'acme', leftPad(toString(number), 5, '0'), 'recipe', 'app', 'succeeded', " +
		"toDateTime64('2026-01-01', 3, 'UTC') + number, now64(), 1 FROM numbers(300)")
	r := export.Request{ID: export.ID{WorkspaceID: "acme"}, Source: "recipe", AppID: export.Apps{"app"},
		Format:  export.JSONL,
		Purpose: export.ExportDataset, Target: export.Canonical}
	p := &export.Plan{ID: r.ID, Request: &r, Selection: export.Selection{Limit: 5}}
	reader := &selection.Reader{Client: h.dial(), Comment: "test"}
	if err := selection.Resolve(t.Context(), reader, p, 1000); err != nil {
		t.Fatal(err)
	}
	queries := selection.Of(p).Queries()
	sent := queries[1]
	sent.SQL = "SELECT toString(count()) FROM (" + sent.SQL + ")"
	sent.Settings = reader.Settings()
	if n, err := clickhouse.ReadInt(t.Context(), h.dial(), sent); err != nil || n < 5 || n > 30 {
		t.Errorf("%d runs are sent for a limit of 5, %v", n, err)
	}
	d, err := dryrun.Run(t.Context(), h.dsn, &r, 10)
	if err != nil || d.Rows != 300 || d.Read != 10 || d.Used != 10 {
		t.Errorf("a dry run has %+v, %v", d, err)
	}
}

// A limit of thousands of runs counts them first. What is read is the same, whether the feedback of the window is
// looked up or, where the workspace has little, all of it is read.
func TestALimitOfThousandsOfRunsIsThatOfTheCount(t *testing.T) {
	t.Parallel()
	const stored = 5000
	h := newHistory(t)
	h.exec(fmt.Sprintf("INSERT INTO runs (workspace_id, run_id, source, app_id, status, started_at, updated_at, "+
		"input_group, version) SELECT 'acme', leftPad(toString(number), 5, '0'), 'recipe', 'app', 'succeeded', "+
		"toDateTime64('2026-01-01', 3, 'UTC') + number, now64(), toString(number %% 700), 1 FROM numbers(%d)", stored))
	h.exec("INSERT INTO feedback (workspace_id, run_id, feedback_id, rating, comment, updated_at, version) " +
		"SELECT 'acme', leftPad(toString(number), 5, '0'), concat('f', toString(number % 2)), 'thumbsUp', toString(number), now64(), number " +
		"FROM numbers(4000, 3000)")
	for name, c := range map[string]struct {
		purpose string
		limit   int64
		bound   bool // whether the plan knows a time since which the rows have started
	}{
		"more than there are":          {export.ExportDataset, stored + 1, false},
		"as many":                      {export.ExportDataset, stored, false},
		"fewer":                        {export.ExportDataset, 4200, true},
		"more than there are, grouped": {export.RecipeEvaluation, stored + 1, false},
	} {
		r := export.Request{ID: export.ID{WorkspaceID: "acme"}, Source: "recipe", AppID: export.Apps{"app"},
			Purpose: c.purpose, Target: export.Canonical, Selection: export.Selection{Limit: c.limit}}
		p := &export.Plan{ID: r.ID, Request: &r, Selection: r.Selection}
		reader := &selection.Reader{Client: h.dial(), Comment: "test"}
		if err := selection.Resolve(t.Context(), reader, p, 30_000); err != nil {
			t.Fatal(err)
		}
		n, err := selection.CountRows(t.Context(), reader, p, 1e6)
		if want := min(stored, c.limit); err != nil || n != want || p.Since.IsZero() == c.bound {
			t.Errorf("%s: %d rows since %s, %v; want %d", name, n, p.Since, err, want)
		}
		p.Rows = n
		if err := selection.WeighFeedback(t.Context(), reader, p); err != nil || !p.AllFeedback {
			t.Errorf("%s: %d rows and 3,000 judgements: all are read: %t, %v", name, n, p.AllFeedback, err)
		}
		read := func() (list []string) {
			_, err := h.reader().ReadSelection(t.Context(), selection.Of(p), func(row *record.Row) error {
				list = append(list, describe(row))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return list
		}
		all := read()
		p.AllFeedback = false
		if related := read(); int64(len(all)) != n || !slices.Equal(all, related) {
			t.Errorf("%s: %d rows with all feedback and %d others with their own, want %d", name, len(all), len(related), n)
		}
	}
}
