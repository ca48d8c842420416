package optimization

import (
	"bytes"

	"github.com/millrace/millrace/pipeline/export/format/record"
)

// apoTemplate is a prompt template that Bedrock's Advanced Prompt Optimization accepts. The rules
// are those of the user guide
// (https://docs.aws.amazon.com/bedrock/latest/userguide/advanced-prompt-optimization-input.html)
// and of validate_service_template in the vendor's samples
// (https://github.com/aws-samples/amazon-bedrock-samples/blob/main/advanced-prompt-optimization/utils.py).
type apoTemplate struct {
	text  []byte
	names [][]byte // of the placeholders, each once
	plain []byte   // the text without its placeholders
	draft []byte
}

// parse parses a template, or returns the reason to drop its rows. It removes the white space in {{
// name }}.
//
// A template with {name} and without {{name}} is one of Python's str.format, as in LangChain. parse
// rewrites it: its placeholders get two braces, and its {{ and }}, which are literal braces, get
// one. In a template with both kinds, {name} is plain text. The vendor refuses such a text, and
// there is no other way to write it.
func (t *apoTemplate) parse(template []byte) (fault string) {
	if len(template) == 0 {
		return "no_template"
	}
	malformed := t.double(template)
	single := nextSingle(t.plain)
	switch {
	case len(t.names) == 0 && single >= 0:
		t.single(template)
		if malformed = t.double(t.draft); malformed {
			return "malformed_placeholder"
		}
		single = nextSingle(t.plain)
	case malformed:
		return "malformed_placeholder"
	}
	switch {
	case single >= 0:
		return "single_brace_placeholder"
	case len(t.names) == 0:
		return "no_placeholder"
	case len(t.names) > apoPlaceholders:
		return "too_many_placeholders"
	}
	return ""
}

// double reads the placeholders with two braces. It reports whether one of them has no valid name.
func (t *apoTemplate) double(template []byte) (malformed bool) {
	t.text, t.names, t.plain = t.text[:0], t.names[:0], t.plain[:0]
	for {
		start, end := record.NextPlaceholder(template)
		if start < 0 {
			t.text, t.plain = append(t.text, template...), append(t.plain, template...)
			break
		}
		t.text, t.plain = append(t.text, template[:start]...), append(t.plain, template[:start]...)
		name := record.PlaceholderName(template[start:end])
		if isName(name) {
			t.text = append(append(append(t.text, "{{"...), name...), "}}"...)
			t.add(name)
		} else {
			t.text = append(t.text, template[start:end]...)
			malformed = true
		}
		template = template[end:]
	}
	return malformed
}

func (t *apoTemplate) add(name []byte) {
	for _, known := range t.names {
		if bytes.Equal(known, name) {
			return
		}
	}
	if len(t.names) <= apoPlaceholders { // one more than allowed is enough
		t.names = append(t.names, bytes.Clone(name))
	}
}

// single rewrites a template of str.format into draft.
func (t *apoTemplate) single(template []byte) {
	t.draft = t.draft[:0]
	for i := 0; i < len(template); {
		c := template[i]
		switch {
		case (c == '{' || c == '}') && i+1 < len(template) && template[i+1] == c:
			t.draft = append(t.draft, c)
			i += 2
		case c == '{' && singleLength(template[i:]) > 0:
			end := i + singleLength(template[i:])
			t.draft = append(append(append(t.draft, '{'), template[i:end]...), '}')
			i = end
		default:
			t.draft = append(t.draft, c)
			i++
		}
	}
}

// nextSingle returns the place of the first {name}.
func nextSingle(text []byte) int {
	for at := 0; ; at++ {
		n := bytes.IndexByte(text[at:], '{')
		if n < 0 {
			return -1
		}
		if at += n; singleLength(text[at:]) > 0 {
			return at
		}
	}
}

// singleLength returns the length of the {name} at the start of a text, or 0.
func singleLength(text []byte) int {
	n := bytes.IndexAny(text[1:], "{}")
	if n < 0 || text[1+n] != '}' || !isName(text[1:1+n]) {
		return 0
	}
	return n + 2
}

// isName reports whether a text is [A-Za-z_][A-Za-z0-9_]*.
func isName(text []byte) bool {
	for i, c := range text {
		letter := c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return len(text) > 0
}
