package runs

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// appendNormalText appends a text in NFC, trimmed, with one space for each run of white space.
func appendNormalText(dst, text []byte) []byte {
	if isNormal(text) {
		return append(dst, text...)
	}
	return appendWords(dst, text)
}

func appendWords(dst, text []byte) []byte {
	if !norm.NFC.IsNormal(text) {
		text = norm.NFC.Bytes(text)
	}
	first := true
	for word := range bytes.FieldsSeq(text) {
		if !first {
			dst = append(dst, ' ')
		}
		dst, first = appendEscaped(dst, word), false
	}
	return dst
}

// isNormal reports whether a text is ASCII that stays as it is: most texts are. Found out here, it costs ingest a
// third of what the way of the others does, which looks at each word.
func isNormal(text []byte) bool {
	before := byte(' ')
	for _, c := range text {
		if c < ' ' || c >= utf8.RuneSelf || c == ' ' && before == ' ' {
			return false
		}
		before = c
	}
	return before != ' ' || len(text) == 0
}

// appendNormalDoc appends a document with sorted keys and normal texts.
func appendNormalDoc(dst []byte, doc Doc) []byte {
	if doc == "" {
		return dst
	}
	return appendNormal(dst, []byte(doc))
}

// These control characters end keys and elements. In a text they are behind NUL, which no text has:
// the decoder refuses it.
const (
	endKey     = 1
	endElement = 2
	escape     = 0
)

func appendEscaped(dst, text []byte) []byte {
	if bytes.IndexByte(text, endKey) < 0 && bytes.IndexByte(text, endElement) < 0 {
		return append(dst, text...)
	}
	for _, c := range text {
		if c == endKey || c == endElement {
			dst = append(dst, escape)
		}
		dst = append(dst, c)
	}
	return dst
}

// appendNormal appends a value of a document with sorted keys and normal texts.
func appendNormal(dst, value []byte) []byte {
	switch value[0] {
	case '{':
		return appendNormalObject(dst, value, func(dst, _, value []byte) []byte {
			return appendNormal(dst, value)
		}, withNulls)
	case '[':
		dst = append(dst, '[')
		for element := range elements(value) {
			dst = append(appendNormal(dst, element), endElement)
		}
		return append(dst, ']')
	case '"':
		return append(appendNormalText(append(dst, '"'), textOf(value)), '"')
	}
	return append(dst, value...)
}

// Whether keys of an object that are null count.
const (
	withNulls    = true
	withoutNulls = false
)

// appendNormalObject appends an object with sorted keys. AppendValue appends the value of a key.
func appendNormalObject(
	dst, object []byte, appendValue func(dst, key, value []byte) []byte, nulls bool,
) []byte {
	type member struct{ key, value []byte }
	list := make([]member, 0, 8)
	for key, value := range members(object) {
		if value[0] != 'n' || nulls {
			list = append(list, member{key, value})
		}
	}
	slices.SortFunc(list, func(a, b member) int { return bytes.Compare(a.key, b.key) })
	dst = append(dst, '{')
	for _, m := range list {
		dst = append(appendNormalText(dst, m.key), endKey)
		dst = append(appendValue(dst, m.key, m.value), endElement)
	}
	return append(dst, '}')
}
