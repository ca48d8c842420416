package tuning

import (
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/tuning/toolschema"
	"github.com/millrace/millrace/pipeline/jsonscan"
	"github.com/millrace/millrace/sinks/fragment"
)

// chatKeys are the keys of records in OpenAI's shape.
var chatKeys = format.Documents("messages", "tools")

// OpenAIChat is target openai_chat of fine_tuning.
var OpenAIChat = format.Target{
	Name: "openai_chat", Purposes: []string{format.FineTuning},
	Reader: "[OpenAI](https://platform.openai.com/docs/guides/supervised-fine-tuning) and Azure OpenAI (there with " +
		"`bom: true`); " +
		"also Fireworks, Together, Bedrock RFT, TRL's `SFTTrainer`, Axolotl's `chat_template`",
	Shape: "`{\"messages\": […], \"tools\": […]}`, the conversation of a run; `tools` where it had some",
	Rules: []string{
		"roles are `system` (first, at most once; the developer's messages are the system's), `user`, `assistant` and " +
			"`tool`; the last message is the assistant's, a text or calls of tools",
		"every `tool` message answers a call before it, and every call but the last message's has its answer; ids are " +
			"unique in a line",
		"`content` is a text, and left out where the assistant only calls tools; `function.arguments` is a JSON string",
		"`name` and `weight` of messages stay; the `parameters` of a tool are a JSON Schema of an object, with `strict` " +
			"one that OpenAI's strict mode takes",
		"no other keys: lineage is in `__meta__`",
		"at least 10 lines; a file has 500 MB at most",
	},
	Options: tuningOptions(),
	Drops:   tuningDrops(dropsTools),
	Keys:    chatKeys,
	Formats: format.OnlyJSONL, Limits: fragment.Limits{MaxBytes: 500_000_000}, Least: 10,
	Load: "openai api files.create -f {file} -p fine-tune",
	Make: func(_ string, o *format.Options) format.Formatter {
		return newFormatter(o, openAIReader, appendOpenAIChat)
	},
}

// openAIReader learns the calls of a last message: OpenAI's own examples of tool calling end with
// one (https://learn.microsoft.com/azure/ai-services/openai/how-to/fine-tuning-functions).
var openAIReader = reader{lastCalls: true, names: true, tools: true, weights: weighsEach}

// appendOpenAIChat writes FineTuneChatRequestInput of OpenAI's API description
// (https://github.com/openai/openai-openapi, revision f7f4b05). parallel_tool_calls is left out,
// because runs do not contain it.
func appendOpenAIChat(dst []byte, _ *record.Row, c *conversation) (out []byte, drop string) {
	if drop := c.readTools(toolschema.OpenAI); drop != "" {
		return dst, drop
	}
	dst = append(dst, `{"messages":[`...)
	dst = c.appendMessages(dst, c.messages, false)
	dst = append(dst, ']')
	return append(c.appendTools(dst, false), '}'), ""
}

// appendMessages appends the system message, if there is one, and messages in the shape of OpenAI's
// chat completions, without brackets. A message of the assistant that only calls tools has no
// content, or an empty one if the reader requires it.
func (c *conversation) appendMessages(dst []byte, messages []message, emptyContent bool) []byte {
	first := true
	if c.system != nil {
		dst = append(dst, `{"role":"system","content":`...)
		dst = append(append(dst, c.system...), '}')
		first = false
	}
	for i := range messages {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = c.appendMessage(dst, &messages[i], emptyContent)
	}
	return dst
}

func (c *conversation) appendMessage(dst []byte, m *message, emptyContent bool) []byte {
	switch m.role {
	case roleUser:
		dst = c.appendName(append(dst, `{"role":"user"`...), m)
		dst = append(dst, `,"content":`...)
		return append(append(dst, m.text...), '}')
	case roleTool:
		dst = append(dst, `{"role":"tool","tool_call_id":`...)
		dst = append(dst, c.calls[m.call].id...)
		dst = append(dst, `,"content":`...)
		return append(append(dst, m.text...), '}')
	}
	dst = c.appendName(append(dst, `{"role":"assistant"`...), m)
	switch {
	case m.text != nil:
		dst = append(dst, `,"content":`...)
		dst = append(dst, m.text...)
	case emptyContent:
		dst = append(dst, `,"content":""`...)
	}
	if m.first < m.last {
		dst = c.appendCalls(dst, m)
	}
	if c.reader.weights == weighsEach && m.weight != weightDefault {
		dst = append(dst, `,"weight":`...)
		dst = append(dst, '0'+byte(m.weight-weightZero))
	}
	return append(dst, '}')
}

// appendName appends the name of a speaker, if the reader takes names.
func (c *conversation) appendName(dst []byte, m *message) []byte {
	if m.name == nil || !c.reader.names {
		return dst
	}
	return append(append(dst, `,"name":`...), m.name...)
}

func (c *conversation) appendCalls(dst []byte, m *message) []byte {
	dst = append(dst, `,"tool_calls":[`...)
	for i, call := range c.callsOf(m) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"id":`...)
		dst = append(dst, call.id...)
		dst = append(dst, `,"type":"function","function":{"name":`...)
		dst = jsonscan.AppendString(dst, call.name)
		dst = append(dst, `,"arguments":`...)
		dst = append(dst, call.arguments...)
		dst = append(dst, `}}`...)
	}
	return append(dst, ']')
}
