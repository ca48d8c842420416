package export

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// parser reads a document that strictjson has checked, and collects the mistakes of its fields.
type parser struct {
	r        strictjson.Reader
	mistakes Mistakes
	absent   []string // missing required fields

	maxRecords, maxBytes *int64
}

func newParser(data []byte) (*parser, error) {
	if err := strictjson.Check(data); err != nil {
		return nil, err
	}
	p := &parser{}
	p.r.Reset(data, "", strictjson.MaxDepth)
	if k := p.r.Kind(); k != strictjson.Object {
		return nil, &strictjson.Refusal{Code: strictjson.WrongType, Rule: "must be an object, not " + k.String()}
	}
	return p, nil
}

// add adds a mistake. Beyond MaxMistakes it keeps only those of the request's own fields, each of which
// identity and check ask for.
func (p *parser) add(code strictjson.Code, pointer, message string) {
	if len(p.mistakes) >= MaxMistakes && (code == UnknownField || strings.Count(pointer, "/") != 1) {
		return
	}
	p.mistakes = append(p.mistakes, Mistake{Code: string(code), Pointer: pointer, Message: message})
}

func (p *parser) addMissing(pointer string, fields []string) {
	for _, field := range fields {
		p.add(strictjson.MissingField, pointer+"/"+field, "is required")
	}
}

// object reads an object and calls field for each key. Field reads the value; for an unknown key it
// reads nothing and returns false. Object returns the missing fields of required.
func (p *parser) object(field func(key string) bool, required ...string) (absent []string) {
	if !p.kind(strictjson.Object) {
		return nil
	}
	absent = slices.Clone(required)
	p.r.Object(func(key string) error { //nolint:errcheck // checked by newParser
		pointer := p.r.Pointer()
		if !field(key) {
			p.add(UnknownField, pointer, "is not a field of the request: check its spelling")
			return p.r.Skip()
		}
		absent = slices.DeleteFunc(absent, func(f string) bool { return f == key })
		return nil
	})
	return absent
}

// eventType accepts the key type, which a bare object may have beside the keys of the data.
func (p *parser) eventType(want string) bool {
	if p.r.Kind() != strictjson.String {
		return false
	}
	var ignored string
	p.checked(&ignored, UnknownField, "must be left out, or be "+want, func(s string) bool { return s == want })
	return true
}

// kind reports whether the value has the kind. It skips a value of another kind, which is a
// mistake.
func (p *parser) kind(want strictjson.Kind) bool {
	got := p.r.Kind()
	if got == want {
		return true
	}
	p.add(strictjson.WrongType, p.r.Pointer(), "must be "+want.String()+", not "+got.String())
	p.r.Skip() //nolint:errcheck // checked by newParser
	return false
}

func (p *parser) text(s *string) {
	if p.kind(strictjson.String) {
		*s, _ = p.r.Text()
	}
}

// checked reads a string and keeps it if it holds; otherwise the rule is the mistake.
func (p *parser) checked(s *string, code strictjson.Code, rule string, holds func(string) bool) {
	pointer := p.r.Pointer()
	if !p.kind(strictjson.String) {
		return
	}
	v, _ := p.r.Text()
	if !holds(v) {
		p.add(code, pointer, rule)
		return
	}
	*s = v
}

func (p *parser) id(s *string) {
	p.checked(s, strictjson.BadID, "must match [A-Za-z0-9][A-Za-z0-9._:~-]{0,127}", runs.ValidID)
}

func (p *parser) workspaceID(s *string) {
	p.checked(s, strictjson.BadID, "must match [a-z0-9][a-z0-9_-]{0,62}", runs.ValidWorkspaceID)
}

func (p *parser) enum(s *string, values []string) {
	p.checked(s, strictjson.WrongType, "must be one of "+strings.Join(values, ", "), func(v string) bool {
		return slices.Contains(values, v)
	})
}

// texts reads an array of at most so many elements, and calls read for each. The list stays nil for
// a value of another kind.
func (p *parser) texts(list *[]string, most int, read func(*string)) {
	pointer := p.r.Pointer()
	if !p.kind(strictjson.Array) {
		return
	}
	*list = []string{}
	p.r.Array(func(i int) error { //nolint:errcheck // checked by newParser
		if i >= most {
			p.tooMany(i == most, pointer, most)
			return p.r.Skip()
		}
		var s string
		read(&s)
		*list = append(*list, s)
		return nil
	})
}

// tooMany adds the mistake of a list with more than most entries, at the first of those.
func (p *parser) tooMany(first bool, pointer string, most int) {
	if first {
		p.add(strictjson.OutOfRange, pointer, fmt.Sprintf("must have at most %d entries: request several exports", most))
	}
}

func (p *parser) time(t *time.Time) { p.timeUpTo(t, false) }

// end reads the exclusive end of a window, which may be the end of all times.
func (p *parser) end(t *time.Time) { p.timeUpTo(t, true) }

func (p *parser) timeUpTo(t *time.Time, end bool) {
	pointer := p.r.Pointer()
	if !p.kind(strictjson.String) {
		return
	}
	s, _ := p.r.Text()
	v, rule, readable := runs.ParseTime(s)
	switch {
	case end && v.Equal(runs.EndTime()) && !readable:
		*t = v
	case rule != "" && readable:
		p.add(strictjson.WrongType, pointer, rule)
	case rule != "":
		p.add(strictjson.OutOfRange, pointer, rule)
	default:
		*t = v.Truncate(time.Microsecond)
	}
}

func (p *parser) number() (float64, bool) {
	if !p.kind(strictjson.Number) {
		return 0, false
	}
	pointer := p.r.Pointer()
	s, _ := p.r.Numeral()
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		p.add(strictjson.OutOfRange, pointer, "must be a number within the range of a 64-bit float")
	}
	return x, err == nil
}

func (p *parser) integer() (int64, bool) {
	if !p.kind(strictjson.Number) {
		return 0, false
	}
	pointer := p.r.Pointer()
	s, _ := p.r.Numeral()
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	x, _ := strconv.ParseFloat(s, 64) // 150.0 and 3e4 are integers too, as in JSON Schema
	switch {
	case x != math.Trunc(x):
		p.add(strictjson.WrongType, pointer, "must be an integer")
	case math.Abs(x) >= 1<<63:
		p.add(strictjson.OutOfRange, pointer, "must be an integer of 64 bits")
	default:
		return int64(x), true
	}
	return 0, false
}

// set returns the values sorted and without duplicates, nil where there are none.
func set(values []string) []string {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	return slices.Compact(values)
}
