package record

import (
	"bytes"
	"strconv"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

// AppendText appends s as a JSON string, or null if it is empty.
func AppendText(dst, s []byte) []byte {
	if len(s) == 0 {
		return append(dst, "null"...)
	}
	return jsonscan.AppendString(dst, s)
}

// appendDoc appends a document on one line, or null if it is empty.
func appendDoc(dst, doc []byte) []byte {
	if len(doc) == 0 {
		return append(dst, "null"...)
	}
	return AppendOneLine(dst, doc)
}

// AppendOneLine appends a JSON document on one line. Line breaks become spaces: JSON has them only
// between two tokens. Ingest removes white space, but other writers of the store may not.
func AppendOneLine(dst, doc []byte) []byte {
	start := len(dst)
	dst = append(dst, doc...)
	for _, c := range [...]byte{'\n', '\r'} {
		for rest := dst[start:]; ; {
			i := bytes.IndexByte(rest, c)
			if i < 0 {
				break
			}
			rest[i] = ' '
			rest = rest[i+1:]
		}
	}
	return dst
}

// AppendInt appends an integer, or null.
func AppendInt(dst []byte, n Null[int64]) []byte {
	if !n.Valid {
		return append(dst, "null"...)
	}
	return strconv.AppendInt(dst, n.Value, 10)
}

// AppendFloat appends a float, or null.
func AppendFloat(dst []byte, n Null[float64]) []byte {
	if !n.Valid {
		return append(dst, "null"...)
	}
	return jsonscan.AppendFloat(dst, n.Value)
}

// AppendBool appends a boolean, or null.
func AppendBool(dst []byte, b Null[bool]) []byte {
	if !b.Valid {
		return append(dst, "null"...)
	}
	return strconv.AppendBool(dst, b.Value)
}

// appendMoment appends a time in milliseconds since 1970, or null.
func appendMoment(dst []byte, t Null[int64]) []byte {
	if !t.Valid {
		return append(dst, "null"...)
	}
	return jsonscan.AppendTime(dst, t.Value)
}

// AppendStrings appends an array of strings.
func AppendStrings(dst []byte, texts [][]byte) []byte {
	dst = append(dst, '[')
	for i, text := range texts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = jsonscan.AppendString(dst, text)
	}
	return append(dst, ']')
}

// AppendOptional appends a comma, a key and its text. It appends nothing if the text is empty.
func AppendOptional(dst []byte, key string, text []byte) []byte {
	if len(text) == 0 {
		return dst
	}
	dst = append(dst, ',', '"')
	dst = append(dst, key...)
	dst = append(dst, '"', ':')
	return jsonscan.AppendString(dst, text)
}
