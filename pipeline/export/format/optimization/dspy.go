package optimization

import (
	"bytes"
	"slices"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/jsonscan"
	"github.com/millrace/millrace/sinks/fragment"
)

// DSPy is target dspy of node_optimization.
var DSPy = format.Target{
	Name: "dspy", Purposes: []string{format.NodeOptimization},
	Reader: "[DSPy](https://dspy.ai): each line is the fields of a `dspy.Example`; GEPA takes `score` and `feedback` " +
		"for its metric",
	Shape: "`{…variables, \"output\", \"score\"?, \"feedback\"?}`; `__meta__/dspy.json` lists the keys that are inputs",
	Rules: []string{
		"flat; variables, `output` and `feedback` are texts, and variables of another type are their JSON; `score` is a " +
			"number",
		"variables are those of the prompt; where it has none, the texts of the node's inputs; where those have none, the " +
			"last message of the user as `input`",
		"a variable named `output`, `score` or `feedback` gets an underscore: `output_`",
		"`feedback` is the comment, else the rating",
	},
	Drops: []format.Drop{
		{Reason: "no_variables", Text: "the node run has no prompt variables, no texts in its inputs, and no message of a " +
			"user"},
		{Reason: "no_output", Text: "the node run gave nothing"},
	},
	Formats: format.OnlyJSONL, Make: newDSPy,
	Load: `python3 -c 'import dspy, json, sys; keys = json.load(open(sys.argv[2]))["input_keys"]; ` +
		`examples = [(lambda e: dspy.Example(**e).with_inputs(*(k for k in keys if k in e)))(json.loads(line)) for line in open(sys.argv[1], encoding="utf-8")]; ` +
		`print(len(examples), "examples", examples[:1])' {file} {dir}/__meta__/dspy.json`,
	Sidecar: "dspy.json",
}

// dspy writes a node run as the fields of a dspy.Example, which is flat
// (https://github.com/stanfordnlp/dspy/blob/main/dspy/datasets/dataloader.py).
//
// The keys of a record are the names of its variables, so they differ between prompts. Each key has
// one type. Absent values and null variables have no key.
type dspy struct {
	record.Texts
	variables record.Variables
	keys      []string
	known     map[string]string // keys as strings, so that each is allocated once
	name      []byte
}

// maxKnownKeys bounds the memory for keys, in case every row has different ones.
const maxKnownKeys = 10_000

func newDSPy(string, *format.Options) format.Formatter {
	return &dspy{known: map[string]string{}}
}

// Columns implements [format.Formatter].
func (f *dspy) Columns() []fragment.Column { return nil }

// Needs implements [format.Formatter].
func (f *dspy) Needs() record.Needs { return record.Needs{} }

// Keys implements [format.Keyed].
func (f *dspy) Keys() []string { return f.keys }

func (f *dspy) Append(dst []byte, row *record.Row) (out []byte, drop string, err error) {
	f.Reset()
	out, drop = f.append(dst, row)
	return f.Finish(row, dst, out, drop)
}

func (f *dspy) append(dst []byte, row *record.Row) (out []byte, drop string) {
	f.keys = f.keys[:0]
	f.readInputs(row.Node)
	if len(f.variables) == 0 {
		return dst, "no_variables"
	}
	dst = append(dst, '{')
	for _, v := range f.variables {
		dst = f.appendVariable(dst, v.Name, v.Value)
	}
	output := f.Output(row)
	if len(output) == 0 {
		return dst, "no_output"
	}
	dst = jsonscan.AppendString(append(dst, `"output":`...), output)
	if row.HasFeedback {
		if row.Feedback.Score.Valid {
			dst = append(dst, `,"score":`...)
			dst = jsonscan.AppendFloat(dst, row.Feedback.Score.Value)
		}
		said := row.Feedback.Comment
		if len(said) == 0 {
			said = row.Feedback.Rating
		}
		dst = record.AppendOptional(dst, "feedback", said)
	}
	return append(dst, '}'), ""
}

var inputName = []byte("input")

// readInputs reads the inputs of a node run: the variables of its prompt, or else the texts of its
// inputs, or else the last message of the user.
func (f *dspy) readInputs(n *record.Node) {
	f.variables = f.AppendVariables(f.variables[:0], n.PromptVariables)
	if len(f.variables) == 0 {
		f.variables = slices.DeleteFunc(f.AppendVariables(f.variables, n.Inputs),
			func(v record.Variable) bool { return !record.IsString(v.Value) })
	}
	if len(f.variables) == 0 {
		if text := f.Quote(f.LastMessage(n.Messages, "user")); text != nil {
			f.variables = append(f.variables, record.Variable{Name: inputName, Value: text})
		}
	}
}

// appendVariable appends a variable, and a comma.
func (f *dspy) appendVariable(dst, name, value []byte) []byte {
	if isReserved(name) {
		f.name = append(append(f.name[:0], name...), '_')
		for f.variables.Find(f.name) != nil {
			f.name = append(f.name, '_')
		}
		name = f.name
	}
	f.keys = append(f.keys, f.key(name))
	dst = append(jsonscan.AppendString(dst, name), ':')
	return append(record.AppendValue(dst, value), ',')
}

// isReserved reports whether the name of a variable is a key that every record may have.
func isReserved(name []byte) bool {
	return bytes.Equal(name, []byte("output")) || bytes.Equal(name, []byte("score")) ||
		bytes.Equal(name, []byte("feedback"))
}

// key returns a name as a string.
func (f *dspy) key(name []byte) string {
	if known, ok := f.known[string(name)]; ok {
		return known
	}
	if len(f.known) >= maxKnownKeys {
		clear(f.known)
	}
	key := string(name)
	f.known[key] = key
	return key
}
