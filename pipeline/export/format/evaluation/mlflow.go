package evaluation

import (
	"slices"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/jsonscan"
)

var dropGoalInput = format.Drop{Reason: "goal_input",
	Text: "the inputs have the key `goal`, which MLflow takes for the sign of a conversation to simulate"}

// MLflow is target mlflow of the evaluations.
var MLflow = format.Target{
	Name: "mlflow", Purposes: purposes,
	Reader: "[MLflow 3](https://mlflow.org), `EvaluationDataset.merge_records`, `mlflow.genai.evaluate`",
	Shape:  "`inputs{}, outputs?, expectations{expected_response}?, tags{}, source{source_type, source_data{trace_id}}?`",
	Rules: []string{
		"`inputs` is never empty and has no `goal`; `outputs` is a string; values of `tags` are strings",
		"`source` is there where the run has a trace id, with type `TRACE`",
		"MLflow merges records with the same inputs: the last one stays",
	},
	Drops: []format.Drop{dropNoQuestion, dropGoalInput},
	Keys: slices.Concat(format.Documents("inputs"), format.Texts("outputs"),
		format.Documents("expectations", "tags", "source")),
	Formats: format.OnlyJSONL, Make: makeFunc("mlflow", record.NoNodes, appendMLflow),
	Load: pythonCommand("mlflow"),
}

// appendMLflow writes records of a data set
// (https://github.com/mlflow/mlflow/blob/master/mlflow/entities/evaluation_dataset.py,
// merge_records).
func appendMLflow(f *formatter, dst []byte, row *record.Row) (out []byte, drop string) {
	out = append(dst, `{"inputs":`...)
	start := len(out)
	out, some := f.appendInputs(out, row)
	if !some {
		return dst, dropNoQuestion.Reason
	}
	if f.Member(out[start:], "goal") != nil { // one of SESSION_IDENTIFIER_FIELDS, which mark conversations for MLflow
		return dst, dropGoalInput.Reason
	}
	output := f.Output(row)
	out = record.AppendOptional(out, "outputs", output)
	if text := record.ExpectedText(row); text != nil {
		out = append(out, `,"expectations":{"expected_response":`...)
		out = append(jsonscan.AppendString(out, text), '}')
	}
	out = append(out, `,"tags":`...)
	out = appendOrigin(out, row, true)
	if len(row.TraceID) > 0 {
		out = append(out, `,"source":{"source_type":"TRACE","source_data":{"trace_id":`...)
		out = append(jsonscan.AppendString(out, row.TraceID), '}', '}')
	}
	return append(out, '}'), ""
}
