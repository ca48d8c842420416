package format

import (
	"github.com/millrace/millrace/pipeline/jsonscan"
	"github.com/millrace/millrace/sinks/fragment"
)

// records writes rows as records that have every key, null where there is no value, so that each key is a column.
// Lists are [] and metadata is {} where there is nothing. Documents are as the producer wrote them. Times are RFC 3339,
// UTC, with milliseconds.
type records struct {
	texts
	ids    ids
	needs  Needs
	fields object[Row]
}

func newRecords(purpose string, needs Needs) *records {
	return &records{ids: newIDs(purpose, Canonical), needs: needs}
}

// Columns implements [Formatter].
func (f *records) Columns() []fragment.Column { return f.fields.columns }

// Needs implements [Formatter].
func (f *records) Needs() Needs { return f.needs }

// Append implements [RowFormatter].
func (f *records) Append(dst []byte, row *Row) (out []byte, drop string, err error) {
	f.begin()
	return f.done(row, dst, f.fields.append(dst, row), "")
}

// idField is that of the record's id.
func (f *records) idField() field[Row] {
	return plain(column{Name: "id", Required: true, Bloom: true}, func(dst []byte, row *Row) []byte {
		return f.ids.append(dst, row)
	})
}

type column = fragment.Column

// field is a member of an object that is made of a T: its column, and what appends its value.
type field[T any] struct {
	column
	value func(dst []byte, of *T) []byte
}

// object is its fields, in their order.
type object[T any] struct {
	columns []column
	members []member[T]
}

// member is what a field writes.
type member[T any] struct {
	key   string // with what is before it: `,"run_id":`
	value func(dst []byte, of *T) []byte
}

func newObject[T any](fields ...field[T]) (o object[T]) {
	separator := byte('{')
	for _, f := range fields {
		key := append(jsonscan.AppendString([]byte{separator}, []byte(f.Name)), ':')
		o.columns, o.members = append(o.columns, f.column), append(o.members, member[T]{string(key), f.value})
		separator = ','
	}
	return o
}

func (o *object[T]) append(dst []byte, of *T) []byte {
	for i := range o.members {
		m := &o.members[i]
		dst = append(dst, m.key...)
		dst = m.value(dst, of)
	}
	return append(dst, '}')
}

// plain is a field of a column and what appends its value.
func plain[T any](c column, value func(dst []byte, of *T) []byte) field[T] {
	return field[T]{column: c, value: value}
}

// text is a field of a text, null where it is empty.
func text[T any](c column, get func(of *T) []byte) field[T] {
	return plain(c, func(dst []byte, of *T) []byte { return appendText(dst, get(of)) })
}

func document[T any](name string, get func(of *T) []byte) field[T] {
	return plain(column{Name: name, Type: fragment.Document}, func(dst []byte, of *T) []byte { return appendDoc(dst, get(of)) })
}

func integer[T any](name string, get func(of *T) Null[int64]) field[T] {
	return plain(column{Name: name, Type: fragment.Integer}, func(dst []byte, of *T) []byte { return appendInt(dst, get(of)) })
}

func float[T any](name string, get func(of *T) Null[float64]) field[T] {
	return plain(column{Name: name, Type: fragment.Float}, func(dst []byte, of *T) []byte { return appendFloat(dst, get(of)) })
}

func boolean[T any](name string, get func(of *T) Null[bool]) field[T] {
	return plain(column{Name: name, Type: fragment.Boolean}, func(dst []byte, of *T) []byte { return appendBool(dst, get(of)) })
}

// whole is an integer that is always there.
func whole[T any](name string, get func(of *T) int64) field[T] {
	f := integer(name, func(of *T) Null[int64] { return Null[int64]{get(of), true} })
	f.Required = true
	return f
}

// timestamp is a time that is always there, in milliseconds since 1970.
func timestamp[T any](name string, get func(of *T) int64) field[T] {
	return plain(column{Name: name, Type: fragment.Time, Required: true}, func(dst []byte, of *T) []byte {
		return jsonscan.AppendTime(dst, get(of))
	})
}

// list is a field of an array.
func list[T, E any](name string, element column, get func(of *T) []E, value func(dst []byte, of *E) []byte) field[T] {
	return plain(column{Name: name, Type: fragment.List, Required: true, Element: &element}, func(dst []byte, of *T) []byte {
		dst = append(dst, '[')
		all := get(of)
		for i := range all {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = value(dst, &all[i])
		}
		return append(dst, ']')
	})
}

// objects is a field of an array of objects.
func objects[T, E any](name string, get func(of *T) []E, fields ...field[E]) field[T] {
	o := newObject(fields...)
	return list(name, column{Type: fragment.Struct, Required: true, Fields: o.columns}, get, o.append)
}

// textList is a field of an array of texts; one that may be null is where it is empty.
func textList[T any](name string, element column, get func(of *T) [][]byte) field[T] {
	value := appendText
	if element.Required {
		value = jsonscan.AppendString
	}
	return list(name, element, get, func(dst []byte, of *[]byte) []byte { return value(dst, *of) })
}

// nested is a field of an object, null where get returns nil.
func nested[T, O any](name string, get func(of *T) *O, fields ...field[O]) field[T] {
	o := newObject(fields...)
	return plain(column{Name: name, Type: fragment.Struct, Fields: o.columns}, func(dst []byte, of *T) []byte {
		if inner := get(of); inner != nil {
			return o.append(dst, inner)
		}
		return append(dst, "null"...)
	})
}

// required is a field whose value is never null.
func required[T any](f field[T]) field[T] {
	f.Required = true
	return f
}
