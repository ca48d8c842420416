package format

import (
	"strconv"

	"github.com/millrace/millrace/sinks/fragment/jsontext"
)

// appendText appends s as a JSON string, null if it is empty.
func appendText(dst, s []byte) []byte {
	if len(s) == 0 {
		return append(dst, "null"...)
	}
	return jsontext.AppendString(dst, s)
}

// appendDoc appends a document as it is, null if it is empty.
func appendDoc(dst, doc []byte) []byte {
	if len(doc) == 0 {
		return append(dst, "null"...)
	}
	return append(dst, doc...)
}

func appendInt(dst []byte, n Null[int64]) []byte {
	if !n.Valid {
		return append(dst, "null"...)
	}
	return strconv.AppendInt(dst, n.Value, 10)
}

func appendFloat(dst []byte, n Null[float64]) []byte {
	if !n.Valid {
		return append(dst, "null"...)
	}
	return jsontext.AppendFloat(dst, n.Value)
}

func appendBool(dst []byte, b Null[bool]) []byte {
	if !b.Valid {
		return append(dst, "null"...)
	}
	return strconv.AppendBool(dst, b.Value)
}

// appendMoment appends a time in milliseconds since 1970, null if there is none.
func appendMoment(dst []byte, t Null[int64]) []byte {
	if !t.Valid {
		return append(dst, "null"...)
	}
	return jsontext.AppendTime(dst, t.Value)
}
