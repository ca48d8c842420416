package selection

import (
	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/columns"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

func files(expression string, to *[]record.File) field {
	c := newTuples(columns.Files)
	id, name, uri, contentType := c.text("file_id"), c.text("name"), c.text("uri"), c.text("content_type")
	size, direction := element[*proto.ColNullable[int64]](c, "size_bytes"), c.text("direction")
	return field{alias(expression), expression, c, func(i int) {
		*to = (*to)[:0]
		for j, end := bounds(c.offsets, i); j < end; j++ {
			*to = append(*to, record.File{
				FileID: view(id, j), Name: view(name, j), URI: view(uri, j), ContentType: view(contentType, j),
				SizeBytes: nullable(size.Nulls[j], size.Values.Row(j)), Direction: view(direction, j),
			})
		}
	}, c.texts}
}

func chunks(expression string, to *[]record.Chunk) field {
	c := newTuples(columns.Chunks)
	id, text, uri, title := c.text("chunk_id"), c.text("text"), c.text("source_uri"), c.text("title")
	score := element[*proto.ColNullable[float64]](c, "score")
	sent, used := element[*proto.ColNullable[bool]](c, "sent_to_llm"), element[*proto.ColNullable[bool]](c,
		"used_in_answer")
	return field{alias(expression), expression, c, func(i int) {
		*to = (*to)[:0]
		for j, end := bounds(c.offsets, i); j < end; j++ {
			*to = append(*to, record.Chunk{
				ChunkID: view(id, j), Text: view(text, j), Score: nullable(score.Nulls[j], score.Values.Row(j)),
				SourceURI: view(uri, j), Title: view(title, j),
				SentToLLM:    nullable(sent.Nulls[j], sent.Values.Row(j)),
				UsedInAnswer: nullable(used.Nulls[j], used.Values.Row(j)),
			})
		}
	}, c.texts}
}

func scores(expression string, to *[]record.Score) field {
	c := newTuples(columns.Scores)
	name, value, label := c.text("name"), element[*proto.ColNullable[float64]](c, "value"), c.text("label")
	return field{alias(expression), expression, c, func(i int) {
		*to = (*to)[:0]
		for j, end := bounds(c.offsets, i); j < end; j++ {
			*to = append(*to, record.Score{Name: view(name, j), Value: value.Values.Row(j), Label: view(label, j)})
		}
	}, c.texts}
}

// tuples is a column of arrays of named tuples. Package proto has tuples, but not inside an array.
type tuples struct {
	columnType proto.ColumnType
	offsets    proto.ColUInt64
	names      []string
	elements   []proto.ColResult
	texts      []*textColumn
}

func newTuples[E any](list []columns.Column[E]) *tuples {
	t := &tuples{columnType: proto.ColumnType(columns.ArrayOf(list))}
	for _, c := range list {
		t.names = append(t.names, c.Name)
		switch c.Type {
		case columns.NullableInt64:
			t.elements = append(t.elements, &proto.ColNullable[int64]{Values: new(proto.ColInt64)})
		case columns.NullableFloat64:
			t.elements = append(t.elements, &proto.ColNullable[float64]{Values: new(proto.ColFloat64)})
		case columns.NullableBool:
			t.elements = append(t.elements, &proto.ColNullable[bool]{Values: new(proto.ColBool)})
		default:
			c := &textColumn{}
			t.elements, t.texts = append(t.elements, c), append(t.texts, c)
		}
	}
	return t
}

// element returns the column of an element. It panics where the list has no element of that name
// and type: the lists are constant.
func element[C proto.ColResult](t *tuples, name string) C {
	for i, n := range t.names {
		if n == name {
			return t.elements[i].(C)
		}
	}
	panic("the tuple has no element " + name)
}

func (t *tuples) text(name string) *textColumn { return element[*textColumn](t, name) }

// Type implements [proto.ColResult].
func (t *tuples) Type() proto.ColumnType { return t.columnType }

// Rows implements [proto.ColResult].
func (t *tuples) Rows() int { return len(t.offsets) }

// Reset implements [proto.ColResult].
func (t *tuples) Reset() {
	t.offsets.Reset()
	for _, e := range t.elements {
		e.Reset()
	}
}

// DecodeColumn implements [proto.ColResult].
func (t *tuples) DecodeColumn(r *proto.Reader, rows int) error {
	return decodeNested(r, rows, &t.offsets, t.elements...)
}
