package evaluation

import (
	"slices"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/jsonscan"
)

// Langfuse is target langfuse of the evaluations.
var Langfuse = format.Target{
	Name: "langfuse", Purposes: purposes,
	Reader: "[Langfuse](https://langfuse.com), `POST /api/public/dataset-items`",
	Shape:  "`datasetName, id, input{}, expectedOutput?, metadata{}, sourceTraceId?`",
	Rules: []string{
		"`datasetName` is the name of the app, or else its id; the data set must be there before its items",
		"`id` is a UUID, the same in every export of the run: posting an item again replaces it",
		"`input` is an object, whose keys prompt experiments take for variables; `expectedOutput` is a string",
	},
	Drops: []format.Drop{dropNoQuestion},
	Keys: slices.Concat(format.Texts("datasetName", "id"), format.Documents("input"), format.Texts("expectedOutput"),
		format.Documents("metadata"), format.Texts("sourceTraceId")),
	Formats: format.OnlyJSONL, Make: makeFunc("langfuse", record.NoNodes, appendLangfuse),
	Load: pythonCommand("langfuse"),
}

// appendLangfuse writes CreateDatasetItemRequest
// (https://github.com/langfuse/langfuse/blob/main/fern/apis/server/definition/dataset-items.yml).
func appendLangfuse(f *formatter, dst []byte, row *record.Row) (out []byte, drop string) {
	out = append(dst, `{"datasetName":`...)
	if record.IsBlank(row.AppName) {
		out = jsonscan.AppendString(out, row.AppID)
	} else {
		out = jsonscan.AppendString(out, row.AppName)
	}
	out = append(out, `,"id":`...)
	out = f.ids.Append(out, row)
	out = append(out, `,"input":`...)
	out, some := f.appendInputs(out, row)
	if !some {
		return dst, dropNoQuestion.Reason
	}
	out = record.AppendOptional(out, "expectedOutput", record.ExpectedText(row))
	out = append(out, `,"metadata":`...)
	out = appendOrigin(out, row, false)
	out = record.AppendOptional(out, "sourceTraceId", row.TraceID)
	return append(out, '}'), ""
}
