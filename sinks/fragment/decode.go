package fragment

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

// cells receives the values of a record, leaf by leaf.
type cells interface {
	// cell receives a value of a leaf with its repetition and definition level. token is the JSON
	// of the value, or nil if the value is null at that level. Only the first byte of token was
	// compared with the type of the leaf.
	cell(leaf *node, repetition, definition int, token []byte) error
}

// decoder splits records into the columns that they should have. It reads a record once, and
// allocates nothing unless it refuses the record.
type decoder struct {
	tree *tree
	scan jsonscan.Scanner
}

// decode calls cells for every value of the record. Keys may come in any order, and an absent key
// is null. An error names the column and the run; cells may then have received a part of the
// record.
func (d *decoder) decode(record []byte, to cells) error {
	err := d.record(record, to)
	if err == nil {
		return nil
	}
	var names struct {
		RunID string `json:"run_id"`
		ID    string `json:"id"`
	}
	if json.Unmarshal(record, &names) == nil && names.RunID+names.ID != "" {
		return fmt.Errorf("record of run %q, id %q: %w", names.RunID, names.ID, err)
	}
	return err
}

var errUTF8 = errors.New("the record is not valid UTF-8")

func (d *decoder) record(record []byte, to cells) error {
	if !utf8.Valid(record) {
		return errUTF8
	}
	d.scan.Reset(record)
	if d.scan.Peek() != '{' {
		return d.scan.Error("an object")
	}
	if err := d.object(d.tree.root, 0, to); err != nil {
		return err
	}
	return d.scan.End()
}

// value reads a value of a column.
func (d *decoder) value(n *node, repetition int, to cells) error {
	c := d.scan.Peek()
	if c == 'n' {
		if _, err := d.scan.Value(); err != nil {
			return err
		}
		return d.null(n, repetition, to)
	}
	if len(n.children) > 0 {
		switch {
		case n.Type == Struct && c == '{':
			return d.object(n, repetition, to)
		case n.Type == List && c == '[':
			return d.array(n, repetition, to)
		}
		return n.wrong()
	}
	token, err := d.scan.Value()
	if err != nil {
		return err
	}
	if !begins(n.Type, token[0]) {
		return n.wrong()
	}
	return to.cell(n, repetition, n.present, token)
}

// begins reports whether a value of a type may begin with c.
func begins(t Type, c byte) bool {
	switch t {
	case Text, Time:
		return c == '"'
	case Integer, Float:
		return c == '-' || c-'0' <= 9
	case Boolean:
		return c == 't' || c == 'f'
	case List:
		return c == '['
	}
	return true
}

// null reports a null or absent column to cells.
func (d *decoder) null(n *node, repetition int, to cells) error {
	if n.Required {
		return fmt.Errorf("column %s must not be null or missing", n.name())
	}
	return d.nulls(n, repetition, n.present-1, to)
}

// nulls reports a null of that definition level for every leaf below n.
func (d *decoder) nulls(n *node, repetition, definition int, to cells) error {
	if len(n.children) == 0 {
		return to.cell(n, repetition, definition, nil)
	}
	for _, child := range n.children {
		if err := d.nulls(child, repetition, definition, to); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) object(n *node, repetition int, to cells) error {
	clear(n.seen)
	d.scan.Take('{')
	read, next := 0, 0
	for first := true; !d.scan.Take('}'); first = false {
		if !first && !d.scan.Take(',') {
			return d.scan.Error("a comma or }")
		}
		if next == len(n.children) || !d.scan.TakeText(n.children[next].key) {
			var err error
			if next, err = d.find(n); err != nil {
				return err
			}
		}
		if n.seen[next] {
			return fmt.Errorf("column %s appears twice", n.children[next].name())
		}
		n.seen[next] = true
		if err := d.value(n.children[next], repetition, to); err != nil {
			return err
		}
		read++
		next++
	}
	if read == len(n.children) {
		return nil
	}
	for i, child := range n.children {
		if !n.seen[i] {
			if err := d.null(child, repetition, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// find reads a key that is not the expected next one, and returns its field.
func (d *decoder) find(n *node) (int, error) {
	key, err := d.scan.Key()
	if err != nil {
		return 0, err
	}
	name, err := jsonscan.AppendText(nil, key)
	if err != nil {
		return 0, err
	}
	for i, child := range n.children {
		if child.Name == string(name) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("column %s has an unknown key of %d bytes", n.name(), len(name))
}

func (d *decoder) array(n *node, repetition int, to cells) error {
	d.scan.Take('[')
	element := n.children[0]
	if d.scan.Take(']') {
		return d.nulls(element, repetition, n.present, to)
	}
	for {
		if err := d.value(element, repetition, to); err != nil {
			return err
		}
		if d.scan.Take(']') {
			return nil
		}
		if !d.scan.Take(',') {
			return d.scan.Error("a comma or ]")
		}
		repetition = n.repeat
	}
}

func (n *node) name() string {
	if len(n.path) == 0 {
		return "of the record"
	}
	return strings.Join(n.path, ".")
}

func (n *node) wrong() error { return fmt.Errorf("column %s must be %s", n.name(), n.Type) }

// integer parses a token that begins like a number. It refuses a fraction and an exponent, even of
// a whole number, since a reader would read something else than was written.
func integer(token []byte) (x int64, ok bool) {
	digits := token
	if token[0] == '-' {
		digits = token[1:]
	}
	if len(digits) > 18 { // rare
		x, err := strconv.ParseInt(string(token), 10, 64)
		return x, err == nil
	}
	for _, c := range digits {
		if c-'0' > 9 {
			return 0, false
		}
		x = x*10 + int64(c-'0')
	}
	if len(digits) < len(token) {
		x = -x
	}
	return x, true
}

// float parses a token that begins like a number.
func float(token []byte) (x float64, ok bool) {
	x, err := strconv.ParseFloat(string(token), 64)
	return x, err == nil
}

// reusable returns the emptied buffer, or nil if it has grown beyond a capacity.
func reusable[T any](buffer []T, capacity int) []T {
	if cap(buffer) > capacity {
		return nil
	}
	return buffer[:0]
}

func quote(s string) []byte { return jsonscan.AppendString(nil, []byte(s)) }
