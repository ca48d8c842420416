package tuning

import (
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/sinks/fragment"
)

// Gemini is target gemini of fine_tuning.
var Gemini = format.Target{
	Name: "gemini", Purposes: []string{format.FineTuning},
	Reader: "[Gemini on Vertex AI](https://cloud.google.com/vertex-ai/generative-ai/docs/models/" +
		"gemini-supervised-tuning-prepare), supervised tuning",
	Shape: "`{\"systemInstruction\": {\"parts\": [{\"text\"}]}, \"contents\": [{\"role\": \"user\" or \"model\", " +
		"\"parts\": [{\"text\"}]}]}`",
	Rules: []string{
		"`user` and `model` alternate, the user first and the model last; messages of one role become one, a blank line " +
			"between them",
		"one text part a turn; tool traffic becomes text, `<tool_call>` of the model and `<tool_response>` of the user, " +
			"and definitions of tools are left out",
		"`systemInstruction` only where there is a system message",
		"a file has 1 GB at most",
	},
	Options: tuningOptions(),
	Drops:   tuningDrops(dropsAssistant1st, dropsUnwanted),
	Keys:    format.Documents("systemInstruction", "contents"),
	Formats: format.OnlyJSONL, Limits: fragment.Limits{MaxBytes: 1_000_000_000},
	Load: "gcloud storage cp {file} gs://YOUR-BUCKET/",
	Make: func(_ string, o *format.Options) format.Formatter { return newFormatter(o, reader{}, appendGemini) },
}

var geminiTurns = turnShape{
	user:  `{"role":"user","parts":[{"text":"`,
	model: `{"role":"model","parts":[{"text":"`,
	end:   `"}]}`,
}

func appendGemini(dst []byte, _ *record.Row, c *conversation) (out []byte, drop string) {
	if !c.userFirst() {
		return dst, dropAssistant1st
	}
	dst = append(dst, '{')
	if c.system != nil {
		dst = append(dst, `"systemInstruction":{"parts":[{"text":`...)
		dst = append(append(dst, c.system...), `}]},`...)
	}
	dst = append(dst, `"contents":[`...)
	return append(c.appendFlat(dst, c.messages, geminiTurns), `]}`...), ""
}
