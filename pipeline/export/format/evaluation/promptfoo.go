package evaluation

import (
	"bytes"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/jsonscan"
)

// promptfooAsserts are the assertions that only need a text to compare with. Factuality asks a
// model whether the facts of the answer and of the reference agree, which is right for prose. The
// others need no model.
var promptfooAsserts = []string{"factuality", "similar", "rouge-n", "icontains", "equals"}

// Promptfoo is target promptfoo of the evaluations.
var Promptfoo = format.Target{
	Name: "promptfoo", Purposes: purposes,
	Reader: "[promptfoo](https://www.promptfoo.dev), `promptfoo eval --tests`",
	Shape:  "`description, vars{}, assert[{type, value}]?, metadata{}`",
	Rules: []string{
		"`vars` are the question and the inputs, for a node run the variables of its prompt, or else its inputs; all are " +
			"strings, arrays and objects as JSON: promptfoo would run a test for each element of an array",
		"text that promptfoo would take for a template or a file is written as a template that gives the text back: " +
			"`{{x}}` as `{{ \"{\" }}{x}}`. Prompts that are JSON show it as it is written, as promptfoo does not render " +
			"variables in them",
		"`assert` holds the answer against what was expected; it is absent where nothing is",
	},
	Options: []format.Option{{Name: "assert", Kind: format.Choice, Default: promptfooAsserts[0], Values: promptfooAsserts,
		Text: "the type of the assertion: `factuality` (default; asks the grading model of promptfoo), `similar` (asks an " +
			"embedding model), `rouge-n`, `icontains`, `equals`"}},
	Drops:   []format.Drop{dropNoQuestion},
	Keys:    slices.Concat(format.Texts("description"), format.Documents("vars", "assert", "metadata")),
	Formats: format.OnlyJSONL, Make: newPromptfoo,
	Load: `npx promptfoo@0.121.20 eval --tests {file} --prompts '{{question}}{{input}}' --providers echo`,
}

// promptfoo writes test cases (https://www.promptfoo.dev/docs/configuration/test-cases).
type promptfoo struct {
	assert []byte // the text before the value
	text   []byte // of the description, reused
}

func newPromptfoo(purpose string, o *format.Options) format.Formatter {
	kind := o.Text("assert", promptfooAsserts[0])
	if !slices.Contains(promptfooAsserts, kind) {
		o.Fail("option %q: there is no assertion %.100q; there are %s", "assert", kind, strings.Join(promptfooAsserts, ", "))
	}
	p := &promptfoo{assert: []byte(`,"assert":[{"type":"` + kind + `","value":`)}
	return newFormatter(purpose, "promptfoo", record.NoNodes, p.append)
}

func (p *promptfoo) append(f *formatter, dst []byte, row *record.Row) (out []byte, drop string) {
	p.text = append(append(p.text[:0], "run "...), row.RunID...)
	if row.Node != nil {
		p.text = append(append(p.text, ", node run "...), row.Node.NodeRunID...)
	}
	out = append(dst, `{"description":`...)
	out = jsonscan.AppendString(out, p.text)
	out = append(out, `,"vars":{`...)
	start := len(out)
	if out = appendVars(f, out, row); len(out) == start {
		text := f.Input(row)
		if len(text) == 0 {
			return dst, dropNoQuestion.Reason
		}
		out = appendVerbatim(append(out, inputKey(row)...), text)
	}
	out = append(out, '}')
	if text := record.ExpectedText(row); text != nil {
		out = append(out, p.assert...)
		out = appendVerbatim(out, text)
		out = append(out, '}', ']')
	}
	out = append(out, `,"metadata":`...)
	out = appendOrigin(out, row, false)
	return append(out, '}'), ""
}

// appendVars appends variables as strings. For a run, they are the question and the inputs. For a
// node run, they are the variables of the prompt, or else the inputs. Null values are left out.
func appendVars(f *formatter, dst []byte, row *record.Row) []byte {
	start := len(dst)
	doc := row.Inputs
	if row.Node != nil {
		doc = row.Node.PromptVariables
		if record.HasNoMembers(doc) {
			doc = row.Node.Inputs
		}
	} else if has := f.Member(doc, "question"); !record.IsBlank(row.Question) && (has == nil || has[0] == 'n') {
		dst = appendVerbatim(append(dst, `"question":`...), row.Question)
	}
	for key, value := range f.Members(doc) {
		if value[0] == 'n' {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(jsonscan.AppendString(dst, key), ':')
		if record.IsString(value) {
			value = f.Text(value)
		}
		dst = appendVerbatim(dst, value)
	}
	return dst
}

// appendVerbatim appends a text as a string that promptfoo renders to the same text. Promptfoo
// renders variables and values of assertions with Nunjucks, where env is a variable with the
// environment. It reads a file for a text that begins with "file://" or "package:". Neither must
// happen to a text of a user.
//
// Of each pair of characters with a meaning for Nunjucks, the first one is written as an
// expression. {% raw %} around the text would not work: before that, promptfoo itself replaces
// every {{name}} (resolveVariables in its src/evaluatorHelpers.ts). A "#}" without its "{#" is an
// error.
func appendVerbatim(dst, text []byte) []byte {
	at := verbatimUpTo(text)
	if at < 0 && !bytes.HasPrefix(text, []byte("file://")) && !bytes.HasPrefix(text, []byte("package:")) {
		return jsonscan.AppendString(dst, text)
	}
	dst = append(dst, '"')
	if at != 0 && (bytes.HasPrefix(text, []byte("file://")) || bytes.HasPrefix(text, []byte("package:"))) {
		at = 0
	}
	for at >= 0 {
		dst = appendInner(dst, text[:at])
		dst = append(dst, `{{ \"`...)
		dst = append(dst, text[at])
		dst = append(dst, `\" }}`...)
		text = text[at+1:]
		at = verbatimUpTo(text)
	}
	return append(appendInner(dst, text), '"')
}

// verbatimUpTo returns the place of the first pair of characters with a meaning for Nunjucks, or
// -1.
func verbatimUpTo(text []byte) int {
	for i := 0; i < len(text)-1; i++ {
		n := bytes.IndexAny(text[i:], "{#")
		if n < 0 {
			return -1
		}
		if i += n; i == len(text)-1 {
			return -1
		}
		next := text[i+1]
		if text[i] == '{' && (next == '{' || next == '%' || next == '#') || text[i] == '#' && next == '}' {
			return i
		}
	}
	return -1
}

// appendInner appends the inside of a JSON string.
func appendInner(dst, text []byte) []byte {
	at := len(dst)
	dst = jsonscan.AppendString(dst, text)
	copy(dst[at:], dst[at+1:])
	return dst[:len(dst)-2]
}
