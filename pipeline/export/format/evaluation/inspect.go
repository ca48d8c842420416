package evaluation

import (
	"slices"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/jsonscan"
)

// Inspect is target inspect of the evaluations.
var Inspect = format.Target{
	Name: "inspect", Purposes: purposes,
	Reader: "[Inspect AI](https://inspect.aisi.org.uk), `json_dataset`",
	Shape:  "`id, input, target, metadata{}`",
	Rules: []string{
		"`input` and `target` are strings and never empty: the scorers `match` and `includes` take every answer for right " +
			"where the target is empty",
		"`id` is unique",
	},
	Drops:   []format.Drop{dropNoQuestion, dropNoReference},
	Keys:    slices.Concat(format.Texts("id", "input", "target"), format.Documents("metadata")),
	Formats: format.OnlyJSONL, Make: makeFunc("inspect", record.NoNodes, appendInspect),
	Load: `python3 -c "from inspect_ai.dataset import json_dataset; print(len(json_dataset('{file}')))"`,
}

// appendInspect writes samples
// (https://github.com/UKGovernmentBEIS/inspect_ai/blob/main/src/inspect_ai/dataset/_util.py). A
// sample without a target would be read as one with the target "", so such a row is dropped.
func appendInspect(f *formatter, dst []byte, row *record.Row) (out []byte, drop string) {
	target := record.ExpectedText(row)
	if target == nil {
		return dst, dropNoReference.Reason
	}
	input := f.Input(row)
	if len(input) == 0 {
		return dst, dropNoQuestion.Reason
	}
	out = append(dst, `{"id":`...)
	out = f.ids.Append(out, row)
	out = append(out, `,"input":`...)
	out = jsonscan.AppendString(out, input)
	out = append(out, `,"target":`...)
	out = jsonscan.AppendString(out, target)
	out = append(out, `,"metadata":`...)
	out = appendOrigin(out, row, false)
	return append(out, '}'), ""
}
