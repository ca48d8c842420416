package evaluation

import (
	"slices"

	"bytes"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/jsonscan"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// DeepEval is target deepeval of the evaluations.
var DeepEval = format.Target{
	Name: "deepeval", Purposes: purposes,
	Reader: "[DeepEval](https://deepeval.com), `EvaluationDataset().add_goldens_from_jsonl_file`",
	Shape: "`input, actual_output?, expected_output?, retrieval_context[]?, tools_called[{name, input_parameters?, " +
		"output?}]?, additional_metadata{}`",
	Rules: []string{
		"`input` is never empty, and all texts are strings",
		"`tools_called` are the calls since the last message of the user, with what the tools answered; without any, the " +
			"node runs of type `tool`",
		"`input_parameters` is an object; arguments that are none are a text under `arguments` in it",
	},
	Drops: []format.Drop{dropNoQuestion},
	Keys: slices.Concat(format.Texts("input", "actual_output", "expected_output"), listOfTexts("retrieval_context"),
		format.Documents("tools_called", "additional_metadata")),
	Formats: format.OnlyJSONL, Make: newDeepEval,
	Load: pythonCommand("deepeval"),
}

// deepEval writes goldens
// (https://github.com/confident-ai/deepeval/blob/main/deepeval/dataset/golden.py). They have no
// scenario, which would make them goldens of conversations.
type deepEval struct {
	calls []answeredCall
}

// answeredCall is a call with the content of the tool message that answers it.
type answeredCall struct {
	record.Call
	output []byte
}

func newDeepEval(purpose string, _ *format.Options) format.Formatter {
	return newFormatter(purpose, "deepeval", record.WithToolCalls, (&deepEval{}).append)
}

func (d *deepEval) append(f *formatter, dst []byte, row *record.Row) (out []byte, drop string) {
	input := f.Input(row)
	if len(input) == 0 {
		return dst, dropNoQuestion.Reason
	}
	out = append(dst, `{"input":`...)
	out = jsonscan.AppendString(out, input)
	out = record.AppendOptional(out, "actual_output", f.Output(row))
	out = record.AppendOptional(out, "expected_output", record.ExpectedText(row))
	if contexts := f.Contexts(row); len(contexts) > 0 {
		out = append(out, `,"retrieval_context":`...)
		out = record.AppendStrings(out, contexts)
	}
	out = d.appendTools(f, out, row)
	out = append(out, `,"additional_metadata":`...)
	out = appendOrigin(out, row, false)
	return append(out, '}'), ""
}

// appendTools appends the key and the calls, or nothing if there are no calls.
func (d *deepEval) appendTools(f *formatter, dst []byte, row *record.Row) []byte {
	d.read(f, row.Subject().Messages)
	const key = `,"tools_called":[`
	separator := key
	for i := range d.calls {
		dst = append(dst, separator...)
		separator = ","
		dst = d.calls[i].append(f, dst)
	}
	if len(d.calls) == 0 {
		for i := range row.Nodes {
			if n := &row.Nodes[i]; string(n.NodeType) == "tool" {
				dst = append(dst, separator...)
				separator = ","
				dst = appendToolNode(f, dst, n)
			}
		}
	}
	if separator == key {
		return dst
	}
	return append(dst, ']')
}

// read reads the calls of the assistant since the last message of the user: earlier calls belong to
// earlier questions. It also reads calls of custom tools and those in the shape before tool_calls,
// and skips calls without a name. If a call id is used twice, an answer belongs
// to the first call without an answer.
func (d *deepEval) read(f *formatter, messages []byte) {
	d.calls = d.calls[:0]
	for m := range f.Messages(messages) {
		switch string(m.Role) {
		case "user":
			d.calls = d.calls[:0]
		case "assistant":
			for _, value := range f.Elements(m.Calls) {
				if c := f.ParseCall(value); f.HasText(c.Name) {
					d.calls = append(d.calls, answeredCall{Call: c})
				}
			}
			if c := f.ParseFunctionCall(m.FunctionCall); f.HasText(c.Name) {
				d.calls = append(d.calls, answeredCall{Call: c})
			}
		case "tool":
			for i := range d.calls {
				if c := &d.calls[i]; c.output == nil && len(c.ID) > 0 && bytes.Equal(c.ID, m.CallID) {
					c.output = m.Content
					break
				}
			}
		case "function":
			for i := range d.calls {
				if c := &d.calls[i]; c.output == nil && len(c.ID) == 0 && bytes.Equal(c.Name, m.Name) {
					c.output = m.Content
					break
				}
			}
		}
	}
}

func (c *answeredCall) append(f *formatter, dst []byte) []byte {
	dst = append(dst, `{"name":`...)
	dst = append(dst, c.Name...)
	if len(c.Arguments) > 0 && c.Arguments[0] != 'n' && (!record.IsString(c.Arguments) || f.HasText(c.Arguments)) {
		dst = append(dst, `,"input_parameters":`...)
		dst = appendArguments(f, dst, c.Arguments)
	}
	said := f.Speech(&record.Message{Content: c.output})
	dst = record.AppendOptional(dst, "output", f.Text(said.Text))
	return append(dst, '}')
}

// appendArguments appends the arguments of a call as an object. Arguments are a string with JSON.
// If the string has no object, the object has the string under the key "arguments".
func appendArguments(f *formatter, dst, arguments []byte) []byte {
	if arguments[0] == '{' {
		return record.AppendOneLine(dst, arguments)
	}
	// A model wrote the string, and ingest checked it as a text only: here it is checked as ingest
	// checks documents.
	if object := bytes.TrimSpace(f.Text(arguments)); len(object) > 0 && object[0] == '{' &&
		strictjson.Check(object) == nil {
		return record.AppendOneLine(dst, object)
	}
	return append(record.AppendValue(append(dst, `{"arguments":`...), arguments), '}')
}

// appendToolNode appends the node run of a tool as a call of the tool.
func appendToolNode(f *formatter, dst []byte, n *record.Node) []byte {
	name := n.NodeName
	if len(name) == 0 {
		name = n.NodeID
	}
	dst = append(dst, `{"name":`...)
	dst = jsonscan.AppendString(dst, name)
	if len(n.Inputs) > 0 {
		dst = append(dst, `,"input_parameters":`...)
		dst = record.AppendOneLine(dst, n.Inputs)
	}
	dst = record.AppendOptional(dst, "output", f.Document(n.Outputs, record.OutputNames))
	return append(dst, '}')
}
