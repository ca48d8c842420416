package record

import (
	"github.com/millrace/millrace/pipeline/jsonscan"
	"github.com/millrace/millrace/sinks/fragment"
)

// Records writes records that all have the same keys, so that each key is a column. Absent values
// are null, absent lists are [] and absent metadata is {}. Documents are as the producer wrote
// them. Times are RFC 3339, UTC, with milliseconds.
type Records struct {
	Texts
	ids      IDs
	RowNeeds Needs // what Needs returns
	Fields   object[Row]
}

// NewRecords returns records without fields.
func NewRecords(purpose string, needs Needs) *Records {
	return &Records{ids: NewIDs(purpose, Canonical), RowNeeds: needs}
}

// Columns implements format.Formatter.
func (f *Records) Columns() []fragment.Column { return f.Fields.Columns }

// Needs implements format.Formatter.
func (f *Records) Needs() Needs { return f.RowNeeds }

// Append implements format.RowFormatter.
func (f *Records) Append(dst []byte, row *Row) (out []byte, drop string, err error) {
	f.Reset()
	return f.Finish(row, dst, f.Fields.Append(dst, row), "")
}

// JudgementsLeftOut is the code of the warning about a record that does not have all judgements.
const JudgementsLeftOut = "judgements_left_out"

// Warnings implements format.Warner.
func (f *Records) Warnings(row *Row) []string {
	codes := f.Texts.Warnings(row)
	if f.RowNeeds.Judgements && row.HasFeedback && len(row.Feedback.Judgements) > MaxJudgements {
		codes = append(codes, JudgementsLeftOut)
	}
	return codes
}

// IDField returns the field of the record's id.
func (f *Records) IDField() Field[Row] {
	return PlainField(Column{Name: "id", Required: true, Bloom: true}, func(dst []byte, row *Row) []byte {
		return f.ids.Append(dst, row)
	})
}

// Column describes a key of records.
type Column = fragment.Column

// Field is a member of a JSON object that describes a T: a column, and a function that appends its
// value.
type Field[T any] struct {
	Column
	Value func(dst []byte, of *T) []byte
}

// object writes a JSON object: its fields in order.
type object[T any] struct {
	Columns []Column
	members []member[T]
}

// member is a field as it is written.
type member[T any] struct {
	key   string // with the separator before it: `,"run_id":`
	value func(dst []byte, of *T) []byte
}

// NewObject returns an object with the given fields.
func NewObject[T any](fields ...Field[T]) (o object[T]) {
	separator := byte('{')
	for _, f := range fields {
		key := append(jsonscan.AppendString([]byte{separator}, []byte(f.Name)), ':')
		o.Columns, o.members = append(o.Columns, f.Column), append(o.members, member[T]{string(key), f.Value})
		separator = ','
	}
	return o
}

// Append appends the object of a T.
func (o *object[T]) Append(dst []byte, of *T) []byte {
	for i := range o.members {
		m := &o.members[i]
		dst = append(dst, m.key...)
		dst = m.value(dst, of)
	}
	return append(dst, '}')
}

// PlainField returns a field of a column whose value is appended by a function.
func PlainField[T any](c Column, value func(dst []byte, of *T) []byte) Field[T] {
	return Field[T]{Column: c, Value: value}
}

// TextField returns a field of a text. An empty text is null.
func TextField[T any](c Column, get func(of *T) []byte) Field[T] {
	return PlainField(c, func(dst []byte, of *T) []byte { return AppendText(dst, get(of)) })
}

// DocumentField returns a field of a JSON document. An empty document is null.
func DocumentField[T any](name string, get func(of *T) []byte) Field[T] {
	return PlainField(Column{Name: name, Type: fragment.Document}, func(dst []byte, of *T) []byte {
		return appendDoc(dst,
			get(of))
	})
}

// IntegerField returns a field of an integer.
func IntegerField[T any](name string, get func(of *T) Null[int64]) Field[T] {
	return PlainField(Column{Name: name, Type: fragment.Integer}, func(dst []byte, of *T) []byte {
		return AppendInt(dst,
			get(of))
	})
}

// FloatField returns a field of a float.
func FloatField[T any](name string, get func(of *T) Null[float64]) Field[T] {
	return PlainField(Column{Name: name, Type: fragment.Float}, func(dst []byte, of *T) []byte {
		return AppendFloat(dst,
			get(of))
	})
}

// BooleanField returns a field of a boolean.
func BooleanField[T any](name string, get func(of *T) Null[bool]) Field[T] {
	return PlainField(Column{Name: name, Type: fragment.Boolean}, func(dst []byte, of *T) []byte {
		return AppendBool(dst,
			get(of))
	})
}

// RequiredIntegerField returns a field of an integer that is never null.
func RequiredIntegerField[T any](name string, get func(of *T) int64) Field[T] {
	f := IntegerField(name, func(of *T) Null[int64] { return Null[int64]{get(of), true} })
	f.Required = true
	return f
}

// TimeField returns a field of a time that is never null, in milliseconds since 1970.
func TimeField[T any](name string, get func(of *T) int64) Field[T] {
	return PlainField(Column{Name: name, Type: fragment.Time, Required: true}, func(dst []byte, of *T) []byte {
		return jsonscan.AppendTime(dst, get(of))
	})
}

// ListField returns a field of an array.
func ListField[T, E any](name string, element Column, get func(of *T) []E,
	value func(dst []byte, of *E) []byte) Field[T] {
	return PlainField(Column{Name: name, Type: fragment.List, Required: true, Element: &element},
		func(dst []byte, of *T) []byte {
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

// ObjectsField returns a field of an array of objects.
func ObjectsField[T, E any](name string, get func(of *T) []E, fields ...Field[E]) Field[T] {
	o := NewObject(fields...)
	return ListField(name, Column{Type: fragment.Struct, Required: true, Fields: o.Columns}, get, o.Append)
}

// TextListField returns a field of an array of texts. An empty text is null, unless element is
// required.
func TextListField[T any](name string, element Column, get func(of *T) [][]byte) Field[T] {
	value := AppendText
	if element.Required {
		value = jsonscan.AppendString
	}
	return ListField(name, element, get, func(dst []byte, of *[]byte) []byte { return value(dst, *of) })
}

// NestedField returns a field of an object, which is null if get returns nil.
func NestedField[T, O any](name string, get func(of *T) *O, fields ...Field[O]) Field[T] {
	o := NewObject(fields...)
	return PlainField(Column{Name: name, Type: fragment.Struct, Fields: o.Columns}, func(dst []byte, of *T) []byte {
		if inner := get(of); inner != nil {
			return o.Append(dst, inner)
		}
		return append(dst, "null"...)
	})
}

// Required returns the field as one whose value is never null.
func Required[T any](f Field[T]) Field[T] {
	f.Required = true
	return f
}
