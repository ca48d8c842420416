package format

import (
	"bytes"

	"github.com/millrace/millrace/sinks/fragment/jsontext"
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
	evaluation
	calls  evaluationCalls
	buffer []byte
}

func newDeepEval(purpose string, _ *options) Formatter {
	return &deepEval{evaluation: newEvaluation(purpose, "deepeval", WithToolCalls)}
}

func (f *deepEval) Append(dst []byte, row *Row) (out []byte, drop string, err error) {
	input, err := f.texts.input(row)
	switch {
	case err != nil:
		return dst, "", err
	case len(input) == 0:
		return dst, dropNoQuestion.Reason, nil
	}
	output, err := f.texts.output(row)
	if err != nil {
		return dst, "", err
	}
	out = append(dst, `{"input":`...)
	out = jsontext.AppendString(out, input)
	out = appendOptional(out, "actual_output", output)
	out = appendOptional(out, "expected_output", expectedText(row))
	if contexts := f.texts.contexts(row); len(contexts) > 0 {
		out = append(out, `,"retrieval_context":`...)
		out = appendStrings(out, contexts)
	}
	if out, err = f.appendTools(out, row); err != nil {
		return dst, "", evaluationError(row, err)
	}
	out = append(out, `,"additional_metadata":`...)
	out = appendOrigin(out, row, false)
	return append(out, '}'), "", nil
}

// toolsKey begins the list of calls, a comma the next one.
const toolsKey = `,"tools_called":[`

// appendTools appends the key and the calls, or nothing where there are none.
func (f *deepEval) appendTools(dst []byte, row *Row) (out []byte, err error) {
	if err := f.calls.read(row.Subject().Messages); err != nil {
		return dst, err
	}
	out = dst
	separator := toolsKey
	for i := range f.calls.calls {
		out = append(out, separator...)
		separator = ","
		if out, err = f.appendCall(out, &f.calls.calls[i]); err != nil {
			return dst, err
		}
	}
	if len(f.calls.calls) == 0 {
		for i := range row.Nodes {
			n := &row.Nodes[i]
			if string(n.NodeType) != "tool" {
				continue
			}
			out = append(out, separator...)
			separator = ","
			if out, err = f.appendToolNode(out, n); err != nil {
				return dst, err
			}
		}
	}
	if separator == toolsKey {
		return dst, nil
	}
	return append(out, ']'), nil
}

func (f *deepEval) appendCall(dst []byte, c *evaluationCall) (out []byte, err error) {
	dst = append(dst, `{"name":`...)
	dst = append(dst, c.name...)
	if len(c.arguments) > 0 && !bytes.Equal(c.arguments, []byte("null")) && (c.arguments[0] != '"' || textToken(c.arguments)) {
		dst = append(dst, `,"input_parameters":`...)
		if dst, f.buffer, err = appendArguments(dst, c.arguments, f.buffer); err != nil {
			return dst, err
		}
	}
	if f.buffer, err = f.texts.appendContent(f.buffer[:0], c.output); err != nil {
		return dst, err
	}
	dst = appendOptional(dst, "output", f.buffer)
	return append(dst, '}'), nil
}

// appendToolNode appends the node run of a tool as a call of it.
func (f *deepEval) appendToolNode(dst []byte, n *Node) (out []byte, err error) {
	name := n.NodeName
	if len(name) == 0 {
		name = n.NodeID
	}
	dst = append(dst, `{"name":`...)
	dst = jsontext.AppendString(dst, name)
	if len(n.Inputs) > 0 {
		dst = append(dst, `,"input_parameters":`...)
		dst = appendOneLine(dst, n.Inputs)
	}
	if f.buffer, err = f.texts.document(f.buffer[:0], n.Outputs, outputNames); err != nil {
		return dst, err
	}
	dst = appendOptional(dst, "output", f.buffer)
	return append(dst, '}'), nil
}
