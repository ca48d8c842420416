package jsonscan

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strconv"
	"strings"
)

// WideNumber returns the first number of a JSON text that 64 bits do not hold, or nil: an integer
// outside int64, a number whose double is infinite or 0, or a number of more than 17 digits that is
// not the double of these digits. Readers that keep numbers in 64 bits refuse or change it. The text
// must be valid JSON.
//
// Nearly all texts have none, so that it looks at eight bytes at a time for what a wide number has:
// eight characters of which seven are digits, or an e between a digit and a long exponent.
func WideNumber(text []byte) []byte {
	var before uint64 // whether the byte before is a digit
	i := 0
	for i+8 <= len(text) {
		w := binary.LittleEndian.Uint64(text[i:])
		if before|w&(w<<1)&^(w>>1)&(ones*0x20) == 0 { // prose: no byte is from 0x30 to 0x3f, as digits are
			i += 8
			continue
		}
		digits, e := marks(w)
		found, others := e&(digits<<8|before), ^digits&high
		before = digits >> 56
		if found != 0 {
			found = longExponents(text, i, found)
		}
		if found == 0 && others&(others-1) != 0 {
			i += 8
			continue
		}
		wide, end := mayBeWide(text, i, found|digits&-digits)
		if wide {
			return scanWide(text)
		}
		if end > i+8 { // the byte before is no digit that an e follows: the numeral has ended
			before = 0
		}
		i = end
	}
	var rest [8]byte
	copy(rest[:], text[i:])
	digits, e := marks(binary.LittleEndian.Uint64(rest[:]))
	if wide, _ := mayBeWide(text, i, e&(digits<<8|before)); wide {
		return scanWide(text)
	}
	return nil
}

const ones, high = 0x0101010101010101, 0x8080808080808080

// marks returns the high bit of each byte that is a digit, and of each that is an e.
func marks(w uint64) (digits, e uint64) {
	digits, e = w^ones*'0', (w|ones*0x20)^ones*'e'
	digits = ^(((digits &^ high) + ones*(0x80-10)) | digits) & high
	return digits, ^(((e &^ high) + ones*0x7f) | e) & high
}

// longExponents leaves those of the marked places of an e in the eight bytes from i on that three
// characters of an exponent follow. Hexadecimal ids are full of others, which are not wide without many
// digits before them.
func longExponents(text []byte, i int, places uint64) (long uint64) {
	for ; places != 0; places &= places - 1 {
		e := i + bits.TrailingZeros64(places)/8
		if e+3 >= len(text) || isNumeral(text[e+1]) && text[e+2]-'0' <= 9 && text[e+3]-'0' <= 9 {
			long |= places & -places
		}
	}
	return long
}

// mayBeWide says whether one of the numerals at marked places in the eight bytes from i on is wide,
// and not part of a word, a time or another text. It looks at each numeral once, so that a text of a
// million digits takes no longer than others. End is where the next eight bytes begin: after the last
// numeral, where it goes on beyond these.
func mayBeWide(text []byte, i int, places uint64) (wide bool, end int) {
	for places != 0 {
		start := i + bits.TrailingZeros64(places)/8
		end := start + 1
		for start > 0 && isNumeral(text[start-1]) {
			start--
		}
		for end < len(text) && isNumeral(text[end]) {
			end++
		}
		if (start == 0 || strings.IndexByte(":[, \t\r\n", text[start-1]) >= 0) &&
			(end == len(text) || strings.IndexByte(",]} \t\r\n", text[end]) >= 0) && isWide(text[start:end]) {
			return true, end
		}
		if end >= i+8 {
			return false, end
		}
		places &^= 1<<(8*(end-i)) - 1
	}
	return false, i + 8
}

// scanWide returns what WideNumber does, of a text that may have such a number in a string.
func scanWide(text []byte) []byte {
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '"':
			i = afterString(text, i)
		case c-'0' <= 9 || c == '-':
			start := i
			for i++; i < len(text) && isNumeral(text[i]); i++ {
			}
			if token := text[start:i]; isWide(token) {
				return token
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
