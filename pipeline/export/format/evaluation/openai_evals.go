package evaluation

import (
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/jsonscan"
)

// OpenAIEvals is target openai_evals of the evaluations.
var OpenAIEvals = format.Target{
	Name: "openai_evals", Purposes: purposes,
	Reader: "[OpenAI Evals API](https://platform.openai.com/docs/guides/evals), files of purpose `evals` (OpenAI ends " +
		"it on 2026-11-30)",
	Shape: "`{item: {id, input, reference?, metadata{}}, sample: {output_text}}`",
	Rules: []string{
		"`data_source_config` is `custom` with `include_sample_schema`; in its `item_schema` all but `metadata` are " +
			"strings, and `reference` is not required",
		"graders refer to `{{item.input}}`, `{{item.reference}}` and `{{sample.output_text}}`",
	},
	Drops:   []format.Drop{dropNoQuestion, dropNoAnswer},
	Keys:    format.Documents("item", "sample"),
	Formats: format.OnlyJSONL, Make: makeFunc("openai_evals", record.NoNodes, appendOpenAIEvals),
	Load: `curl https://api.openai.com/v1/files -H "Authorization: Bearer $OPENAI_API_KEY" -F purpose=evals -F file=@{file}`,
}

// appendOpenAIEvals writes the lines of EvalJsonlFileContentSource
// (https://github.com/openai/openai-openapi, CreateEvalCustomDataSourceConfig).
func appendOpenAIEvals(f *formatter, dst []byte, row *record.Row) (out []byte, drop string) {
	input, output, drop := f.inputAndOutput(row)
	if drop != "" {
		return dst, drop
	}
	out = append(dst, `{"item":{"id":`...)
	out = f.ids.Append(out, row)
	out = append(out, `,"input":`...)
	out = jsonscan.AppendString(out, input)
	out = record.AppendOptional(out, "reference", record.ExpectedText(row))
	out = append(out, `,"metadata":`...)
	out = appendOrigin(out, row, false)
	out = append(out, `},"sample":{"output_text":`...)
	out = jsonscan.AppendString(out, output)
	return append(out, '}', '}'), ""
}
