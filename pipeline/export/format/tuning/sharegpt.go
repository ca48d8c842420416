package tuning

import (
	"slices"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/tuning/toolschema"
	"github.com/millrace/millrace/pipeline/jsonscan"
)

// ShareGPT is target sharegpt of fine_tuning.
var ShareGPT = format.Target{
	Name: "sharegpt", Purposes: []string{format.FineTuning},
	Reader: "[LLaMA-Factory](https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md), `formatting: sharegpt`",
	Shape: "`{\"conversations\": [{\"from\", \"value\"}, …], \"system\": \"…\", \"tools\": \"[…]\"}`, with " +
		"`dataset_info.json`",
	Rules: []string{
		"odd positions are `human` or `observation`, even ones `gpt` or `function_call`, and their number is even; texts " +
			"of one role become one, a blank line between them",
		"the value of `function_call` is `{\"name\", \"arguments\"}` as JSON text, or an array of them",
		"answers to calls of one message become one `observation`, as LLaMA-Factory puts them together",
		"`system` and `tools` are in every line, \"\" where there is none; `tools` is JSON text, an array of functions " +
			"with their `parameters.properties`",
	},
	Options: tuningOptions(),
	Drops: tuningDrops(dropsTools, dropsUnwanted, dropsAssistant1st, dropsTextAndCalls,
		format.Drop{Reason: "roles_do_not_alternate",
			Text: "after the answers of tools comes the user, and not the assistant"}),
	Keys:    slices.Concat(format.Documents("conversations"), format.Texts("system", "tools")),
	Formats: format.OnlyJSONL,
	Load: "llamafactory-cli train --stage sft --do_train true --model_name_or_path Qwen/Qwen3-0.6B --template qwen3 " +
		"--dataset_dir {dir}/__meta__ --dataset train --output_dir saves",
	Sidecar: "dataset_info.json",
	Make: func(_ string, o *format.Options) format.Formatter {
		return newFormatter(o, reader{lastCalls: true, tools: true}, appendShareGPT)
	},
}

// betweenResponses is what LLaMA-Factory puts between the answers to the calls of one message:
// src/llamafactory/data/converter.py, OpenAIDatasetConverter. Its templates put <tool_response>
// around all of them.
const betweenResponses = `\n</tool_response>\n<tool_response>\n`

// appendShareGPT writes what SharegptDatasetConverter of src/llamafactory/data/converter.py reads.
// The converter skips invalid lines with only a warning. It looks up system and tools in every
// line, so every line has them. FunctionFormatter of formatter.py reads a function_call: an object
// or an array of objects, without a text beside it.
func appendShareGPT(dst []byte, _ *record.Row, c *conversation) (out []byte, drop string) {
	if drop := c.readTools(toolschema.Loose); drop != "" {
		return dst, drop
	}
	if !c.userFirst() {
		return dst, dropAssistant1st
	}
	if c.answer().text != nil {
		c.cutCalls()
	}
	c.merge() // there is no answer of weight 0
	out = append(dst, `{"conversations":[`...)
	before := roleUnknown
	for i := range c.messages {
		m := &c.messages[i]
		if m.role == roleTool && before == roleTool {
			out = append(out, betweenResponses...)
			out = append(out, m.text[1:len(m.text)-1]...)
			continue
		}
		if m.role == roleUser && before == roleTool {
			return dst, "roles_do_not_alternate"
		}
		if before != roleUnknown {
			out = append(out, `"},`...)
		}
		before = m.role
		text := m.text
		switch {
		case m.first < m.last && m.text != nil:
			return dst, dropTextAndCalls
		case m.first < m.last:
			out = append(out, `{"from":"function_call","value":"`...)
			out = appendShareGPTCalls(out, c.callsOf(m))
			continue
		case m.role == roleUser:
			out = append(out, `{"from":"human","value":"`...)
		case m.role == roleTool:
			out = append(out, `{"from":"observation","value":"`...)
		default:
			out = append(out, `{"from":"gpt","value":"`...)
		}
		out = append(out, text[1:len(text)-1]...)
	}
	out = append(out, `"}],"system":`...)
	if c.system == nil {
		out = append(out, `""`...)
	}
	out = append(append(out, c.system...), `,"tools":`...)
	if len(c.defined) == 0 {
		return append(out, `""}`...), ""
	}
	if drop := c.functions(); drop != "" {
		return dst, drop
	}
	return append(jsonscan.AppendString(out, c.scratch), '}'), ""
}

// appendShareGPTCalls appends one call as an object, or several as an array, inside a JSON string.
func appendShareGPTCalls(dst []byte, calls []toolCall) []byte {
	if len(calls) == 1 {
		return calls[0].appendFlat(dst)
	}
	for i := range calls {
		if i == 0 {
			dst = append(dst, '[')
		} else {
			dst = append(dst, ',')
		}
		dst = calls[i].appendFlat(dst)
	}
	return append(dst, ']')
}

// functions writes the tools into scratch as an array of functions. LLaMA-Factory's default
// template iterates over the properties of each function.
func (c *conversation) functions() (drop string) {
	c.scratch = append(c.scratch[:0], '[')
	for i := range c.defined {
		t := &c.defined[i]
		if t.parameters != nil && !c.hasProperties(t) {
			return dropTools
		}
		if i > 0 {
			c.scratch = append(c.scratch, ',')
		}
		c.scratch = t.append(c.scratch, true)
	}
	c.scratch = append(c.scratch, ']')
	return ""
}
