package statistics

import (
	"encoding/json"
	"strconv"
	"strings"
)

// span is a range of numbers.
type span struct {
	any      bool
	min, max bound
}

// bound is a number, and how it was written.
type bound struct {
	number float64
	text   []byte
}

// compare orders bounds by number, and equal ones by text: so that it does not matter which came first.
func (b *bound) compare(number float64, text []byte) int {
	switch {
	case number < b.number:
		return -1
	case number > b.number:
		return 1
	}
	return strings.Compare(string(text), string(b.text))
}

// maxNumeral is the longest text of a number that is kept as it is.
const maxNumeral = 32

// add widens the range by a number as JSON writes it.
func (s *span) add(text []byte) {
	number, ok := parse(text)
	if !ok {
		number, _ = strconv.ParseFloat(string(text), 64) // beyond 64 bits it is infinite
	}
	if len(text) > maxNumeral {
		text = strconv.AppendFloat(nil, min(max(number, -1e308), 1e308), 'g', -1, 64)
	}
	if !s.any || s.min.compare(number, text) < 0 {
		s.min.number, s.min.text = number, append(s.min.text[:0], text...)
	}
	if !s.any || s.max.compare(number, text) > 0 {
		s.max.number, s.max.text = number, append(s.max.text[:0], text...)
	}
	s.any = true
}

func (s *span) merge(r *Range) {
	if r != nil {
		s.add([]byte(r.Min))
		s.add([]byte(r.Max))
	}
}

func (s *span) document() *Range {
	if !s.any {
		return nil
	}
	return &Range{Min: json.Number(s.min.text), Max: json.Number(s.max.text)}
}

var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// parse returns the number of a short text without an exponent. A double holds its digits and the power of ten by which
// they are divided, so that the result is that of strconv.ParseFloat.
func parse(text []byte) (number float64, ok bool) {
	var digits, n, places int
	negative := text[0] == '-'
	if negative {
		text = text[1:]
	}
	for i, c := range text {
		switch {
		case c-'0' <= 9:
			digits, n = digits*10+int(c-'0'), n+1
		case c == '.':
			places = len(text) - 1 - i
		default:
			return 0, false
		}
	}
	if n == 0 || n >= len(powers) {
		return 0, false
	}
	if number = float64(digits) / powers[places]; negative {
		number = -number
	}
	return number, true
}
