package tuning

import (
	"slices"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/tuning/toolschema"
	"github.com/millrace/millrace/sinks/fragment"
)

// Together is target together of fine_tuning.
var Together = format.Target{
	Name: "together", Purposes: []string{format.FineTuning},
	Reader: "[Together](https://docs.together.ai/docs/fine-tuning-data-preparation), `together files upload`",
	Shape:  "`{\"messages\": [{\"role\", \"content\"}, …]}`, with `tools` only where the option asks for them",
	Rules: []string{
		"adjacent roles differ: texts of one role become one message, a blank line between them; only `tool` messages that " +
			"answer calls of one message stand together",
		"`content` is always a text, \"\" where the assistant only calls tools; `weight` of messages stays",
		"tool traffic only with the option `tools`: older checkers reject it",
		"no other keys, and all lines of one format",
		"a file has 50 GB at most",
	},
	Options: tuningOptions(format.Option{Name: "tools", Kind: format.Flag, Default: false,
		Text: "`true`: keep tool calls, their answers and `tools`; needs together ≥ 2.10"}),
	Drops: tuningDrops(dropsTools, format.Drop{Reason: "tool_traffic",
		Text: "the conversation calls tools, and the option `tools` is not set"},
		format.Drop{Reason: dropUnwanted, Text: "of adjacent answers, which become one, only some have `weight` 0"}),
	Keys:    chatKeys,
	Formats: format.OnlyJSONL, Limits: fragment.Limits{MaxBytes: 50_000_000_000},
	Load: "together files upload {file} --purpose fine-tune",
	Make: func(_ string, o *format.Options) format.Formatter {
		if o.Boolean("tools", false) {
			return newFormatter(o, reader{lastCalls: true, tools: true, weights: weighsEach}, appendTogetherTools)
		}
		return newFormatter(o, reader{weights: weighsEach}, appendTogether)
	},
}

// appendTogether writes what together's checker accepts: files.py of the package together,
// validate_messages. Version 1.5 refuses tool traffic and equal adjacent roles.
func appendTogether(dst []byte, _ *record.Row, c *conversation) (out []byte, drop string) {
	if slices.ContainsFunc(c.prompt(), func(m message) bool { return m.first < m.last || m.role == roleTool }) {
		return dst, "tool_traffic"
	}
	c.cutCalls()
	if !c.merge() {
		return dst, dropUnwanted
	}
	dst = append(dst, `{"messages":[`...)
	return append(c.appendMessages(dst, c.messages, true), `]}`...), ""
}

func appendTogetherTools(dst []byte, _ *record.Row, c *conversation) (out []byte, drop string) {
	if drop := c.readTools(toolschema.OpenAI); drop != "" {
		return dst, drop
	}
	if !c.merge() {
		return dst, dropUnwanted
	}
	dst = append(dst, `{"messages":[`...)
	dst = c.appendMessages(dst, c.messages, true)
	dst = append(dst, ']')
	return append(c.appendTools(dst, false), '}'), ""
}

// merge makes one message of adjacent messages of the user, or of the assistant. No text is lost: a
// message of the assistant before another one has no calls, because answers to calls would be
// between them. Merge returns false if only some answers of one message are to be learnt.
func (c *conversation) merge() bool {
	kept := c.messages[:1]
	for _, m := range c.messages[1:] {
		before := &kept[len(kept)-1]
		if m.role != before.role || m.role == roleTool {
			kept = append(kept, m)
			continue
		}
		if (before.weight == weightZero) != (m.weight == weightZero) {
			return false
		}
		before.first, before.last, before.weight = m.first, m.last, max(before.weight, m.weight)
		if m.text != nil {
			before.text = c.Join(before.text, m.text, record.BlankLine)
		}
	}
	c.messages = kept
	return true
}
