package format

import (
	"bytes"

	"github.com/millrace/millrace/pipeline/jsonscan"
	"github.com/millrace/millrace/pipeline/strictjson"
)

var evaluationDeepEval = Target{
	Name: "deepeval", Purposes: evaluationPurposes,
	Reader: "[DeepEval](https://deepeval.com), `EvaluationDataset().add_goldens_from_jsonl_file`",
	Shape:  "`input, actual_output?, expected_output?, retrieval_context[]?, tools_called[{name, input_parameters?, output?}]?, additional_metadata{}`",
	Rules: []string{
		"`input` is never empty, and all texts are strings",
		"`tools_called` are the calls since the last message of the user, with what the tools answered; without any, the node runs of type `tool`",
		"`input_parameters` is an object; arguments that are none are a text under `arguments` in it",
	},
	Drops:   []Drop{dropNoQuestion},
	Formats: onlyJSONL, make: newDeepEval,
	Load: `python3 -c "from deepeval.dataset import EvaluationDataset; d = EvaluationDataset(); d.add_goldens_from_jsonl_file('{file}'); print(len(d.goldens))"`,
}

// deepEval writes goldens (https://github.com/confident-ai/deepeval/blob/main/deepeval/dataset/golden.py). A golden with
// a scenario would be one of a conversation: there is none.
type deepEval struct {
	calls []answeredCall
}

// answeredCall is a call with the content of the tool message that answers it.
type answeredCall struct {
	call
	output []byte
}

func newDeepEval(purpose string, _ *options) Formatter {
	return newEvaluation(purpose, "deepeval", WithToolCalls, (&deepEval{}).append)
}

func (d *deepEval) append(f *evaluation, dst []byte, row *Row) (out []byte, drop string) {
	input := f.input(row)
	if len(input) == 0 {
		return dst, dropNoQuestion.Reason
	}
	out = append(dst, `{"input":`...)
	out = jsonscan.AppendString(out, input)
	out = appendOptional(out, "actual_output", f.output(row))
	out = appendOptional(out, "expected_output", expectedText(row))
	if contexts := f.contexts(row); len(contexts) > 0 {
		out = append(out, `,"retrieval_context":`...)
		out = appendStrings(out, contexts)
	}
	out = d.appendTools(f, out, row)
	out = append(out, `,"additional_metadata":`...)
	out = appendOrigin(out, row, false)
	return append(out, '}'), ""
}

// appendTools appends the key and the calls, or nothing where there are none.
func (d *deepEval) appendTools(f *evaluation, dst []byte, row *Row) []byte {
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

// read reads the calls of the assistant since the last message of the user: those before belong to questions before. A
// call without a name is none. Where a call id was used twice, an answer is that to the first call without one.
func (d *deepEval) read(f *evaluation, messages []byte) {
	d.calls = d.calls[:0]
	for m := range f.messages(messages) {
		switch string(m.role) {
		case "user":
			d.calls = d.calls[:0]
		case "assistant":
			for _, value := range f.elements(m.calls) {
				if c := f.call(value); f.says(c.name) {
					d.calls = append(d.calls, answeredCall{call: c})
				}
			}
		case "tool":
			for i := range d.calls {
				if c := &d.calls[i]; c.output == nil && len(c.id) > 0 && bytes.Equal(c.id, m.callID) {
					c.output = m.content
					break
				}
			}
		}
	}
}

func (c *answeredCall) append(f *evaluation, dst []byte) []byte {
	dst = append(dst, `{"name":`...)
	dst = append(dst, c.name...)
	if len(c.arguments) > 0 && c.arguments[0] != 'n' && (!isString(c.arguments) || f.says(c.arguments)) {
		dst = append(dst, `,"input_parameters":`...)
		dst = appendArguments(f, dst, c.arguments)
	}
	output, _ := f.content(c.output)
	dst = appendOptional(dst, "output", f.text(output))
	return append(dst, '}')
}

// appendArguments appends the arguments of a call as an object. They are one written into a string; a string that
// holds no object is kept under the key "arguments", as it is.
func appendArguments(f *evaluation, dst, arguments []byte) []byte {
	if arguments[0] == '{' {
		return appendOneLine(dst, arguments)
	}
	// A model wrote it, and ingest took it for a text: it is held to what ingest holds documents to.
	if object := bytes.TrimSpace(f.text(arguments)); len(object) > 0 && object[0] == '{' && strictjson.Check(object) == nil {
		return appendOneLine(dst, object)
	}
	return append(appendValue(append(dst, `{"arguments":`...), arguments), '}')
}

// appendToolNode appends the node run of a tool as a call of it.
func appendToolNode(f *evaluation, dst []byte, n *Node) []byte {
	name := n.NodeName
	if len(name) == 0 {
		name = n.NodeID
	}
	dst = append(dst, `{"name":`...)
	dst = jsonscan.AppendString(dst, name)
	if len(n.Inputs) > 0 {
		dst = append(dst, `,"input_parameters":`...)
		dst = appendOneLine(dst, n.Inputs)
	}
	dst = appendOptional(dst, "output", f.document(n.Outputs, outputNames))
	return append(dst, '}')
}
