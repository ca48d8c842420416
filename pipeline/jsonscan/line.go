package jsonscan

import "bytes"

// Line returns a JSON document as one line to every reader of lines. The value stays the same. JSON
// Lines ends a line at LF, but readers such as Python's str.splitlines also end it at CR, U+0085,
// U+2028 and U+2029. Line returns doc itself if nothing has to change, else a copy in the memory of
// scratch, which it lets grow.
//
//   - LF and CR, which JSON has only between two tokens, become spaces.
//   - U+0085, U+2028 and U+2029, which JSON has only inside strings, are escaped.
func Line(scratch *[]byte, doc []byte) []byte {
	n := indexBreak(doc)
	if n == len(doc) {
		return doc
	}
	line := (*scratch)[:0]
	defer func() { *scratch = line }()
	for {
		line = append(line, doc[:n]...)
		doc = doc[n:]
		switch {
		case len(doc) == 0:
			return line
		case doc[0] == '\n' || doc[0] == '\r':
			line, doc = append(line, ' '), doc[1:]
		case doc[0] == nextLine[0]:
			line, doc = append(line, `\u0085`...), doc[len(nextLine):]
		case doc[2] == lineSeparator[2]:
			line, doc = append(line, `\u2028`...), doc[len(lineSeparator):]
		default:
			line, doc = append(line, `\u2029`...), doc[len(paragraphSeparator):]
		}
		n = indexBreak(doc)
	}
}

const (
	nextLine           = "\u0085"
	lineSeparator      = "\u2028"
	paragraphSeparator = "\u2029"
)

// indexBreak returns the position of the first line break of doc, or len(doc). It searches for one
// byte at a time, since the library's search for a byte is many times faster than any loop.
func indexBreak(doc []byte) int {
	n := len(doc)
	for _, c := range [...]byte{'\n', '\r'} {
		if i := bytes.IndexByte(doc[:n], c); i >= 0 {
			n = i
		}
	}
	n = indexRune(doc[:n], doc, nextLine, nextLine)
	return indexRune(doc[:n], doc, lineSeparator, paragraphSeparator)
}

// indexRune returns the position of the first a or b whose first byte is in head, or len(head).
// Head is the beginning of doc; a and b begin with the same byte.
func indexRune(head, doc []byte, a, b string) int {
	for from := 0; ; {
		i := bytes.IndexByte(head[from:], a[0])
		if i < 0 {
			return len(head)
		}
		from += i
		if at := doc[from:]; bytes.HasPrefix(at, []byte(a)) || bytes.HasPrefix(at, []byte(b)) {
			return from
		}
		from++
	}
}

// ByteOrderMark is U+FEFF in UTF-8. Some programs begin files with it.
const ByteOrderMark = "\ufeff"

// TrimByteOrderMark returns text without a byte order mark at its start. RFC 8259, section 8.1, lets
// a reader of JSON ignore one.
func TrimByteOrderMark(text []byte) []byte { return bytes.TrimPrefix(text, []byte(ByteOrderMark)) }
