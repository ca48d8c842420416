package tuning

import (
	"strconv"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/sinks/fragment"
)

// The datasets of TRL: https://huggingface.co/docs/trl/dataset_formats.

// TRLPromptCompletion is target trl_prompt_completion of fine_tuning.
var TRLPromptCompletion = format.Target{
	Name: "trl_prompt_completion", Purposes: []string{format.FineTuning},
	Reader: "[TRL](https://huggingface.co/docs/trl/dataset_formats#prompt-completion), `SFTTrainer`: the loss is on " +
		"the answer only",
	Shape:   "`{\"prompt\": [messages], \"completion\": [message]}`",
	Rules:   trlRules,
	Options: tuningOptions(),
	Drops:   tuningDrops(dropsPrompt),
	Keys:    format.Documents("prompt", "completion"),
	Formats: format.OnlyJSONL,
	Load:    "trl sft --model_name_or_path Qwen/Qwen3-0.6B --dataset_name {dir} --output_dir trained",
	Make: func(_ string, o *format.Options) format.Formatter {
		return newFormatter(o, reader{weights: weighsLast}, appendTRLCompletion)
	},
}

// TRLKTO is target trl_kto of fine_tuning.
var TRLKTO = format.Target{
	Name: "trl_kto", Purposes: []string{format.FineTuning},
	Reader: "[TRL](https://huggingface.co/docs/trl/dataset_formats#unpaired-preference), `KTOTrainer`",
	Shape:  "`{\"prompt\": [messages], \"completion\": [message], \"label\": true}`",
	Rules: append([]string{
		"`label` is true for a run rated thumbsUp and false for thumbsDown; the answer is the one that was rated, not a " +
			"corrected one",
		"both labels are there: with `dedupe` the best good and the best bad answer of each context stay",
	}, trlRules...),
	Options: tuningOptions(),
	Drops:   tuningDrops(dropsPrompt),
	Keys:    append(format.Documents("prompt", "completion"), fragment.Column{Name: "label", Type: fragment.Boolean}),
	Formats: format.OnlyJSONL, Labels: []string{"true", "false"},
	Load: "trl kto --model_name_or_path Qwen/Qwen3-0.6B --dataset_name {dir} --output_dir trained",
	Make: func(_ string, o *format.Options) format.Formatter {
		f := newFormatter(o, reader{weights: weighsLast}, appendTRLKTO)
		f.settings.onlyThumbs, f.settings.original = true, true
		return &ktoFormatter{f}
	},
}

// ktoFormatter labels its records by the rating.
type ktoFormatter struct{ *formatter }

// Label implements [format.Labelled].
func (*ktoFormatter) Label(row *record.Row) string {
	return strconv.FormatBool(string(row.Feedback.Rating) == record.RatedUp)
}

func appendTRLCompletion(dst []byte, _ *record.Row, c *conversation) (out []byte, drop string) {
	out, drop = appendTRL(dst, c)
	return append(out, '}'), drop
}

var trlRules = []string{
	"the prompt ends with the user or a tool, and the completion is one message of the assistant",
	"`content` is always a text, \"\" where the assistant only calls tools; `function.arguments` is a JSON string, so " +
		"that all lines have the same types. " +
		"Chat templates that want an object there (Qwen3.5, GLM-4.5, Nemotron 3, LFM2.5) take no tool traffic of it",
	"no other keys; definitions of tools are left out",
}

// appendTRL appends prompt and completion, without the closing brace. It drops a prompt that ends
// with the assistant: TRL's apply_chat_template would continue that message, but the completion is
// a message of its own.
func appendTRL(dst []byte, c *conversation) (out []byte, drop string) {
	if c.promptOfModel() {
		return dst, dropPromptOfModel
	}
	out = append(appendTRLPrompt(dst, c), `,"completion":[`...)
	return append(c.appendMessage(out, c.answer(), true), ']'), ""
}

func appendTRLPrompt(dst []byte, c *conversation) []byte {
	dst = append(dst, `{"prompt":[`...)
	return append(c.appendMessages(dst, c.prompt(), true), ']')
}

func appendTRLKTO(dst []byte, row *record.Row, c *conversation) (out []byte, drop string) {
	rating := string(row.Feedback.Rating)
	if rating != "thumbsUp" && rating != "thumbsDown" {
		return dst, dropNotRated
	}
	if out, drop = appendTRL(dst, c); drop != "" {
		return dst, drop
	}
	out = append(out, `,"label":`...)
	return append(strconv.AppendBool(out, rating == "thumbsUp"), '}'), ""
}
