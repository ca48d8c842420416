package history

import (
	"context"
	"strconv"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/columns"
)

// newestFeedback returns a query for the newest feedback on each whole run of the workspace.
// Condition narrows the runs by their key; "" is all. The order is that of exports: by version,
// then feedback_id.
func newestFeedback(selected, condition string) string {
	prewhere := inWorkspace
	if condition != "" {
		prewhere += " AND " + condition
	}
	return "SELECT " + selected + " FROM feedback FINAL PREWHERE " + prewhere + " WHERE node_id = ''" +
		"\nORDER BY run_id, version DESC, feedback_id DESC LIMIT 1 BY run_id"
}

// longText is the number of characters of a text that a list shows.
const longText = "2000"

// cut returns two expressions: the beginning of a text, and whether there is more.
func cut(column string) string {
	return "substringUTF8(" + column + ", 1, " + longText + "), lengthUTF8(" + column + ") > " + longText
}

// newestFeedback reads the newest feedback of a page's runs, by run_id.
func (r *reading) newestFeedback(ctx context.Context, condition string) (map[string]*Feedback, error) {
	feedback := map[string]*Feedback{}
	selected := "run_id, feedback_id, node_id, rating, score, " + cut("comment") + ", tags, " +
		cut("corrected_answer") + ", created_by, created_at"
	err := r.each(ctx, newestFeedback(selected, condition), func(rows driver.Rows) error {
		var run string
		var f Feedback
		var comment, answer bool
		err := rows.Scan(&run, &f.FeedbackID, &f.NodeID, &f.Rating, &f.Score, &f.Comment, &comment, &f.Tags,
			&f.CorrectedAnswer, &answer, &f.CreatedBy, &f.CreatedAt)
		f.Truncated = comment || answer
		feedback[run] = &f
		return err
	})
	return feedback, err
}

// targets are the columns of feedback, whole.
func (f *Feedback) targets() targets {
	return targets{
		{"feedback_id", &f.FeedbackID}, {"node_id", &f.NodeID}, {"rating", &f.Rating}, {"score", &f.Score},
		{"comment", &f.Comment}, {"tags", &f.Tags}, {"corrected_answer", &f.CorrectedAnswer},
		{"created_by", &f.CreatedBy}, {"created_at", &f.CreatedAt},
	}
}

// feedback reads the feedback of the run, newest first, limit rows at most.
func (r *reading) feedback(ctx context.Context, where string, limit int) ([]Feedback, error) {
	list := []Feedback{}
	err := r.each(ctx, "SELECT "+selectList(columns.Feedback, new(Feedback).targets())+
		" FROM feedback FINAL PREWHERE "+ofRun+where+
		"\nORDER BY version DESC, feedback_id DESC LIMIT "+strconv.Itoa(limit), func(rows driver.Rows) error {
		var f Feedback
		err := rows.Scan(f.targets().places()...)
		list = append(list, f)
		return err
	})
	return list, err
}
