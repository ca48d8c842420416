package selection

import (
	"strings"

	"github.com/millrace/millrace/pipeline/export"
)

// sampled selects the runs of the sample among those that have a selected row. They are the first by a
// hash of the seed and the run's id. With strata, the first of each stratum come first, then the second
// of each, and so on.
func (q *Selection) sampled(related string) string {
	all := *q
	all.sample, all.ordered = nil, false
	hash := "sipHash64(" + q.bind.Int("seed", q.sample.Seed) + ", run_id), run_id"
	size := " LIMIT " + q.bind.Count("sample", q.sample.Size)
	stratum, list, feedback := all.stratum(q.sample.By)
	from := all.from(keyColumns+list, related, feedback || len(q.feedbackConditions) > 0)
	switch {
	case stratum == "" && q.nodes == nil:
		return "SELECT s.run_id AS run_id " + from + "\nORDER BY " + hash + size
	case stratum == "":
		return "SELECT s.run_id AS run_id " + from + "\nGROUP BY s.run_id ORDER BY " + hash + size
	case q.nodes != nil: // the newest of its node runs says in which stratum a run is
		from += "\nGROUP BY s.run_id"
		stratum = "argMax(" + stratum + ", (s.started_at, s.node_run_id))"
	}
	return "SELECT run_id FROM (SELECT run_id, row_number() OVER (PARTITION BY stratum ORDER BY " + hash + ") AS place\n" +
		"FROM (SELECT s.run_id AS run_id, " + stratum + " AS stratum " + from + "))\nORDER BY place, " + hash + size
}

// stratum returns the expression of the stratum of a row s, "" where there is one for all, the columns
// that it reads, and whether it reads feedback.
func (q *Selection) stratum(by string) (expression, list string, feedback bool) {
	switch by {
	case "":
		return "", "", false
	case export.ByVersion:
		return "toString(s.app_version)", ", app_version", false
	case export.ByStatus:
		return "toString(s.status)", ", status", false
	case export.ByRating:
		return "toString(" + q.feedbackColumn("feedback_rating") + ")", "", true
	}
	key := q.bind.Text("sample_key", strings.TrimPrefix(by, export.ByLabel))
	value := func(relation string) string {
		return "mapValues(" + relation + "metadata)[indexOf(mapKeys(" + relation + "metadata), " + key + ")]"
	}
	if q.nodes == nil {
		return value("s."), ", metadata", false
	}
	q.joinsRun = true
	return "if(has(mapKeys(s.metadata), " + key + "), " + value("s.") + ", " + value("r.") + ")", "", false
}
