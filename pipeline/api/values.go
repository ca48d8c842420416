package api

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/millrace/millrace/pipeline/jsonscan"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// values publishes one JSON value after the other, or the elements of an array.
func (p *publishing) values(r *bufio.Reader) error {
	first, err := firstByte(r)
	if err != nil {
		return err
	}
	in := &values{r: r, array: first == '[', limit: p.api.cfg.Limits.MaxValue(), more: p.holdLarge}
	if in.array {
		r.Discard(1) //nolint:errcheck // firstByte has seen it
	}
	for number := 1; ; number++ {
		value, err := in.next()
		if err == nil && !json.Valid(value) {
			err = errNoJSON
		}
		if err != nil {
			return p.ended(number, err)
		}
		if err := p.event(number, value); err != nil {
			return err
		}
	}
}

// ended maps the error after the last value. Text that is not JSON refuses the rest of the body.
func (p *publishing) ended(number int, err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, errTooLarge):
		p.refuse(number, &strictjson.Refusal{Code: strictjson.TooLarge, Rule: fmt.Sprintf("an event may have %d bytes; this "+
			"one has more, and what follows was not read", p.api.cfg.Limits.MaxValue())})
		return nil
	}
	var tooLarge *http.MaxBytesError
	var known *Problem
	if errors.As(err, &tooLarge) || isTimeout(err) || errors.As(err, &known) {
		return err
	}
	p.refuse(number, &strictjson.Refusal{Code: strictjson.InvalidJSON,
		Rule: "is not JSON from here on, and what follows was not read"})
	return nil
}

var (
	// errTooLarge ends the reading of a body: the next value is larger than an event may be.
	errTooLarge = errors.New("the event is too large")
	// errNoJSON ends the reading of a body that is not JSON.
	errNoJSON = errors.New("the body is not JSON")
)

// values splits a body into its JSON values, and holds one of them at a time. It finds where a value
// ends, and does not check what is inside.
type values struct {
	r     *bufio.Reader
	array bool // the values are the elements of an array
	limit int  // bytes of a value
	// more is called before each part of a value is kept, with the bytes of the value so far.
	more func(size int64) error

	read bool // a value was read
}

// next returns the next value, which the caller may keep. It returns io.EOF at the end of the body or of
// the array, which must be the end of the body.
func (v *values) next() ([]byte, error) {
	c, err := v.begin()
	if err != nil {
		return nil, err
	}
	v.read = true
	in := inside{scalar: c != '{' && c != '[' && c != '"'}
	var value []byte
	for {
		if err := v.more(int64(len(value))); err != nil {
			return nil, err
		}
		if _, err := v.r.Peek(1); errors.Is(err, io.EOF) && in.scalar && !v.array && len(value) > 0 {
			return value, nil // the end of the body is that of a number
		} else if errors.Is(err, io.EOF) {
			return nil, errNoJSON
		} else if err != nil {
			return nil, err
		}
		part, _ := v.r.Peek(v.r.Buffered())
		n, ended := in.end(part)
		if len(value)+n > v.limit {
			return nil, errTooLarge
		}
		value = append(value, part[:n]...)
		v.r.Discard(n) //nolint:errcheck // Peek has read them
		if ended {
			return value, nil
		}
	}
}

// begin passes over what is before the next value, and returns its first byte without reading it.
func (v *values) begin() (byte, error) {
	c, err := v.space()
	if err != nil || !v.array {
		return c, err
	}
	switch {
	case c == ']':
		v.r.Discard(1)                      //nolint:errcheck // space has seen it
		if _, err = v.space(); err == nil { // something follows
			err = errNoJSON
		}
		return 0, err
	case v.read && c != ',':
		return 0, errNoJSON
	case v.read:
		v.r.Discard(1) //nolint:errcheck // space has seen it
		if c, err = v.space(); err == nil && c == ']' {
			err = errNoJSON
		}
	}
	return c, err
}

// space passes over white space, and returns the byte after it without reading it.
func (v *values) space() (byte, error) {
	for {
		c, err := v.r.ReadByte()
		if err != nil {
			return 0, err
		}
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c, v.r.UnreadByte()
		}
	}
}

// inside is a place in a value.
type inside struct {
	scalar  bool // the value is a number, true, false or null
	depth   int  // of open arrays and objects
	text    bool // in a string
	escaped bool // after a backslash
}

// end returns how many bytes of a part belong to the value, and whether it ends with them.
func (in *inside) end(part []byte) (n int, ended bool) {
	for i, c := range part {
		switch {
		case in.scalar:
			switch c {
			case ' ', '\t', '\n', '\r', ',', ']', '}', '[', '{', '"', ':':
				return i, true
			}
		case in.escaped:
			in.escaped = false
		case in.text:
			in.escaped = c == '\\'
			if in.text = c != '"'; !in.text && in.depth == 0 {
				return i + 1, true
			}
		case c == '"':
			in.text = true
		case c == '{' || c == '[':
			in.depth++
		case c == '}' || c == ']':
			if in.depth--; in.depth == 0 {
				return i + 1, true
			}
		}
	}
	return len(part), false
}

// firstByte skips a byte order mark and white space, and returns the byte after them without reading
// it; 0 at the end.
func firstByte(r *bufio.Reader) (byte, error) {
	if start, _ := r.Peek(3); len(start) == 3 && len(jsonscan.TrimByteOrderMark(start)) == 0 {
		r.Discard(3) //nolint:errcheck // Peek has read them
	}
	for {
		b, err := r.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return 0, nil
		case err != nil:
			return 0, err
		case b == ' ' || b == '\t' || b == '\n' || b == '\r':
			continue
		}
		return b, r.UnreadByte()
	}
}
