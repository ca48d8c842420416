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
