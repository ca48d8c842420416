package evaluation

import (
	"slices"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/jsonscan"
)

// Ragas is target ragas of the evaluations.
var Ragas = format.Target{
	Name: "ragas", Purposes: purposes,
	Reader: "[Ragas](https://docs.ragas.io), `EvaluationDataset.from_jsonl`",
	Shape:  "`user_input, response, retrieved_contexts[], reference?`: single-turn samples",
	Rules: []string{
		"all texts are strings, and `user_input` and `response` are never empty",
		"`retrieved_contexts` is always there, `[]` where nothing was retrieved: Ragas takes the keys of the first sample " +
			"for those of all",
	},
	Drops: []format.Drop{dropNoQuestion, dropNoAnswer},
	Keys: slices.Concat(format.Texts("user_input", "response"), listOfTexts("retrieved_contexts"),
		format.Texts("reference")),
	Formats: format.OnlyJSONL, Make: makeFunc("ragas", record.WithChunks, appendRagas),
	Load: `python3 -c "from ragas import EvaluationDataset; print(len(EvaluationDataset.from_jsonl('{file}')))"`,
}

// appendRagas writes SingleTurnSample
// (https://github.com/explodinggradients/ragas/blob/main/src/ragas/dataset_schema.py).
func appendRagas(f *formatter, dst []byte, row *record.Row) (out []byte, drop string) {
	input, output, drop := f.inputAndOutput(row)
	if drop != "" {
		return dst, drop
	}
	out = append(dst, `{"user_input":`...)
	out = jsonscan.AppendString(out, input)
	out = append(out, `,"response":`...)
	out = jsonscan.AppendString(out, output)
	out = append(out, `,"retrieved_contexts":`...)
	out = record.AppendStrings(out, f.Contexts(row))
	out = record.AppendOptional(out, "reference", record.ExpectedText(row))
	return append(out, '}'), ""
}
