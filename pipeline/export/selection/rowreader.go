package selection

import (
	"fmt"
	"strings"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/columns"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

// RowColumns returns the SELECT list of a query for [ReadRows]: exactly these expressions, in this
// order. Run and feedback are the prefixes of the query's relations, such as "r." and "f.", or ""
// where a column name alone is unambiguous.
//
// The relation run has the columns of table runs. The relation feedback has the columns
// feedback_id, feedback_rating, feedback_score, feedback_comment, feedback_tags,
// feedback_corrected_answer and feedback_scores, as in the view runs_with_feedback. An empty
// feedback_id, which a LEFT JOIN yields, means that the run has no feedback. Both may be the same
// relation.
//
// Each expression has a fixed type: it converts where a relation may have String or
// LowCardinality(String). Each alias starts with "row_", so that no alias hides a column in WHERE
// or ORDER BY.
func RowColumns(run, feedback string) string {
	return selectList(newRowReader().fields, run, feedback)
}

func selectList(fields []field, run, feedback string) string {
	var list strings.Builder
	qualify := strings.NewReplacer("{r}", run, "{f}", feedback)
	for i, f := range fields {
		if i > 0 {
			list.WriteString(",\n")
		}
		list.WriteString(qualify.Replace(f.expression) + " AS " + f.name)
	}
	return list.String()
}

// rowReader holds the columns of one block, and the row that they fill. The row is reused.
type rowReader struct {
	row    record.Row
	node   record.Node // row.Node of rows that are node runs
	fields []field
	room   room
}

// field is a column of the result, bound to the field of the row that it fills.
type field struct {
	name, expression string
	column           proto.ColResult
	set              func(i int)   // sets the row's field to the column's value i, or to its zero value for NULL
	texts            []*textColumn // of the column
}

// newRowReader returns the reader of [RowColumns]: a run and its feedback, without its judgements.
func newRowReader() *rowReader {
	return newRunReader(false, new(Selection).feedbackFields)
}

// newRunReader returns the reader of a run, with or without its input group, and of other fields.
func newRunReader(inputGroup bool, others func(*record.Row) []field) *rowReader {
	reader := &rowReader{}
	reader.fields = runFields(&reader.row)
	if inputGroup {
		reader.fields = append(reader.fields, inputGroupField(&reader.row.Execution))
	}
	if others != nil {
		reader.fields = append(reader.fields, others(&reader.row)...)
	}
	return reader
}

func (r *rowReader) results() proto.Results {
	results := make(proto.Results, len(r.fields))
	for i, f := range r.fields {
		results[i] = proto.ResultColumn{Name: f.name, Data: f.column}
		for _, c := range f.texts {
			c.room = &r.room
		}
	}
	return results
}

// fill reads row i of the block into the reader's row, and returns it.
func (r *rowReader) fill(i int) *record.Row {
	for _, f := range r.fields {
		f.set(i)
	}
	return &r.row
}

// alias returns the alias of an expression that is a prefix and the name of a column.
func alias(expression string) string { return "row_" + expression[len("{r}"):] }

func text(expression string, to *[]byte) field {
	c := &textColumn{}
	return field{alias(expression), expression, c, func(i int) { *to = view(c, i) }, []*textColumn{c}}
}

// view returns value i of the column. It copies neither the value nor, unlike RowBytes, the column.
func view(c *textColumn, i int) []byte {
	p := c.Pos[i]
	return c.Buf[p.Start:p.End:p.End]
}

// lowCardinality reads a text of few values. It travels as a dictionary, which costs both sides
// less than plain text.
func lowCardinality(expression string, to *[]byte) field {
	c := newDictionary()
	return field{alias(expression), "CAST(" + expression + ", '" + string(columns.LowCardinality) + "')", c,
		func(i int) { *to = c.value(i) }, []*textColumn{&c.values}}
}

// milliseconds reads a time as milliseconds since 1970. The query converts it to a number because
// ch-go does not check the precision of a DateTime64.
func milliseconds(expression string, to *int64) field {
	c := &proto.ColInt64{}
	return field{alias(expression), "toUnixTimestamp64Milli(" + expression + ")", c, func(i int) { *to = c.Row(i) }, nil}
}

func nullableMilliseconds(expression string, to *record.Null[int64]) field {
	f := integer(expression, to)
	f.expression = "toUnixTimestamp64Milli(" + expression + ")"
	return f
}

func integer(expression string, to *record.Null[int64]) field {
	values := &proto.ColInt64{}
	c := &proto.ColNullable[int64]{Values: values}
	return field{alias(expression), expression, c, func(i int) { *to = nullable(c.Nulls[i], (*values)[i]) }, nil}
}

func number(expression string, to *record.Null[float64]) field {
	values := &proto.ColFloat64{}
	c := &proto.ColNullable[float64]{Values: values}
	return field{alias(expression), expression, c, func(i int) { *to = nullable(c.Nulls[i], (*values)[i]) }, nil}
}

// nullable returns a value or, for NULL, the zero Null: the value that a block has at a NULL is
// undefined.
func nullable[T any](null uint8, value T) record.Null[T] {
	if null != 0 {
		return record.Null[T]{}
	}
	return record.Null[T]{Value: value, Valid: true}
}

func boolean(expression, name string, to *bool) field {
	c := &proto.ColUInt8{}
	return field{"row_" + name, expression, c, func(i int) { *to = c.Row(i) != 0 }, nil}
}

func texts(expression string, to *[][]byte) field {
	values := &textColumn{}
	c := proto.NewArray[string](values)
	return field{alias(expression), expression, c, func(i int) {
		*to = (*to)[:0]
		for j, end := bounds(c.Offsets, i); j < end; j++ {
			*to = append(*to, view(values, j))
		}
	}, []*textColumn{values}}
}

func pairs(expression string, to *[]record.Pair) field {
	c := &pairsColumn{keys: newDictionary()}
	return field{alias(expression), expression, c, func(i int) {
		*to = (*to)[:0]
		for j, end := bounds(c.offsets, i); j < end; j++ {
			*to = append(*to, record.Pair{Key: c.keys.value(j), Value: view(&c.values, j)})
		}
	}, []*textColumn{&c.keys.values, &c.values}}
}

// bounds returns the range of array i in the column of elements: from its first one up to, without,
// to.
func bounds(offsets proto.ColUInt64, i int) (from, to int) {
	if i > 0 {
		from = int(offsets[i-1])
	}
	return from, int(offsets[i])
}

// dictionary is a LowCardinality(String) column that does not copy its values.
type dictionary struct {
	proto.ColLowCardinalityRaw
	values textColumn
}

func newDictionary() *dictionary {
	d := &dictionary{}
	d.Index = &d.values
	return d
}

func (d *dictionary) value(i int) []byte {
	var key int
	switch d.Key {
	case proto.KeyUInt8:
		key = int(d.Keys8[i])
	case proto.KeyUInt16:
		key = int(d.Keys16[i])
	case proto.KeyUInt32:
		key = int(d.Keys32[i])
	default:
		key = int(d.Keys64[i])
	}
	return view(&d.values, key)
}

// pairsColumn is a Map column of pairs. proto.ColMap would allocate a Go map for every row.
type pairsColumn struct {
	offsets proto.ColUInt64
	keys    *dictionary
	values  textColumn
}

func (*pairsColumn) Type() proto.ColumnType              { return proto.ColumnType(columns.Map) }
func (c *pairsColumn) Rows() int                         { return len(c.offsets) }
func (c *pairsColumn) DecodeState(r *proto.Reader) error { return c.keys.DecodeState(r) }

func (c *pairsColumn) Reset() {
	c.offsets.Reset()
	c.keys.Reset()
	c.values.Reset()
}

func (c *pairsColumn) DecodeColumn(r *proto.Reader, rows int) error {
	return decodeNested(r, rows, &c.offsets, c.keys, &c.values)
}

// maxElements bounds the elements of all arrays of a block, so that a corrupt stream does not take
// all memory.
const maxElements = 1 << 28

// decodeNested reads the offsets of arrays, then the columns of their elements.
func decodeNested(r *proto.Reader, rows int, offsets *proto.ColUInt64, elements ...proto.ColResult) error {
	if err := offsets.DecodeColumn(r, rows); err != nil {
		return fmt.Errorf("offsets: %w", err)
	}
	n := uint64(0)
	if rows > 0 {
		n = (*offsets)[rows-1]
	}
	if n > maxElements {
		return fmt.Errorf("%d elements in a block, at most %d are read", n, maxElements)
	}
	for i, column := range elements {
		if err := column.DecodeColumn(r, int(n)); err != nil {
			return fmt.Errorf("column %d of the elements: %w", i, err)
		}
	}
	return nil
}
