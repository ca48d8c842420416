package tuning

import (
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/tuning/toolschema"
	"github.com/millrace/millrace/sinks/fragment"
)

// OpenAIDPO is target openai_dpo of fine_tuning.
var OpenAIDPO = format.Target{
	Name: "openai_dpo", Purposes: []string{format.FineTuning},
	Reader: "[OpenAI](https://platform.openai.com/docs/guides/direct-preference-optimization), Azure OpenAI (with `bom: " +
		"true`), Fireworks and Together (tool traffic: together ≥ 2.10), preference fine-tuning",
	Shape: "`{\"input\": {\"messages\": […], \"tools\": […]}, \"preferred_output\": [message], " +
		"\"non_preferred_output\": [message]}`",
	Rules: pairRules(
		"the outputs are one message of the assistant each, of text; the last message of the input is not the assistant's",
		"messages and `tools` of the input as in `openai_chat`",
		"a file has 500 MB at most",
	),
	Options: pairOptions(),
	Drops:   pairDrops(dropsTools, dropsPrompt),
	Keys:    format.Documents("input", "preferred_output", "non_preferred_output"),
	Formats: format.OnlyJSONL, Limits: fragment.Limits{MaxBytes: 500_000_000},
	Load: "openai api files.create -f {file} -p fine-tune",
	Make: func(_ string, o *format.Options) format.Formatter {
		return newPairFormatter("openai_dpo", o, openAIDPO)
	},
}

// openAIDPO is FineTunePreferenceRequestInput of OpenAI's API description
// (https://github.com/openai/openai-openapi, revision f7f4b05).
var openAIDPO = pairShape{
	reader: reader{names: true, tools: true, weights: weighsLast},
	check:  func(c *conversation) (drop string) { return c.readTools(toolschema.OpenAI) },
	prompt: func(dst []byte, c *conversation) []byte {
		dst = append(dst, `{"input":{"messages":[`...)
		dst = c.appendMessages(dst, c.prompt(), false)
		dst = append(dst, ']')
		return append(c.appendTools(dst, false), '}')
	},
	record: func(dst, prompt, preferred, rejected []byte) []byte {
		dst = append(dst, prompt...)
		dst = appendAnswer(append(dst, `,"preferred_output":`...), preferred)
		dst = appendAnswer(append(dst, `,"non_preferred_output":`...), rejected)
		return append(dst, '}')
	},
}

// appendAnswer appends an answer as a list of one message.
func appendAnswer(dst, answer []byte) []byte {
	dst = append(dst, `[{"role":"assistant","content":`...)
	return append(append(dst, answer...), `}]`...)
}
