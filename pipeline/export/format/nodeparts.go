package format

import (
	"github.com/millrace/millrace/sinks/fragment"
	"github.com/millrace/millrace/sinks/fragment/jsontext"
)

// Parts of records that are about node runs: each with the column that describes what is appended.

func nodeNameColumn() fragment.Column {
	return fragment.Column{Name: "node", Type: fragment.Struct, Required: true, Fields: []fragment.Column{
		{Name: "id", Required: true, Dictionary: true},
		{Name: "name", Dictionary: true},
		{Name: "type", Dictionary: true},
		{Name: "version", Dictionary: true},
	}}
}

func appendNodeName(dst []byte, n *Node) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendText(dst, n.NodeID)
	dst = append(dst, `,"name":`...)
	dst = appendText(dst, n.NodeName)
	dst = append(dst, `,"type":`...)
	dst = appendText(dst, n.NodeType)
	dst = append(dst, `,"version":`...)
	dst = appendText(dst, n.AppVersion)
	return append(dst, '}')
}

// judgementColumn is the feedback without its tags.
func judgementColumn() fragment.Column {
	return fragment.Column{Name: "feedback", Type: fragment.Struct, Fields: []fragment.Column{
		{Name: "rating", Dictionary: true},
		{Name: "score", Type: fragment.Float},
		{Name: "comment", Long: true},
		{Name: "corrected_answer", Long: true},
	}}
}

func appendJudgement(dst []byte, row *Row) []byte {
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
	dst = append(dst, `,"corrected_answer":`...)
	dst = appendText(dst, f.CorrectedAnswer)
	return append(dst, '}')
}

func parametersColumn() fragment.Column {
	return fragment.Column{Name: "parameters", Type: fragment.Document, Required: true}
}

// appendParameters appends an object whose values are JSON texts.
func appendParameters(dst []byte, parameters []Pair) []byte {
	dst = append(dst, '{')
	for i, p := range parameters {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = jsontext.AppendString(dst, p.Key)
		dst = append(dst, ':')
		dst = appendDoc(dst, p.Value)
	}
	return append(dst, '}')
}

// passagesColumn are the chunks that a node run found.
func passagesColumn() fragment.Column {
	chunk := fragment.Column{Type: fragment.Struct, Required: true, Fields: []fragment.Column{
		{Name: "chunk_id"},
		{Name: "text", Long: true},
		{Name: "score", Type: fragment.Float},
		{Name: "source_uri", Dictionary: true},
		{Name: "title", Dictionary: true},
		{Name: "sent_to_llm", Type: fragment.Boolean},
		{Name: "used_in_answer", Type: fragment.Boolean},
	}}
	return fragment.Column{Name: "chunks", Type: fragment.List, Required: true, Element: &chunk}
}

func appendPassages(dst []byte, chunks []Chunk) []byte {
	dst = append(dst, '[')
	for i := range chunks {
		c := &chunks[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"chunk_id":`...)
		dst = appendText(dst, c.ChunkID)
		dst = append(dst, `,"text":`...)
		dst = appendText(dst, c.Text)
		dst = append(dst, `,"score":`...)
		dst = appendFloat(dst, c.Score)
		dst = append(dst, `,"source_uri":`...)
		dst = appendText(dst, c.SourceURI)
		dst = append(dst, `,"title":`...)
		dst = appendText(dst, c.Title)
		dst = append(dst, `,"sent_to_llm":`...)
		dst = appendBool(dst, c.SentToLLM)
		dst = append(dst, `,"used_in_answer":`...)
		dst = appendBool(dst, c.UsedInAnswer)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}
