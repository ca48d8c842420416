package live

import (
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/export"
)

// goldens returns the queries by the name of their file.
func goldens() map[string]*clickhousetest.Golden {
	get, list := &clickhousetest.Golden{}, &clickhousetest.Golden{}
	get.Add("an export", getQuery(export.ID{WorkspaceID: "acme", ExportID: "e1"}))
	get.Add("notices", noticesQuery("acme", []string{"e1", "e2"}))
	after := &position{At: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), ID: "e1"}
	list.Add("first page", listQuery(&Query{Workspace: "acme", Limit: 50}, nil))
	list.Add("a later page", listQuery(&Query{Workspace: "acme", Limit: 50}, after))
	list.Add("a later page, with all filters", listQuery(&Query{Workspace: "acme", Source: "recipe", AppID: "app",
		Purpose: export.FineTuning, Status: []string{"accepted", "running"}, Text: "tutor", Limit: 50}, after))
	list.Add("those that may have runs of an app", listQuery(&Query{Workspace: "acme", AppID: "app", OfAll: true,
		Limit: 20}, nil))
	list.Add("how many of each status", countsQuery(&Query{Workspace: "acme", Source: "recipe", AppID: "app",
		Text: "tutor"}, []string{"e1", "e2"}))
	return map[string]*clickhousetest.Golden{"get": get, "list": list}
}

func TestGoldenQueriesAreThoseThatAreGenerated(t *testing.T) {
	t.Parallel()
	clickhousetest.CompareGoldens(t, goldens())
}

func TestEveryGoldenQueryRuns(t *testing.T) {
	t.Parallel()
	clickhousetest.RunGoldens(t, goldens())
}
