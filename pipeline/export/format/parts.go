package format

import (
	"github.com/millrace/millrace/sinks/fragment"
	"github.com/millrace/millrace/sinks/fragment/jsontext"
)

// Parts of a record that several purposes have: each with the column that describes what is appended.

func errorColumn() fragment.Column {
	return fragment.Column{Name: "error", Type: fragment.Struct, Fields: []fragment.Column{
		{Name: "type", Dictionary: true},
		{Name: "message", Long: true},
	}}
}

func appendError(dst []byte, row *Execution) []byte {
	if len(row.ErrorType) == 0 && len(row.ErrorMessage) == 0 {
		return append(dst, "null"...)
	}
	dst = append(dst, `{"type":`...)
	dst = appendText(dst, row.ErrorType)
	dst = append(dst, `,"message":`...)
	dst = appendText(dst, row.ErrorMessage)
	return append(dst, '}')
}

func filesColumn() fragment.Column {
	file := fragment.Column{Type: fragment.Struct, Required: true, Fields: []fragment.Column{
		{Name: "file_id"},
		{Name: "name"},
		{Name: "uri"},
		{Name: "content_type", Dictionary: true},
		{Name: "size_bytes", Type: fragment.Integer},
		{Name: "direction", Dictionary: true},
	}}
	return fragment.Column{Name: "files", Type: fragment.List, Required: true, Element: &file}
}

func appendFiles(dst []byte, files []File) []byte {
	dst = append(dst, '[')
	for i := range files {
		f := &files[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"file_id":`...)
		dst = appendText(dst, f.FileID)
		dst = append(dst, `,"name":`...)
		dst = appendText(dst, f.Name)
		dst = append(dst, `,"uri":`...)
		dst = appendText(dst, f.URI)
		dst = append(dst, `,"content_type":`...)
		dst = appendText(dst, f.ContentType)
		dst = append(dst, `,"size_bytes":`...)
		dst = appendInt(dst, f.SizeBytes)
		dst = append(dst, `,"direction":`...)
		dst = appendText(dst, f.Direction)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

func feedbackColumn() fragment.Column {
	tag := fragment.Column{Required: true}
	return fragment.Column{Name: "feedback", Type: fragment.Struct, Fields: []fragment.Column{
		{Name: "rating", Dictionary: true},
		{Name: "score", Type: fragment.Float},
		{Name: "comment", Long: true},
		{Name: "tags", Type: fragment.List, Required: true, Element: &tag},
		{Name: "corrected_answer", Long: true},
	}}
}

func appendFeedback(dst []byte, row *Row) []byte {
	if !row.HasFeedback {
		return append(dst, "null"...)
	}
	f := &row.Feedback
	dst = append(dst, `{"rating":`...)
	dst = appendText(dst, f.Rating)
	dst = append(dst, `,"score":`...)
	dst = appendFloat(dst, f.Score)
	dst = append(dst, `,"comment":`...)
	dst = appendText(dst, f.Comment)
	dst = append(dst, `,"tags":[`...)
	for i, tag := range f.Tags {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = jsontext.AppendString(dst, tag)
	}
	dst = append(dst, `],"corrected_answer":`...)
	dst = appendText(dst, f.CorrectedAnswer)
	return append(dst, '}')
}

func usageColumn() fragment.Column {
	return fragment.Column{Name: "usage", Type: fragment.Struct, Fields: []fragment.Column{
		{Name: "input_tokens", Type: fragment.Integer},
		{Name: "output_tokens", Type: fragment.Integer},
	}}
}

func appendUsage(dst []byte, row *Execution) []byte {
	if !row.InputTokens.Valid && !row.OutputTokens.Valid {
		return append(dst, "null"...)
	}
	dst = append(dst, `{"input_tokens":`...)
	dst = appendInt(dst, row.InputTokens)
	dst = append(dst, `,"output_tokens":`...)
	dst = appendInt(dst, row.OutputTokens)
	return append(dst, '}')
}

func appendPairs(dst []byte, pairs []Pair) []byte {
	dst = append(dst, '{')
	for i, p := range pairs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = jsontext.AppendString(dst, p.Key)
		dst = append(dst, ':')
		dst = jsontext.AppendString(dst, p.Value)
	}
	return append(dst, '}')
}
