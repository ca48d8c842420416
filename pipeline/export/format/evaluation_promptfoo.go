package format

import (
	"bytes"
	"slices"
	"strings"

	"github.com/millrace/millrace/sinks/fragment/jsontext"
)

// promptfooAsserts are the assertions that need nothing but a text to compare with. Factuality asks a model whether the
// answer agrees with the reference in its facts, which is the one that is right for prose; the others need no model.
var promptfooAsserts = []string{"factuality", "similar", "rouge-n", "icontains", "equals"}

var evaluationPromptfoo = Target{
	Name: "promptfoo", Purposes: evaluationPurposes,
	Reader: "[promptfoo](https://www.promptfoo.dev), `promptfoo eval --tests`",
	Shape:  "`description, vars{}, assert[{type, value}]?, metadata{}`",
	Rules: []string{
		"`vars` are the question and the inputs, for a node run the variables of its prompt, or else its inputs; all are strings, arrays and objects as JSON: promptfoo would run a test for each element of an array",
		"text that promptfoo would take for a template or a file is written as a template that gives the text back: `{{x}}` as `{{ \"{\" }}{x}}`. Prompts that are JSON show it as it is written, as promptfoo does not render variables in them",
		"`assert` holds the answer against what was expected; it is absent where nothing is",
	},
	Options: []Option{{"assert", "the type of the assertion: `factuality` (default; asks the grading model of promptfoo), `similar` (asks an embedding model), `rouge-n`, `icontains`, `equals`"}},
	Drops:   []Drop{dropNoQuestion},
	Formats: onlyJSONL, make: newPromptfoo,
	Load: `npx promptfoo@latest eval --tests {file} --prompts '{{question}}{{input}}' --providers echo`,
}

// promptfoo writes test cases (https://www.promptfoo.dev/docs/configuration/test-cases).
type promptfoo struct {
	evaluation
	assert  []byte // up to the value
	members docMembers
	text    []byte // of a variable or of the description, reused
}

func newPromptfoo(purpose string, o *options) Formatter {
	kind := o.text("assert", promptfooAsserts[0])
	if !slices.Contains(promptfooAsserts, kind) {
		o.fail("option %q: there is no assertion %.100q; there are %s", "assert", kind, strings.Join(promptfooAsserts, ", "))
	}
	return &promptfoo{
		evaluation: newEvaluation(purpose, "promptfoo", NoNodes),
		assert:     []byte(`,"assert":[{"type":"` + kind + `","value":`),
	}
}

func (f *promptfoo) Append(dst []byte, row *Row) (out []byte, drop string, err error) {
	f.text = append(append(f.text[:0], "run "...), row.RunID...)
	if row.Node != nil {
		f.text = append(append(f.text, ", node run "...), row.Node.NodeRunID...)
	}
	out = append(dst, `{"description":`...)
	out = jsontext.AppendString(out, f.text)
	out = append(out, `,"vars":`...)
	out, some, err := f.appendVars(out, row)
	switch {
	case err != nil:
		return dst, "", err
	case !some:
		return dst, dropNoQuestion.Reason, nil
	}
	if text := expectedText(row); text != nil {
		out = append(out, f.assert...)
		out = appendVerbatim(out, text)
		out = append(out, '}', ']')
	}
	out = append(out, `,"metadata":`...)
	out = appendOrigin(out, row, false)
	return append(out, '}'), "", nil
}

// appendVars appends the variables, and says whether there is any.
func (f *promptfoo) appendVars(dst []byte, row *Row) (out []byte, some bool, err error) {
	out = append(dst, '{')
	doc := row.Inputs
	if row.Node != nil {
		doc = row.Node.PromptVariables
		if noMembers(doc) {
			doc = row.Node.Inputs
		}
	}
	if !noMembers(doc) {
		if out, err = f.appendMembers(out, doc, row); err != nil {
			return dst, false, evaluationError(row, err)
		}
	}
	if out[len(out)-1] == '{' && len(out) == len(dst)+1 {
		text, err := f.texts.input(row)
		if err != nil || len(text) == 0 {
			return dst, false, err
		}
		if row.Node != nil {
			out = append(out, `"input":`...)
		} else {
			out = append(out, `"question":`...)
		}
		out = appendVerbatim(out, text)
	}
	return append(out, '}'), true, nil
}

// appendMembers appends the members of a document as strings, and before them the question of a run, unless they have
// one. What is null is left out.
func (f *promptfoo) appendMembers(dst, doc []byte, row *Row) (out []byte, err error) {
	out = dst
	if row.Node == nil && !blankText(row.Question) {
		has, err := docMember(doc, "question")
		if err != nil {
			return dst, err
		}
		if has == nil || has[0] == 'n' {
			out = append(out, `"question":`...)
			out = appendVerbatim(out, row.Question)
		}
	}
	if !f.members.object(doc) {
		return dst, f.members.scan.Error("an object")
	}
	for {
		key, value, more, err := f.members.next()
		switch {
		case err != nil:
			return dst, err
		case !more:
			return out, nil
		case value[0] == 'n':
			continue
		}
		if len(out) > len(dst) {
			out = append(out, ',')
		}
		out = jsontext.AppendString(out, key)
		out = append(out, ':')
		if value[0] == '"' {
			if f.text, err = jsontext.AppendText(f.text[:0], value); err != nil {
				return dst, err
			}
			value = f.text
		}
		out = appendVerbatim(out, value)
	}
}

// appendVerbatim appends a text as a string that promptfoo renders to the same text. It renders variables and values of
// assertions with Nunjucks, which has the environment for a variable, and takes what begins with "file://" or "package:"
// for a file to read: neither must happen to what a user wrote.
//
// Of each two characters that mean something to Nunjucks, the first is written as an expression. Wrapping the text
// into {% raw %} would not do: promptfoo replaces {{name}} by itself before, wherever it stands (resolveVariables in its
// src/evaluatorHelpers.ts). A "#}" without its "{#" is an error.
func appendVerbatim(dst, text []byte) []byte {
	at := verbatimUpTo(text)
	if at < 0 && !bytes.HasPrefix(text, []byte("file://")) && !bytes.HasPrefix(text, []byte("package:")) {
		return jsontext.AppendString(dst, text)
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

// verbatimUpTo returns where the first two characters are that mean something to Nunjucks, or -1.
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
	dst = jsontext.AppendString(dst, text)
	copy(dst[at:], dst[at+1:])
	return dst[:len(dst)-2]
}
