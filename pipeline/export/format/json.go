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
