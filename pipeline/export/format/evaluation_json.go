package format

import (
	"bytes"

	"github.com/millrace/millrace/sinks/fragment/jsontext"
)

// docMembers goes over the members of an object, or the elements of an array, one after another. What next returns are
// parts of the document.
type docMembers struct {
	scan jsontext.Scanner
	end  byte // '}' or ']'
	some bool // one was read
	key  []byte
}

// object starts with a document, and says whether it is an object.
func (m *docMembers) object(doc []byte) bool {
	m.scan.Reset(doc)
	m.end, m.some = '}', false
	return m.scan.Take('{')
}

// array starts with a document, and says whether it is an array.
func (m *docMembers) array(doc []byte) bool {
	m.scan.Reset(doc)
	m.end, m.some = ']', false
	return m.scan.Take('[')
}

// next returns the text of the next key, which is valid until the next call and empty in an array, and the value under
// it as it is in the document.
func (m *docMembers) next() (key, value []byte, more bool, err error) {
	if m.scan.Take(m.end) {
		return nil, nil, false, nil
	}
	if m.some && !m.scan.Take(',') {
		return nil, nil, false, m.scan.Error("a comma")
	}
	m.some = true
	if m.end == '}' {
		if key, err = m.scan.Key(); err != nil {
			return nil, nil, false, err
		}
		if jsontext.Plain(key) {
			key = key[1 : len(key)-1]
		} else {
			if m.key, err = jsontext.AppendText(m.key[:0], key); err != nil {
				return nil, nil, false, err
			}
			key = m.key
		}
	}
	value, err = m.scan.Value()
	return key, value, err == nil, err
}

// noMembers says whether a document is absent, or an object without members.
func noMembers(doc []byte) bool {
	if len(doc) > 64 {
		return false // more than brackets, as ingest takes the white space out
	}
	doc = bytes.TrimSpace(doc)
	return len(doc) == 0 || doc[0] == '{' && len(bytes.TrimSpace(doc[1:])) == 1
}

// blankText says whether there is nothing in a text to read.
func blankText(text []byte) bool {
	for _, c := range text {
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return false
		}
	}
	return true
}

// textToken says whether a token is a string with something in it to read.
func textToken(token []byte) bool {
	if token[0] != '"' {
		return false
	}
	for i := 1; i < len(token)-1; i++ {
		switch c := token[i]; {
		case c == ' ':
		case c == '\\' && bytes.IndexByte([]byte("nrt"), token[i+1]) >= 0:
			i++
		default:
			return true
		}
	}
	return false
}
