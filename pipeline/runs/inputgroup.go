package runs

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/millrace/millrace/pipeline/strictjson"
)

// InputGroup is the same for all runs of the same input: the hash of question and inputs, normalised, in 32
// hexadecimal digits. Texts are normalised to NFC and trimmed, and white space in them collapsed; keys of objects are sorted;
// numbers stay as they are written. Of a run that has neither, it is that of its messages, and without those its
// own.
func (r *Run) InputGroup() string {
	switch {
	case r.Question != "" || r.Inputs != "":
		return inputGroup("run", r.Question, r.Inputs)
	case r.Messages != "":
		return inputGroup("messages", "", r.Messages)
	}
	return inputGroup("identity", r.RunID, "")
}

// InputGroup is the same for all runs of a node with the same input: the hash of the node's id and of its inputs,
// its prompt's variables, and its messages, whichever of them is there first. See [Run.InputGroup].
func (n *Node) InputGroup() string {
	for _, doc := range []Doc{n.Inputs, n.PromptVariables, n.Messages} {
		if doc != "" {
			return inputGroup("node", n.NodeID, doc)
		}
	}
	return inputGroup("identity", n.RunID, n.NodeRunID)
}

// inputGroup hashes a text and a document, or a text instead of one.
func inputGroup(kind, text string, doc Doc) string {
	buffer := append(make([]byte, 0, 512+len(text)+len(doc)), kind...)
	buffer = append(buffer, 0)
	buffer = appendNormal(buffer, text)
	buffer = append(buffer, 0)
	buffer = appendNormalDoc(buffer, doc)
	sum := sha256.Sum256(buffer)
	return hex.EncodeToString(sum[:16])
}

// appendNormal appends a text in NFC, without white space at its ends, and a single space for each within.
func appendNormal(dst []byte, text string) []byte {
	if !norm.NFC.IsNormalString(text) {
		text = norm.NFC.String(text)
	}
	first := true
	for word := range strings.FieldsSeq(text) {
		if !first {
			dst = append(dst, ' ')
		}
		dst, first = append(dst, word...), false
	}
	return dst
}

// appendNormalDoc appends a document, which was checked, with sorted keys and normal texts.
func appendNormalDoc(dst []byte, doc Doc) []byte {
	if doc == "" {
		return dst
	}
	var r strictjson.Reader
	r.Reset([]byte(doc), "", strictjson.MaxDepth)
	return appendNormalValue(dst, &r)
}

// No normal text has these control characters: they end what they follow.
const (
	endKey     = 1
	endElement = 2
)

func appendNormalValue(dst []byte, r *strictjson.Reader) []byte {
	switch r.Kind() {
	case strictjson.Object:
		type member struct {
			key   string
			value []byte
		}
		var members []member
		r.Object(func(key string) error { //nolint:errcheck // checked before
			members = append(members, member{key, appendNormalValue(nil, r)})
			return nil
		})
		slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.key, b.key) })
		dst = append(dst, '{')
		for _, m := range members {
			dst = append(appendNormal(dst, m.key), endKey)
			dst = append(append(dst, m.value...), endElement)
		}
		return append(dst, '}')
	case strictjson.Array:
		dst = append(dst, '[')
		r.Array(func(int) error { //nolint:errcheck // checked before
			dst = append(appendNormalValue(dst, r), endElement)
			return nil
		})
		return append(dst, ']')
	case strictjson.String:
		text, _ := r.Text()
		return append(appendNormal(append(dst, '"'), text), '"')
	}
	raw, _ := r.Span()
	return append(dst, raw...)
}
