package runs

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/millrace/millrace/pipeline/strictjson"
)

// InputGroup returns a hash in 32 hexadecimal digits that is the same for all runs of the same
// input. It hashes the normalised question and inputs: texts are trimmed and in NFC, runs of white
// space are one space, keys of objects are sorted, and numbers stay as they are written. A run
// without question and inputs is grouped by its messages. A run without those is a group of its
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

// InputGroup returns a hash that is the same for all runs of a node with the same input, see
// [Run.InputGroup]. It hashes the node's id and the first of these that is present: inputs, prompt
// variables, messages.
func (n *Node) InputGroup() string {
	for _, doc := range []Doc{n.Inputs, n.PromptVariables, n.Messages} {
		if doc != "" {
			return inputGroup("node", n.NodeID, doc)
		}
	}
	return inputGroup("identity", n.RunID, n.NodeRunID)
}

// inputGroup hashes a kind, a text, and a document or, for identity, a second text.
func inputGroup(kind, text string, doc Doc) string {
	buffer := append(make([]byte, 0, 512+len(text)+len(doc)), kind...)
	buffer = append(buffer, 0)
	buffer = appendNormal(buffer, text)
	buffer = append(buffer, 0)
	buffer = appendNormalDoc(buffer, doc)
	sum := sha256.Sum256(buffer)
	return hex.EncodeToString(sum[:16])
}

// appendNormal appends a text in NFC, trimmed, with one space for each run of white space.
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

// appendNormalDoc appends a document with sorted keys and normal texts. The decoder has checked the
// document.
func appendNormalDoc(dst []byte, doc Doc) []byte {
	if doc == "" {
		return dst
	}
	var r strictjson.Reader
	r.Reset([]byte(doc), "", strictjson.MaxDepth)
	return appendNormalValue(dst, &r)
}

// These control characters end keys and elements. No normal text contains them.
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
		r.Object(func(key string) error { //nolint:errcheck // the decoder has checked the document
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
		r.Array(func(int) error { //nolint:errcheck // the decoder has checked the document
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
