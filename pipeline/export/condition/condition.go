// Package condition turns filters into SQL, so that an export has exactly the runs that a list with
// the same filters shows. No value of a filter is part of the text: all are bound.
package condition

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/columns"
	"github.com/millrace/millrace/pipeline/export"
)

// Latency is how long a run or node run took, in milliseconds; NULL where it has not ended.
const Latency = "toUnixTimestamp64Milli(ended_at) - toUnixTimestamp64Milli(started_at)"

// Row returns the conditions on columns that runs and node runs both have, but for metadata.
func Row(b *clickhouse.Binder, f *export.Filters) (all []string) {
	add := func(condition string) { all = append(all, condition) }
	if f.Statuses != nil {
		add("status IN " + b.IDs("statuses", f.Statuses))
	}
	for _, list := range []struct {
		column, name string
		values       []string
	}{{"app_version", "app_versions", f.AppVersions}, {"model", "models", f.Models},
		{"error_type", "error_types", f.ErrorTypes}} {
		if len(list.values) > 0 {
			add(list.column + " IN " + b.Texts(list.name, list.values))
		}
	}
	if f.MinLatencyMS != nil {
		add(Latency + " >= " + b.Int("min_latency", *f.MinLatencyMS))
	}
	if f.MaxLatencyMS != nil {
		add(Latency + " <= " + b.Int("max_latency", *f.MaxLatencyMS))
	}
	all = append(all, between("cost_usd", b, "cost", f.MinCostUSD, f.MaxCostUSD)...)
	if f.HasFiles != nil && *f.HasFiles {
		add("notEmpty(files)")
	} else if f.HasFiles != nil {
		add("empty(files)")
	}
	return all
}

// Run returns the conditions on columns that only runs have.
func Run(b *clickhouse.Binder, f *export.Filters) (all []string) {
	add := func(condition string) { all = append(all, condition) }
	if f.SessionID != nil {
		add("session_id = " + b.Text("session", *f.SessionID))
	}
	if f.UserID != nil {
		add("user_id = " + b.Text("user", *f.UserID))
	}
	if len(f.Triggers) > 0 {
		add("trigger IN " + b.Texts("triggers", f.Triggers))
	}
	if f.Text != "" {
		text := b.Text("text", f.Text)
		add("(positionCaseInsensitiveUTF8(question, " + text + ") > 0 OR positionCaseInsensitiveUTF8(answer, " + text +
			") > 0)")
	}
	return all
}

// Metadata returns a condition for each label, on the column of a relation such as "r."; with several
// relations, any of them may have the label.
func Metadata(b *clickhouse.Binder, f *export.Filters, relations ...string) (all []string) {
	for i, key := range slices.Sorted(maps.Keys(f.Metadata)) {
		label := b.Text(fmt.Sprintf("label%d", i), key)
		value := b.Text(fmt.Sprintf("value%d", i), f.Metadata[key])
		has := make([]string, len(relations))
		for j, relation := range relations {
			// Not mapContains, which does not find an empty key of type LowCardinality (ClickHouse
			// 26.7).
			has[j] = "arrayExists((k, v) -> k = " + label + " AND v = " + value +
				", mapKeys(" + relation + "metadata), mapValues(" + relation + "metadata))"
		}
		condition := strings.Join(has, " OR ")
		if len(has) > 1 {
			condition = "(" + condition + ")"
		}
		all = append(all, condition)
	}
	return all
}

// Feedback returns the conditions on merged feedback, see [columns.Merge], whose columns a relation
// such as "f." has. They hold for a row without feedback only where the filters ask for it.
func Feedback(b *clickhouse.Binder, f *export.Filters, relation string) (all []string) {
	add := func(condition string) { all = append(all, condition) }
	switch f.Rating {
	case "":
	case export.Unrated:
		add(relation + "feedback_id = ''")
	case export.NotThumbsDown:
		add(relation + "feedback_rating != 'thumbsDown'")
	default:
		add(relation + "feedback_rating = " + b.ID("rating", f.Rating))
	}
	if f.MinScore != nil { // a score that is NULL does not meet it
		add(relation + "feedback_score >= " + b.Float("min_score", *f.MinScore))
	}
	if len(f.Tags) > 0 {
		add("hasAny(" + relation + "feedback_tags, " + b.Array("tags", f.Tags) + ")")
	}
	for i, name := range slices.Sorted(maps.Keys(f.Scores)) {
		bounds, parameter := f.Scores[name], fmt.Sprintf("score%d", i)
		if name == export.ScoreName {
			all = append(all, between(relation+"feedback_score", b, parameter, bounds.Min, bounds.Max)...)
			continue
		}
		holds := between("assumeNotNull(v)", b, parameter, bounds.Min, bounds.Max)
		add("arrayExists((n, v) -> n = " + b.Text(parameter+"_name", name) + " AND " + strings.Join(holds, " AND ") +
			", tupleElement(" + relation + "feedback_scores, 'name'), tupleElement(" + relation + "feedback_scores, 'value'))")
	}
	return all
}

// Judged returns conditions on run_id that follow from those of [Feedback], each a look-up in table
// feedback: a judgement on the run has what is asked for. Workspace is the condition on the table. It
// does not use that a later judgement may hide it, so the look-up needs no merge.
func Judged(b *clickhouse.Binder, f *export.Filters, workspace string) (all []string) {
	add := func(conditions ...string) {
		all = append(all, "run_id IN (SELECT run_id FROM feedback WHERE "+workspace+" AND "+columns.OnRun+" AND "+
			strings.Join(conditions, " AND ")+")")
	}
	if f.Rating == "thumbsUp" || f.Rating == "thumbsDown" {
		add("rating = " + b.ID("rating", f.Rating))
	}
	if f.MinScore != nil {
		add("name = ''", "score >= "+b.Float("min_score", *f.MinScore))
	}
	if len(f.Tags) > 0 {
		add("hasAny(tags, " + b.Array("tags", f.Tags) + ")")
	}
	for i, name := range slices.Sorted(maps.Keys(f.Scores)) {
		bounds, parameter := f.Scores[name], fmt.Sprintf("score%d", i)
		column := name
		if name == export.ScoreName {
			column = ""
		}
		add(append([]string{"name = " + b.Text(parameter+"_name", column)},
			between("score", b, parameter, bounds.Min, bounds.Max)...)...)
	}
	return all
}

// between returns the conditions that an expression is in a range; NULL meets none.
func between(expression string, b *clickhouse.Binder, name string, least, most *float64) (all []string) {
	if least != nil {
		all = append(all, expression+" >= "+b.Float("min_"+name, *least))
	}
	if most != nil {
		all = append(all, expression+" <= "+b.Float("max_"+name, *most))
	}
	return all
}
