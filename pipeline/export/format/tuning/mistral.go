package tuning

import (
	"slices"
	"strconv"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/tuning/toolschema"
	"github.com/millrace/millrace/sinks/fragment"
)

// Mistral is target mistral of fine_tuning.
var Mistral = format.Target{
	Name: "mistral", Purposes: []string{format.FineTuning},
	Reader: "[mistral-finetune](https://github.com/mistralai/mistral-finetune), and whatever encodes with " +
		"[mistral-common](https://github.com/mistralai/mistral-common) in its mode `finetuning`",
	Shape: "`{\"messages\": […], \"tools\": […]}` as in `openai_chat`",
	Rules: []string{
		"the id of a call is exactly 9 letters and digits",
		"no `content` beside `tool_calls`, not even in adjacent messages",
		"answers of tools are followed by the assistant",
		"a function in `tools` has a description and parameters, empty ones where the run has none; parameters are a JSON " +
			"Schema of draft 7, and its patterns such that Python compiles them",
		"`weight` of messages stays; a conversation with `tools` is learnt by its last message only",
		"a file has 512 MB at most",
	},
	Options: tuningOptions(),
	Drops: tuningDrops(dropsTools, dropsTextAndCalls,
		format.Drop{Reason: "tool_without_reply", Text: "after the answers of tools comes the user, and not the assistant"}),
	Keys:    chatKeys,
	Formats: format.OnlyJSONL, Limits: fragment.Limits{MaxBytes: 512_000_000},
	Load: `curl https://api.mistral.ai/v1/files -H "Authorization: Bearer $MISTRAL_API_KEY" -F purpose=fine-tune -F file=@{file}`,
	Make: func(_ string, o *format.Options) format.Formatter {
		return newFormatter(o, mistralReader, appendMistral)
	},
}

// mistralReader learns the calls of a last message, for which it removes their ids: tokenize_instruct
// of mistral-finetune, finetune/data/tokenize.py.
var mistralReader = reader{lastCalls: true, tools: true, weights: weighsEach}

// appendMistral writes what mistral-common validates (protocol/instruct/validator.py,
// MistralRequestValidatorV3, mode finetuning) and what mistral-finetune reads
// (finetune/data/tokenize.py). A text and calls cannot be in two adjacent messages either: the
// normalizer merges them, and the encoder of version 3 refuses the result.
func appendMistral(dst []byte, _ *record.Row, c *conversation) (out []byte, drop string) {
	if drop := c.readTools(toolschema.Mistral); drop != "" {
		return dst, drop
	}
	if len(c.defined) > 0 && c.answer().weight == weightZero {
		return dst, dropNothing // with tools, only the last message is learnt
	}
	if c.answer().text != nil {
		c.cutCalls()
	}
	var before *message
	for i := range c.messages {
		m := &c.messages[i]
		switch {
		case m.first < m.last && (m.text != nil || before != nil && before.role == roleAssistant):
			return dst, dropTextAndCalls
		case before != nil && before.role == roleTool && m.role == roleUser:
			return dst, "tool_without_reply"
		}
		before = m
	}
	c.shortIDs()
	dst = append(dst, `{"messages":[`...)
	dst = c.appendMessages(dst, c.messages, false)
	dst = append(dst, ']')
	return append(c.appendTools(dst, true), '}'), ""
}

const (
	digits62      = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	shortIDLength = 9
	shortIDCount  = 13_537_086_546_263_552 // 62^9
	firstShortID  = 100_000_000            // nine decimal digits
)

// shortIDs gives calls ids of 9 letters and digits, which are hashes of the original ids. If two
// hashes of the conversation are equal, which is unlikely, the ids are numbers.
func (c *conversation) shortIDs() {
	c.ids = c.ids[:0]
	for i := range c.calls {
		c.ids = append(c.ids, hashOf(c.calls[i].id[1:len(c.calls[i].id)-1])%shortIDCount)
	}
	for i := range c.calls {
		from := len(c.Memory)
		c.Memory = append(c.Memory, `"000000000"`...)
		n := c.ids[i]
		for at := from + shortIDLength; at > from; at-- {
			c.Memory[at], n = digits62[n%62], n/62
		}
		c.calls[i].id = c.Memory[from:len(c.Memory):len(c.Memory)]
	}
	slices.Sort(c.ids)
	if len(slices.Compact(c.ids)) == len(c.calls) {
		return
	}
	for i := range c.calls {
		from := len(c.Memory)
		c.Memory = append(strconv.AppendInt(append(c.Memory, '"'), int64(firstShortID+i), 10), '"')
		c.calls[i].id = c.Memory[from:len(c.Memory):len(c.Memory)]
	}
}
