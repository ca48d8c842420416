// Package jsonscan writes and reads the JSON of records, without reflection and without copies.
// Writing and reading agree to the byte: a value that was written, read and written again has the
// same bytes.
//
//	append.go   writing strings and floats
//	line.go     documents as lines of JSON Lines
//	scan.go     Scanner: reading, and the text of strings
//	time.go     writing and reading times
//	wide.go     numbers that 64 bits do not hold
package jsonscan

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
)

// AppendString appends s, which must be valid UTF-8, as a JSON string. It escapes only the
// characters that RFC 8259 requires to be escaped.
func AppendString(dst, s []byte) []byte {
	dst = append(dst, '"')
	for {
		n := IndexSpecial(s)
		dst = append(dst, s[:n]...)
		if n == len(s) {
			return append(dst, '"')
		}
		switch c := s[n]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		default:
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		s = s[n+1:]
	}
}

// IndexSpecial returns the position of the first quote, backslash or control character of s, or
// len(s). It looks at eight bytes at a time.
func IndexSpecial(s []byte) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := binary.LittleEndian.Uint64(s[i:])
		quote := w ^ ones*'"'
		slash := w ^ ones*'\\'
		// A byte's high bit is set where w < 0x20, w == '"' or w == '\\'. A borrow can set it one
		// byte too high, but only above a true hit, and the lowest hit is the one taken.
		if hit := ((w-ones*0x20)&^w | (quote-ones)&^quote | (slash-ones)&^slash) & high; hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' {
			return i
		}
	}
	return i
}

// AppendFloat appends the shortest text that reads back as the same float. It always has a fraction
// or an exponent, so that a reader which infers types from the first rows infers a column of
// floats. NaN and the infinities, which JSON does not have, become null.
func AppendFloat(dst []byte, x float64) []byte {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return append(dst, "null"...)
	}
	if abs := math.Abs(x); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(dst, x, 'e', -1, 64)
	}
	dst = strconv.AppendFloat(dst, x, 'f', -1, 64)
	if x == math.Trunc(x) {
		dst = append(dst, ".0"...)
	}
	return dst
}
