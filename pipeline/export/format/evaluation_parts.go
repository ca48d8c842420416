package format

import (
	"github.com/millrace/millrace/sinks/fragment"
	"github.com/millrace/millrace/sinks/fragment/jsontext"
)

// Parts of the canonical evaluation records: each with the column that describes what is appended.

func expectationsColumn() fragment.Column {
	return fragment.Column{Name: "expectations", Type: fragment.Struct, Fields: []fragment.Column{
		{Name: "expected_response", Required: true, Long: true},
	}}
}

func appendExpectations(dst []byte, row *Row) []byte {
	text := expectedText(row)
	if text == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, `{"expected_response":`...)
	return append(jsontext.AppendString(dst, text), '}')
}

func scoresColumn() fragment.Column {
	score := fragment.Column{Type: fragment.Struct, Required: true, Fields: []fragment.Column{
		{Name: "name", Required: true, Dictionary: true},
		{Name: "value", Type: fragment.Float, Required: true},
		{Name: "label", Dictionary: true},
	}}
	return fragment.Column{Name: "scores", Type: fragment.List, Required: true, Element: &score}
}

// appendScores appends the verdict as numbers: the score, and the rating as 1 or 0.
func appendScores(dst []byte, row *Row) []byte {
	dst = append(dst, '[')
	if !row.HasFeedback {
		return append(dst, ']')
	}
	score := row.Feedback.Score
	if score.Valid {
		dst = append(dst, `{"name":"score","value":`...)
		dst = jsontext.AppendFloat(dst, score.Value)
		dst = append(dst, `,"label":null}`...)
	}
	up, is := isThumbsUp(row.Feedback.Rating)
	if is && score.Valid {
		dst = append(dst, ',')
	}
	switch {
	case up:
		dst = append(dst, `{"name":"rating","value":1.0,"label":"thumbsUp"}`...)
	case is:
		dst = append(dst, `{"name":"rating","value":0.0,"label":"thumbsDown"}`...)
	}
	return append(dst, ']')
}

func comparisonColumn() fragment.Column {
	version := fragment.Column{Dictionary: true} // null for rows without a version
	return fragment.Column{Name: "comparison", Type: fragment.Struct, Required: true, Fields: []fragment.Column{
		{Name: "input_group"},
		{Name: "versions", Type: fragment.List, Required: true, Element: &version},
		{Name: "runs_in_group", Type: fragment.Integer, Required: true},
		{Name: "rank", Type: fragment.Integer, Required: true},
		{Name: "best_version", Dictionary: true},
		{Name: "previous_version", Dictionary: true},
		{Name: "previous_answer", Long: true},
		{Name: "previous_score", Type: fragment.Float},
	}}
}

func evaluationRunColumn() fragment.Column {
	return fragment.Column{Name: "run", Type: fragment.Struct, Required: true, Fields: []fragment.Column{
		{Name: "question", Long: true},
		{Name: "answer", Long: true},
		{Name: "status", Dictionary: true},
	}}
}

// appendEvaluationRun appends what is around a node run.
func appendEvaluationRun(dst []byte, row *Row) []byte {
	dst = append(dst, `{"question":`...)
	dst = appendText(dst, row.Question)
	dst = append(dst, `,"answer":`...)
	dst = appendText(dst, row.Answer)
	dst = append(dst, `,"status":`...)
	dst = appendText(dst, row.Status)
	return append(dst, '}')
}
