package purposes

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/export"
)

// A request may name several apps, or none for all of the workspace: in one file and in many it has the runs that an
// analyst finds, and its completion and its card say whose they are.
func TestARequestMayNameSeveralAppsOrNone(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSampleSite(t, 300)
	apps := e2etest.QueryTexts(t, s.Conn, "SELECT app_id FROM runs_latest WHERE source = 'recipe' "+
		"GROUP BY app_id ORDER BY app_id")
	if len(apps) < 2 {
		t.Fatalf("the sample has the recipes %v", apps)
	}
	for id, asked := range map[string][]string{"two": apps[:2], "all": nil} {
		request := object{"workspace_id": "default", "purpose": "export_dataset", "source": "recipe", "format": "jsonl",
			"filters": object{"statuses": []string{"succeeded"}}}
		where := "source = 'recipe' AND status = 'succeeded'"
		if asked != nil {
			request["app_id"] = asked
			where += fmt.Sprintf(" AND app_id IN ('%s')", strings.Join(asked, "', '"))
		}
		want := e2etest.QueryTexts(t, s.Conn, "SELECT run_id FROM runs_latest WHERE "+where+" ORDER BY started_at, run_id")
		batch := e2etest.NewBatch(t, s)
		for size, fragment := range map[string]object{"one": {"max_records": 100_000}, "many": {"max_records": 10}} {
			request["export_id"], request["fragment"] = id+"-"+size, fragment
			request["selection"] = object{"window": object{"from": "1970-01-01T00:00:00Z", "to": "2200-01-01T00:00:00Z"}}
			batch.File(t, request)
		}
		for x, c := range batch.Wait(t) {
			if c.Status != export.StatusSucceeded || c.AppID != strings.Join(asked, ",") {
				t.Fatalf("%s: %s of the apps %q: %+v", x.ExportID, c.Status, c.AppID, c.Failure())
			}
			var got []string
			for _, record := range e2etest.RecordsOf(t, &c) {
				got = append(got, record["run_id"].(string))
			}
			if len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("%s has %d runs, want %d in their order", x.ExportID, len(got), len(want))
			}
		}
	}
	refused := s.Env.Try(t, "", "request", "--source", "recipe", "--app", apps[0], "--app", apps[1], "--purpose",
		"recipe_evaluation", "--limit", "10")
	if refused.Code != 2 || !strings.Contains(refused.Stderr, "--app: must be one id") {
		t.Errorf("two recipes compared: exit code %d, %s", refused.Code, refused.Stderr)
	}
}
