package selection

import (
	"fmt"
	"strings"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/export/format/record"
)

// RowColumns returns the SELECT list of a query for [ReadRows]: these expressions, no others, in this
// order. Run and feedback are put before the names of the columns they read, so that the query can
// name its relations: "r." and "f.", or "" where a name alone is unambiguous.
//
// Run is a relation with the columns of table runs. Feedback is one with the columns feedback_id,
// feedback_rating, feedback_score, feedback_comment, feedback_tags and feedback_corrected_answer, as in
// the view runs_with_feedback; an empty feedback_id, as a LEFT JOIN gives it, is a run without feedback.
// Both may be the same relation.
//
// Each expression has a fixed type, and converts where a relation may have String or LowCardinality(String).
// Each has an alias that starts with "row_", so that no alias hides a column in WHERE or ORDER BY.
func RowColumns(run, feedback string) string {
	return selectList(newWindow().fields, run, feedback)
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

// window holds columns of one block, and the row that they fill.
type window struct {
	row    record.Row
	node   record.Node // of rows that are about node runs
	fields []field
}

// field is a column of the result, and the field of the row that it fills.
type field struct {
	name, expression string
	column           proto.ColResult
	set              func(i int) // fills the row's field with the column's value i, which may be none
}

// newWindow returns the columns of a run and of its feedback.
func newWindow() *window { return newRuns(false, feedbackFields) }

// newRuns returns the columns of a run, with its input group or without, and others.
func newRuns(inputGroup bool, others func(*record.Row) []field) *window {
	w := &window{}
	w.fields = runFields(&w.row)
	if inputGroup {
		w.fields = append(w.fields, inputGroupField(&w.row.Execution))
	}
	if others != nil {
		w.fields = append(w.fields, others(&w.row)...)
	}
	return w
}

func (w *window) results() proto.Results {
	results := make(proto.Results, len(w.fields))
	for i, f := range w.fields {
		results[i] = proto.ResultColumn{Name: f.name, Data: f.column}
	}
	return results
}

// at returns row i of the block.
func (w *window) at(i int) *record.Row {
	for _, f := range w.fields {
		f.set(i)
	}
	return &w.row
}

// alias names the result of a column expression.
func alias(expression string) string { return "row_" + expression[len("{r}"):] }

func text(expression string, to *[]byte) field {
	c := &proto.ColStr{}
	return field{alias(expression), expression, c, func(i int) { *to = view(c, i) }}
}

// view returns value i without copying it, or the column, as RowBytes does.
func view(c *proto.ColStr, i int) []byte {
	p := c.Pos[i]
	return c.Buf[p.Start:p.End:p.End]
}

// word is a text of few values. It travels as a dictionary, which costs less than text on both sides.
func word(expression string, to *[]byte) field {
	c := newWords()
	return field{alias(expression), "CAST(" + expression + ", 'LowCardinality(String)')", c, func(i int) { *to = c.at(i) }}
}

// moment is a time in milliseconds since 1970. As a number its unit is part of the query: ch-go does not
// compare the precisions of DateTime64.
func moment(expression string, to *int64) field {
	c := &proto.ColInt64{}
	return field{alias(expression), "toUnixTimestamp64Milli(" + expression + ")", c, func(i int) { *to = c.Row(i) }}
}

func nullableMoment(expression string, to *record.Null[int64]) field {
	f := integer(expression, to)
	f.expression = "toUnixTimestamp64Milli(" + expression + ")"
	return f
}

func integer(expression string, to *record.Null[int64]) field {
	values := &proto.ColInt64{}
	c := &proto.ColNullable[int64]{Values: values}
	return field{alias(expression), expression, c, func(i int) { *to = nullable(c.Nulls[i], (*values)[i]) }}
}

func number(expression string, to *record.Null[float64]) field {
	values := &proto.ColFloat64{}
	c := &proto.ColNullable[float64]{Values: values}
	return field{alias(expression), expression, c, func(i int) { *to = nullable(c.Nulls[i], (*values)[i]) }}
}

// nullable never keeps the value below a NULL, which may be any.
func nullable[T any](null uint8, value T) record.Null[T] {
	if null != 0 {
		return record.Null[T]{}
	}
	return record.Null[T]{Value: value, Valid: true}
}

func boolean(expression, name string, to *bool) field {
	c := &proto.ColUInt8{}
	return field{"row_" + name, expression, c, func(i int) { *to = c.Row(i) != 0 }}
}

func texts(expression string, to *[][]byte) field {
	values := &proto.ColStr{}
	c := values.Array()
	return field{alias(expression), expression, c, func(i int) {
		*to = (*to)[:0]
		for j, end := bounds(c.Offsets, i); j < end; j++ {
			*to = append(*to, view(values, j))
		}
	}}
}

func pairs(expression string, to *[]record.Pair) field {
	c := &pairsColumn{keys: newWords()}
	return field{alias(expression), expression, c, func(i int) {
		*to = (*to)[:0]
		for j, end := bounds(c.offsets, i); j < end; j++ {
			*to = append(*to, record.Pair{Key: c.keys.at(j), Value: view(&c.values, j)})
		}
	}}
}

// bounds returns the position of the first element of array i, and of the one after its last.
func bounds(offsets proto.ColUInt64, i int) (from, to int) {
	if i > 0 {
		from = int(offsets[i-1])
	}
	return from, int(offsets[i])
}

// words is a LowCardinality(String) whose values are not copied.
type words struct {
	proto.ColLowCardinalityRaw
	values proto.ColStr
}

func newWords() *words {
	w := &words{}
	w.Index = &w.values
	return w
}

func (w *words) at(i int) []byte {
	var key int
	switch w.Key {
	case proto.KeyUInt8:
		key = int(w.Keys8[i])
	case proto.KeyUInt16:
		key = int(w.Keys16[i])
	case proto.KeyUInt32:
		key = int(w.Keys32[i])
	default:
		key = int(w.Keys64[i])
	}
	return view(&w.values, key)
}

// pairsColumn is a Map(LowCardinality(String), String). proto.ColMap would make a Go map of every row.
type pairsColumn struct {
	offsets proto.ColUInt64
	keys    *words
	values  proto.ColStr
}

func (*pairsColumn) Type() proto.ColumnType              { return "Map(LowCardinality(String), String)" }
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

// maxElements is a bound on the elements of all arrays of a block, so that a stream that went wrong does
// not take all memory.
const maxElements = 1 << 28

// decodeNested reads the offsets of arrays, and the columns of their elements.
func decodeNested(r *proto.Reader, rows int, offsets *proto.ColUInt64, elements ...proto.ColResult) error {
	if err := offsets.DecodeColumn(r, rows); err != nil {
		return fmt.Errorf("offsets: %w", err)
	}
	n := uint64(0)
	if rows > 0 {
		n = (*offsets)[rows-1]
	}
	if n > maxElements {
		return fmt.Errorf("%d elements in a block", n)
	}
	for i, column := range elements {
		if err := column.DecodeColumn(r, int(n)); err != nil {
			return fmt.Errorf("elements, column %d: %w", i, err)
		}
	}
	return nil
}
