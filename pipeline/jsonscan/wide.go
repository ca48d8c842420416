package jsonscan

import (
	"bytes"
	"strconv"
)

// WideNumber returns the first number of a JSON text that 64 bits do not hold, or nil: an integer
// outside int64, a number whose double is infinite or 0, or a number of more than 17 digits that is
// not the double of these digits. Readers that keep numbers in 64 bits refuse or change it. The text
// must be valid JSON.
func WideNumber(text []byte) []byte {
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '"':
			i = afterString(text, i)
		case c-'0' <= 9 || c == '-':
			start := i
			for i++; i < len(text) && isNumeral(text[i]); i++ {
			}
			if token := text[start:i]; len(token) > 15 || bytes.IndexByte(token, 'e') > 0 || bytes.IndexByte(token, 'E') > 0 {
				if isWide(token) {
					return token
				}
			}
		default:
			i++
		}
	}
	return nil
}

// afterString returns the place after the string that begins at i.
func afterString(text []byte, i int) int {
	for i++; i < len(text); i++ {
		i += IndexSpecial(text[i:])
		if i >= len(text) || text[i] == '"' {
			return i + 1
		}
		if text[i] == '\\' {
			i++
		}
	}
	return i
}

func isNumeral(c byte) bool {
	return c-'0' <= 9 || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E'
}

// maxDigits is more digits than a double has.
const maxDigits = 800

func isWide(token []byte) bool {
	mantissa, exponent := token, token[:0]
	if i := bytes.IndexAny(token, "eE"); i >= 0 {
		mantissa, exponent = token[:i], token[i+1:]
	}
	if len(mantissa) == len(token) && bytes.IndexByte(token, '.') < 0 {
		_, err := strconv.ParseInt(string(token), 10, 64)
		return err != nil
	}
	digits := bytes.Trim(bytes.ReplaceAll(mantissa, []byte("."), nil), "-0")
	n := len(digits)
	if n == 0 {
		return false // 0, whatever the exponent
	}
	if n <= 17 && len(exponent) < 3 && len(token) < 100 {
		return false
	}
	x, err := strconv.ParseFloat(string(token), 64)
	if err != nil || x == 0 || n > maxDigits {
		return true
	}
	if n <= 17 {
		return false
	}
	// The double, written with as many digits, has the same digits.
	written := strconv.AppendFloat(nil, x, 'e', n-1, 64)
	written = bytes.ReplaceAll(written[:bytes.IndexByte(written, 'e')], []byte("."), nil)
	return !bytes.Equal(bytes.TrimLeft(written, "-"), digits)
}
