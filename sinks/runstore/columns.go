package runstore

import (
	"fmt"
	"time"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/columns"
	"github.com/millrace/millrace/pipeline/runs"
)

// column is a column of an insert block. It is reused for the next insert.
type column interface {
	proto.ColInput
	proto.Resettable
}

// block collects rows of type R for one insert.
type block[R any] struct {
	input   proto.Input
	appends []func(row *R) // one a column
	texts   []*proto.ColStr
}

// size returns the bytes of memory that the texts of the block keep for the next insert.
func (b *block[R]) size() (n int) {
	for _, c := range b.texts {
		n += cap(c.Buf)
	}
	return n
}

// newBlock returns an empty block of these columns.
func newBlock[R any](list []columns.Column[R]) *block[R] {
	b := &block[R]{}
	for _, c := range list {
		col, add := encoder(c)
		if text, ok := col.(*proto.ColStr); ok {
			b.texts = append(b.texts, text)
		}
		b.input = append(b.input, proto.InputColumn{Name: c.Name, Data: col})
		b.appends = append(b.appends, add)
	}
	return b
}

// fill adds rows until the block has about this many bytes of texts, at least one row, and returns how many.
func (b *block[R]) fill(rows []*R, bytes int) int {
	for i, row := range rows {
		b.append(row)
		n := 0
		for _, c := range b.texts {
			n += len(c.Buf)
		}
		if n >= bytes {
			return i + 1
		}
	}
	return len(rows)
}

// append adds a row to each column.
func (b *block[R]) append(row *R) {
	for _, add := range b.appends {
		add(row)
	}
}

// encoder returns the wire column of a table's column, and the function that appends a row's value
// to it. It panics where type and value of the column do not fit: the lists are constant.
func encoder[R any](c columns.Column[R]) (column, func(*R)) {
	switch value := c.Value.(type) {
	case func(*R) string:
		if c.Type == columns.LowCardinality {
			col := newLowCardinality()
			return col, func(r *R) { col.Append(value(r)) }
		}
		col := new(proto.ColStr)
		return col, func(r *R) { col.Append(value(r)) }
	case func(*R) time.Time:
		return timeEncoder(c.Type, value)
	case func(*R) uint64:
		col := new(proto.ColUInt64)
		return col, func(r *R) { col.Append(value(r)) }
	case func(*R) *int64:
		return nullable(new(proto.ColInt64), value)
	case func(*R) *float64:
		return nullable(new(proto.ColFloat64), value)
	case func(*R) *bool:
		return nullable(new(proto.ColBool), value)
	case func(*R) []string:
		col := new(proto.ColStr).Array()
		return col, func(r *R) { col.Append(value(r)) }
	case func(*R) []runs.Pair:
		col := proto.NewMap[string, string](newLowCardinality(), new(proto.ColStr))
		var pairs []proto.KV[string, string] // reused between rows
		return col, func(r *R) {
			pairs = pairs[:0]
			for _, p := range value(r) {
				pairs = append(pairs, proto.KV[string, string]{Key: p.Key, Value: p.Value})
			}
			col.AppendKV(pairs)
		}
	case func(*R) []runs.File:
		col := newTuples(c.Type, columns.Files)
		return col, func(r *R) { col.append(value(r)) }
	case func(*R) []runs.Chunk:
		col := newTuples(c.Type, columns.Chunks)
		return col, func(r *R) { col.append(value(r)) }
	}
	panic(fmt.Sprintf("column %s has a value of type %T", c.Name, c.Value))
}

func newLowCardinality() *proto.ColLowCardinality[string] { return new(proto.ColStr).LowCardinality() }

// timeEncoder returns the encoder of a DateTime64. In a Nullable one the zero time is NULL.
func timeEncoder[R any](of columns.Type, value func(*R) time.Time) (column, func(*R)) {
	precision := proto.PrecisionMilli
	if of == columns.Microseconds {
		precision = proto.PrecisionMicro
	}
	col := new(proto.ColDateTime64).WithPrecision(precision).WithLocation(time.UTC)
	if of != columns.NullableMilliseconds {
		return col, func(r *R) { col.Append(value(r)) }
	}
	optional := proto.NewColNullable[time.Time](col)
	return optional, func(r *R) {
		t := value(r)
		optional.Append(proto.Nullable[time.Time]{Set: !t.IsZero(), Value: t})
	}
}

// nullable returns the encoder of a Nullable column, in which nil is NULL.
func nullable[R, T any](values proto.ColumnOf[T], value func(*R) *T) (column, func(*R)) {
	col := proto.NewColNullable[T](values)
	return col, func(r *R) {
		p := value(r)
		if p == nil {
			col.Append(proto.Null[T]())
		} else {
			col.Append(proto.NewNullable(*p))
		}
	}
}

// tuples is an array of named tuples, for which ch-go has no column. On the wire it is its offsets
// and then the columns of the tuple, one after the other.
type tuples[E any] struct {
	columnType proto.ColumnType
	offsets    proto.ColUInt64
	elements   []column
	appends    []func(*E)
}

func newTuples[E any](of columns.Type, list []columns.Column[E]) *tuples[E] {
	t := &tuples[E]{columnType: proto.ColumnType(of)}
	for _, c := range list {
		col, add := encoder(c)
		t.elements, t.appends = append(t.elements, col), append(t.appends, add)
	}
	return t
}

// append adds a row that has these tuples.
func (t *tuples[E]) append(row []E) {
	for i := range row {
		for _, add := range t.appends {
			add(&row[i])
		}
	}
	var last uint64
	if n := t.offsets.Rows(); n > 0 {
		last = t.offsets.Row(n - 1)
	}
	t.offsets.Append(last + uint64(len(row)))
}

// Type implements [proto.ColInput].
func (t *tuples[E]) Type() proto.ColumnType { return t.columnType }

// Rows implements [proto.ColInput].
func (t *tuples[E]) Rows() int { return t.offsets.Rows() }

// Reset implements [proto.ColInput].
func (t *tuples[E]) Reset() {
	t.offsets.Reset()
	for _, e := range t.elements {
		e.Reset()
	}
}

// EncodeColumn implements [proto.ColInput].
func (t *tuples[E]) EncodeColumn(b *proto.Buffer) {
	t.offsets.EncodeColumn(b)
	for _, e := range t.elements {
		e.EncodeColumn(b)
	}
}

// WriteColumn implements [proto.ColInput].
func (t *tuples[E]) WriteColumn(w *proto.Writer) {
	t.offsets.WriteColumn(w)
	for _, e := range t.elements {
		e.WriteColumn(w)
	}
}
