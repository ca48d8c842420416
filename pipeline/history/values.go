package history

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/columns"
	"github.com/millrace/millrace/pipeline/runs"
)

// Values are those of the newest runs of an app: of so many for a short column, and of fewer where labels or
// feedback are read.
const (
	maxValues     = 20
	maxValueBytes = 200
	valueRuns     = 100_000
	valueLabels   = 10_000
)

// valueColumns are the short columns that [Store.Values] reads, by the key of a filter.
var valueColumns = map[string]string{"version": "app_version", "model": "model", "trigger": "trigger",
	"error_type": "error_type"}

// Values returns values that a filter by a key may have: those of the newest runs of an app that contain part,
// in upper or lower case, the most frequent first, up to 20. Keys are version, model, trigger, error_type, tag,
// score for the names of scores, and metadata for the labels; a name chooses one label, whose values are returned.
// Of another key there are none.
func (s *Store) Values(ctx context.Context, workspace, source, appID, key, name, part string) ([]string, error) {
	if !runs.ValidID(appID) {
		return nil, ErrNotFound
	}
	leave, err := s.reads.Enter(ctx, workspace)
	if err != nil {
		return nil, err
	}
	defer leave()
	r := s.read(workspace, readValues)
	values := []string{}
	from := r.valuesOf(r.app(source, appID), key, name)
	if from == "" {
		return values, nil
	}
	sql := "SELECT toString(v) AS value FROM (" + from + ")\nWHERE value != '' AND length(value) <= " +
		r.Count("longest", maxValueBytes) + " AND positionCaseInsensitiveUTF8(value, " + r.Text("part", part) +
		") > 0\nGROUP BY value ORDER BY count() DESC, value LIMIT " + r.Count("at_most", maxValues)
	err = r.each(ctx, sql, func(rows driver.Rows) error {
		var v string
		err := rows.Scan(&v)
		values = append(values, v)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list values of %s of app %s of workspace %s: %w", key, appID, workspace, err)
	}
	return values, nil
}

// valuesOf selects the values v of a key in the newest runs of an app, or returns "". Like the candidates of a
// search, it reads older snapshots too, since with FINAL it could not begin at the newest.
func (r *reading) valuesOf(inApp, key, name string) string {
	newest := func(expression string, n int64) string {
		return "SELECT " + expression + " FROM runs WHERE NOT superseded AND " + inApp +
			" ORDER BY started_at DESC, run_id DESC LIMIT " + r.Count("newest", n)
	}
	judged := func(expression string) string {
		return "SELECT " + expression + " AS v FROM feedback WHERE " + inWorkspace + " AND " + columns.OnRun +
			" AND run_id IN (" + newest("run_id", valueLabels) + ")"
	}
	switch {
	case valueColumns[key] != "":
		return newest(valueColumns[key]+" AS v", valueRuns)
	case key == "tag":
		return judged("arrayJoin(tags)")
	case key == "score":
		return judged("if(score IS NULL, '', name)")
	case key == "metadata" && name == "":
		return "SELECT arrayJoin(mapKeys(metadata)) AS v FROM (" + newest("metadata", valueLabels) + ")"
	case key == "metadata":
		return newest("metadata["+r.Text("label", name)+"] AS v", valueLabels)
	}
	return ""
}
