package seal

import (
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
)

// goldens returns the queries by the name of their file.
func goldens() map[string]*clickhousetest.Golden {
	ended := &clickhousetest.Golden{}
	ended.Add("first page", endedQuery(24*time.Hour, visit{}, 1000))
	last := visit{WorkspaceID: "acme", ExportID: "e1", EndedMs: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).UnixMilli()}
	ended.Add("a later page", endedQuery(24*time.Hour, last, 1000))
	return map[string]*clickhousetest.Golden{"ended": ended}
}

func TestGoldenQueriesAreThoseThatAreGenerated(t *testing.T) {
	t.Parallel()
	clickhousetest.CompareGoldens(t, goldens())
}

func TestEveryGoldenQueryRuns(t *testing.T) {
	t.Parallel()
	clickhousetest.RunGoldens(t, goldens())
}
