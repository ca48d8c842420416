package history

import (
	"slices"
	"testing"

	"github.com/millrace/millrace/pipeline/clickhouse"
)

// sameInput is the runs of the input of a run in other versions, written from the view.
const sameInput = `WITH this AS (SELECT input_group, app_version FROM runs_latest WHERE run_id = {run:String}),
found AS (SELECT run_id, started_at,
    row_number() OVER (PARTITION BY app_version ORDER BY started_at DESC, run_id DESC) AS n
    FROM runs_latest WHERE workspace_id = 'acme' AND source = 'recipe' AND app_id = 'app'
    AND input_group = (SELECT input_group FROM this) AND app_version != (SELECT app_version FROM this))
SELECT arrayMap(x -> x.2, arrayReverseSort(groupArray((started_at, run_id)))) FROM found WHERE n = 1`

func TestRunsOfTheSameInputAreFoundInOtherVersions(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.twice(200)
	page, err := f.store.Runs(t.Context(), Query{Workspace: "acme", Source: "recipe", AppID: "app", Limit: 60})
	if err != nil {
		t.Fatal(err)
	}
	several := 0
	for _, r := range page.Runs {
		list, err := f.store.SameInput(t.Context(), "acme", &r)
		if err != nil {
			t.Fatal(err)
		}
		var got, want []string
		for _, same := range list {
			got = append(got, same.RunID)
		}
		ctx := clickhouse.Query{Parameters: map[string]string{"run": r.RunID}}.Context(t.Context())
		if err := f.conn.QueryRow(ctx, sameInput).Scan(&want); err != nil {
			t.Fatal(err)
		}
		if len(want) > 1 {
			several++
		}
		if !slices.Equal(got, want) {
			t.Errorf("run %s: %q, want %q", r.RunID, got, want)
		}
	}
	if several == 0 {
		t.Error("no input has several other versions")
	}
}

func TestWorkspacesAreListed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, w := range []string{"b", "a", "c"} {
		r := run("r", 0)
		r.WorkspaceID = w
		f.insertRuns(r)
	}
	for n, want := range map[int][]string{2: {"a", "b"}, 9: {"a", "b", "c"}} {
		if got, err := f.store.Workspaces(t.Context(), n); err != nil || !slices.Equal(got, want) {
			t.Errorf("%d: %q, %v, want %q", n, got, err, want)
		}
	}
}
