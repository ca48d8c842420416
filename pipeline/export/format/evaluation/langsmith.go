package evaluation

import (
	"slices"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/jsonscan"
)

// LangSmith is target langsmith of the evaluations.
var LangSmith = format.Target{
	Name: "langsmith", Purposes: purposes,
	Reader: "[LangSmith](https://docs.langchain.com/langsmith), `Client().create_examples`, or upload of a key-value " +
		"data set",
	Shape: "`id, inputs{}, outputs{answer}?, metadata{}, split?, source_run_id?`",
	Rules: []string{
		"`id` is a UUID, the same in every export of the run",
		"`outputs` is what was expected, under `answer` for a run and `output` for a node run; it is absent where nothing is",
		"`source_run_id` is the id of the run, or node run, where that is a UUID",
		"`split` where the request has splits",
	},
	Drops: []format.Drop{dropNoQuestion},
	Keys: slices.Concat(format.Texts("id"), format.Documents("inputs", "outputs", "metadata"),
		format.Texts("split", "source_run_id")),
	Formats: format.OnlyJSONL, Make: makeFunc("langsmith", record.NoNodes, appendLangSmith),
	Load: pythonCommand("langsmith"),
}

// appendLangSmith writes ExampleCreate
// (https://github.com/langchain-ai/langsmith-sdk/blob/main/python/langsmith/schemas.py).
func appendLangSmith(f *formatter, dst []byte, row *record.Row) (out []byte, drop string) {
	out = append(dst, `{"id":`...)
	out = f.ids.Append(out, row)
	out = append(out, `,"inputs":`...)
	out, some := f.appendInputs(out, row)
	if !some {
		return dst, dropNoQuestion.Reason
	}
	if text := record.ExpectedText(row); text != nil {
		if row.Node != nil {
			out = append(out, `,"outputs":{"output":`...)
		} else {
			out = append(out, `,"outputs":{"answer":`...)
		}
		out = append(jsonscan.AppendString(out, text), '}')
	}
	out = append(out, `,"metadata":`...)
	out = appendOrigin(out, row, false)
	out = record.AppendOptional(out, "split", row.Split)
	id := row.RunID
	if row.Node != nil {
		id = row.Node.NodeRunID
	}
	if isUUID(id) {
		out = record.AppendOptional(out, "source_run_id", id)
	}
	return append(out, '}'), ""
}

// isUUID reports whether an id has the form of RFC 9562, section 4.
func isUUID(id []byte) bool {
	if len(id) != 36 {
		return false
	}
	for i, c := range id {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'f':
		default:
			return false
		}
	}
	return true
}
