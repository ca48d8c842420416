package history

import (
	"context"
	"strconv"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/columns"
)

// mergedFeedback returns a query for the feedback on each whole run of the workspace, as exports
// merge it. Condition narrows the runs by their key; "" is all. With whole it also has who gave the
// first judgement, and when.
func mergedFeedback(selected, condition string, whole bool) string {
	where := inWorkspace + " AND " + columns.OnRun
	if condition != "" {
		where += " AND " + condition
	}
	merge, more := columns.Merge{}, ""
	if whole {
		merge.Judgements = columns.Array
		more = ",\njudged.judgement[1].created_by AS feedback_created_by, " +
			"judged.judgement[1].created_at AS feedback_created_at"
	}
	return "SELECT " + selected + " FROM (SELECT run_id,\n" + merge.Merged(columns.MaxJudgements) + more + "\n" +
		"FROM (" + merge.Judged("run_id", where) + "))"
}

// verdicts returns a query for the merged rating and score of whole runs, by the hash of their id. It
// gives the same as mergedFeedback at a fraction of the cost where runs are many: texts and their
// joins are what costs. Two of 5 million runs have one hash once in a million tables. Related narrows
// the runs.
func verdicts(related string) string {
	const order = "(kind = 'human', version, feedback_id)"
	return "SELECT " + runHash + " AS run, argMaxIf(toString(rating), " + order + ", rating != '') AS merged_rating,\n" +
		"    argMaxIf(score, " + order + ", name = '' AND isNotNull(score)) AS merged_score\n" +
		"FROM feedback FINAL WHERE " + inWorkspace + " AND " + columns.OnRun +
		" AND (rating != '' OR isNotNull(score)) AND " + related + "\nGROUP BY run"
}

const runHash = "cityHash64(run_id)"

// longText is the number of characters of a text that a list shows.
const longText = "2000"

// cut returns two expressions: the beginning of a text, and whether there is more.
func cut(column string) string {
	return "substringUTF8(" + column + ", 1, " + longText + "), lengthUTF8(" + column + ") > " + longText
}

// mergedFeedback reads the feedback of runs by run_id, with long texts or with their beginnings.
func (r *reading) mergedFeedback(ctx context.Context, condition string, whole bool) (map[string]*Feedback, error) {
	text := cut
	if whole {
		text = func(column string) string { return column + ", false" }
	}
	feedback := map[string]*Feedback{}
	selected := "run_id, feedback_id, feedback_rating, feedback_score, " + text("feedback_comment") +
		", feedback_tags, " + text("feedback_corrected_answer") + ", feedback_created_by, feedback_created_at, " +
		"feedback_scores.name, feedback_scores.value, feedback_scores.label"
	err := r.each(ctx, mergedFeedback(selected, condition, true), func(rows driver.Rows) error {
		var run string
		var f Feedback
		var comment, answer bool
		var names, labels []string
		var values []*float64
		err := rows.Scan(&run, &f.FeedbackID, &f.Rating, &f.Score, &f.Comment, &comment, &f.Tags,
			&f.CorrectedAnswer, &answer, &f.CreatedBy, &f.CreatedAt, &names, &values, &labels)
		f.Truncated = comment || answer
		for i, name := range names {
			f.Scores = append(f.Scores, Score{name, *values[i], labels[i]})
		}
		feedback[run] = &f
		return err
	})
	return feedback, err
}

// targets are the columns of feedback, whole.
func (f *Feedback) targets() targets {
	return targets{
		{"feedback_id", &f.FeedbackID}, {"name", &f.Name}, {"kind", &f.Kind}, {"node_id", &f.NodeID},
		{"node_run_id", &f.NodeRunID}, {"rating", &f.Rating}, {"score", &f.Score},
		{"comment", &f.Comment}, {"tags", &f.Tags}, {"corrected_answer", &f.CorrectedAnswer},
		{"created_by", &f.CreatedBy}, {"created_at", &f.CreatedAt},
	}
}

// judgements reads the judgements on the run and its nodes, newest first, maxFeedback at most.
func (r *reading) judgements(ctx context.Context) ([]Feedback, error) {
	list := []Feedback{}
	err := r.each(ctx, "SELECT "+selectList(columns.Feedback, new(Feedback).targets())+
		" FROM feedback FINAL PREWHERE "+ofRun+
		"\nORDER BY version DESC, feedback_id DESC LIMIT "+strconv.Itoa(maxFeedback), func(rows driver.Rows) error {
		var f Feedback
		err := rows.Scan(f.targets().places()...)
		list = append(list, f)
		return err
	})
	return list, err
}
