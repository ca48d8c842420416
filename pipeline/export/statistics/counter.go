package statistics

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

// Counter counts records, and merges what others counted. The zero Counter is ready. It is not safe for concurrent
// use.
type Counter struct {
	records int64
	columns []*column
	byName  map[string]*column
	others  int64
	scan    jsonscan.Scanner
	next    int // the column that is probably the next of the record
	name    []byte
}

type column struct {
	key      []byte // as JSON writes it; nil if it came from a document
	name     string
	place    int
	values   int64
	bytes    int64
	types    [len(Types)]int64
	lengths  [len(Types)]*lengths
	numbers  span
	frequent frequent
}

// lengths has the numbers of [Lengths].
type lengths struct {
	min, max, sum int64
	histogram     [40]int64
}

// Add counts a record, one JSON object. Of a text that is none it counts what it can read. Add does not retain record.
func (c *Counter) Add(record []byte) {
	c.records++
	c.scan.Reset(record)
	if !c.scan.Take('{') {
		return
	}
	c.next = 0
	for place := 0; ; place++ {
		key, err := c.scan.Key()
		if err != nil {
			return // the object is empty
		}
		column := c.column(key)
		value, kind, length, err := c.value()
		if err != nil {
			return
		}
		if column == nil {
			c.others++
		} else {
			column.add(place, value, kind, length)
		}
		if !c.scan.Take(',') {
			return
		}
	}
}

// column returns the column of a key, nil if it is not listed.
func (c *Counter) column(key []byte) *column {
	for i := c.next; i < min(c.next+4, len(c.columns)); i++ { // records differ in few keys
		if bytes.Equal(c.columns[i].key, key) {
			c.next = i + 1
			return c.columns[i]
		}
	}
	name, err := jsonscan.AppendText(c.name[:0], key)
	if c.name = name; err != nil {
		return nil
	}
	column := c.byName[string(name)]
	if column == nil {
		if column = c.insert(name); column == nil {
			return nil
		}
	}
	if column.key == nil {
		column.key = bytes.Clone(key)
	}
	return column
}

// insert returns a new column, nil if there are too many.
func (c *Counter) insert(name []byte) *column {
	if len(c.columns) == MaxColumns || len(name) > maxName {
		return nil
	}
	if c.byName == nil {
		c.byName = map[string]*column{}
	}
	column := &column{name: string(name)}
	c.columns, c.byName[column.name] = append(c.columns, column), column
	return column
}

// The numbers of types.
const (
	kindText = iota
	kindInteger
	kindNumber
	kindBoolean
	kindList
	kindObject
	kindNull
)

// value reads a value, and returns its text, the number of its type, and its length.
func (c *Counter) value() (value []byte, kind uint8, length int64, err error) {
	switch first := c.scan.Peek(); first {
	case '"':
		if value, err = c.scan.Value(); err == nil {
			length = characters(value)
		}
		return value, kindText, length, err
	case '[', '{':
		var members int
		if kind = kindList; first == '{' {
			kind = kindObject
		}
		value, members, err = c.scan.Members()
		return value, kind, int64(members), err
	case 't', 'f':
		kind = kindBoolean
	case 'n':
		kind = kindNull
	default:
		kind = kindInteger
	}
	value, err = c.scan.Value()
	if kind == kindInteger && bytes.ContainsAny(value, ".eE") {
		kind = kindNumber
	}
	return value, kind, 0, err
}

// characters returns how many characters the text of a JSON string has.
func characters(value []byte) (n int64) {
	value = value[1 : len(value)-1]
	n = int64(len(value))
	for text := value; ; {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			break
		}
		switch {
		case text[i+1] != 'u':
			n--
			text = text[i+2:]
		case text[i+2]|0x20 == 'd' && text[i+3] >= '8' && len(text) >= i+12: // two halves of a character
			n -= 11
			text = text[i+12:]
		default:
			n -= 5
			text = text[i+6:]
		}
	}
	// A character of several bytes has bytes of the form 10xxxxxx after its first.
	i := 0
	for ; i+8 <= len(value); i += 8 {
		w := binary.LittleEndian.Uint64(value[i:])
		n -= int64(bits.OnesCount64(w &^ (w << 1) & 0x8080808080808080))
	}
	for ; i < len(value); i++ {
		if value[i]&0xc0 == 0x80 {
			n--
		}
	}
	return n
}

func (c *column) add(place int, value []byte, kind uint8, length int64) {
	c.place = max(c.place, place)
	c.values++
	c.bytes += int64(len(value))
	c.types[kind]++
	switch kind {
	case kindNull:
		return
	case kindText, kindList, kindObject:
		if c.lengths[kind] == nil {
			c.lengths[kind] = &lengths{min: length}
		}
		c.lengths[kind].add(length)
	case kindInteger, kindNumber:
		c.numbers.add(value)
	}
	c.frequent.add(kind, value)
}

func (l *lengths) add(n int64) {
	l.min, l.max = min(l.min, n), max(l.max, n)
	l.sum += n
	l.histogram[min(bits.Len64(uint64(n)), len(l.histogram)-1)]++
}

// Merge adds what another Counter counted.
func (c *Counter) Merge(s *Statistics) {
	c.records += s.Records
	c.others += s.OtherValues
	for i := range s.Columns {
		d := &s.Columns[i]
		column := c.byName[d.Name]
		if column == nil {
			if column = c.insert([]byte(d.Name)); column == nil {
				c.others += d.Values
				continue
			}
		}
		column.merge(d)
	}
}

func (c *column) merge(d *Column) {
	c.place = max(c.place, d.Place)
	c.values += d.Values
	c.bytes += d.Bytes
	for kind, name := range Types {
		c.types[kind] += d.Types[name]
		if l := d.Lengths[name]; l != nil {
			if c.lengths[kind] == nil {
				c.lengths[kind] = &lengths{min: l.Min}
			}
			c.lengths[kind].merge(l)
		}
	}
	c.numbers.merge(d.Numbers)
	c.frequent.merge(&d.Frequent)
}

func (l *lengths) merge(d *Lengths) {
	l.min, l.max = min(l.min, d.Min), max(l.max, d.Max)
	l.sum += d.Sum
	for i, n := range d.Histogram {
		l.histogram[min(i, len(l.histogram)-1)] += n
	}
}

// Statistics returns what was counted.
func (c *Counter) Statistics() *Statistics {
	s := &Statistics{Version: Version, Records: c.records, OtherValues: c.others, Columns: []Column{}}
	for _, column := range c.columns {
		s.Columns = append(s.Columns, column.document())
	}
	s.sort()
	return s
}

func (c *column) document() Column {
	d := Column{Name: c.name, Place: c.place, Values: c.values, Bytes: c.bytes, Types: map[Type]int64{},
		Numbers: c.numbers.document(), Frequent: c.frequent.document()}
	for kind, name := range Types {
		if c.types[kind] > 0 {
			d.Types[name] = c.types[kind]
		}
		if l := c.lengths[kind]; l != nil {
			if d.Lengths == nil {
				d.Lengths = map[Type]*Lengths{}
			}
			d.Lengths[name] = l.document()
		}
	}
	return d
}

func (l *lengths) document() *Lengths {
	n := len(l.histogram)
	for n > 0 && l.histogram[n-1] == 0 {
		n--
	}
	return &Lengths{Min: l.min, Max: l.max, Sum: l.sum, Histogram: append([]int64{}, l.histogram[:n]...)}
}
