package format

import "github.com/millrace/millrace/sinks/fragment/jsontext"

var evaluationRagas = Target{
	Name: "ragas", Purposes: evaluationPurposes,
	Reader: "[Ragas](https://docs.ragas.io), `EvaluationDataset.from_jsonl`",
	Shape:  "`user_input, response, retrieved_contexts[], reference?`: single-turn samples",
	Rules: []string{
		"all texts are strings, and `user_input` and `response` are never empty",
		"`retrieved_contexts` is always there, `[]` where nothing was retrieved: Ragas takes the keys of the first sample for those of all",
	},
	Drops:   []Drop{dropNoQuestion, dropNoAnswer},
	Formats: onlyJSONL, make: newRagas,
	Load: `python3 -c "from ragas import EvaluationDataset; print(len(EvaluationDataset.from_jsonl('{file}')))"`,
}

// ragas writes SingleTurnSample (https://github.com/explodinggradients/ragas/blob/main/src/ragas/dataset_schema.py).
type ragas struct{ evaluation }

func newRagas(purpose string, _ *options) Formatter {
	return &ragas{newEvaluation(purpose, "ragas", WithChunks)}
}

func (f *ragas) Append(dst []byte, row *Row) (out []byte, drop string, err error) {
	input, output, drop, err := f.both(row)
	if err != nil || drop != "" {
		return dst, drop, err
	}
	out = append(dst, `{"user_input":`...)
	out = jsontext.AppendString(out, input)
	out = append(out, `,"response":`...)
	out = jsontext.AppendString(out, output)
	out = append(out, `,"retrieved_contexts":`...)
	out = appendStrings(out, f.texts.contexts(row))
	out = appendOptional(out, "reference", expectedText(row))
	return append(out, '}'), "", nil
}
