package runstore

import (
	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/runs"
)

// tuples is the part that arrays of named tuples share: ch-go has no column of them. On the wire such a
// column is its offsets and then the columns of the tuple, one after the other.
type tuples struct {
	columnType proto.ColumnType
	offsets    proto.ColUInt64
	elements   []proto.Column
}

func (t *tuples) Type() proto.ColumnType { return t.columnType }
func (t *tuples) Rows() int              { return t.offsets.Rows() }

func (t *tuples) Reset() {
	t.offsets.Reset()
	for _, e := range t.elements {
		e.Reset()
	}
}

func (t *tuples) EncodeColumn(b *proto.Buffer) {
	t.offsets.EncodeColumn(b)
	for _, e := range t.elements {
		e.EncodeColumn(b)
	}
}

func (t *tuples) WriteColumn(w *proto.Writer) {
	t.offsets.WriteColumn(w)
	for _, e := range t.elements {
		e.WriteColumn(w)
	}
}

// end closes a row that has added n tuples.
func (t *tuples) end(n int) {
	var last uint64
	if rows := t.offsets.Rows(); rows > 0 {
		last = t.offsets.Row(rows - 1)
	}
	t.offsets.Append(last + uint64(n))
}

type fileColumn struct {
	tuples
	fileID, name, uri, contentType, direction proto.ColStr
	sizeBytes                                 *proto.ColNullable[int64]
}

func newFileColumn() *fileColumn {
	c := &fileColumn{sizeBytes: new(proto.ColInt64).Nullable()}
	c.columnType = "Array(Tuple(file_id String, name String, uri String, content_type String, size_bytes Nullable(Int64), direction String))"
	c.elements = []proto.Column{&c.fileID, &c.name, &c.uri, &c.contentType, c.sizeBytes, &c.direction}
	return c
}

// Append adds a row.
func (c *fileColumn) Append(files []runs.File) {
	for i := range files {
		f := &files[i]
		c.fileID.Append(f.FileID)
		c.name.Append(f.Name)
		c.uri.Append(f.URI)
		c.contentType.Append(f.ContentType)
		c.sizeBytes.Append(optional(f.SizeBytes))
		c.direction.Append(f.Direction)
	}
	c.end(len(files))
}

type chunkColumn struct {
	tuples
	chunkID, text, sourceURI, title proto.ColStr
	score                           *proto.ColNullable[float64]
	sentToLLM, usedInAnswer         *proto.ColNullable[bool]
}

func newChunkColumn() *chunkColumn {
	c := &chunkColumn{
		score:     new(proto.ColFloat64).Nullable(),
		sentToLLM: proto.NewColNullable[bool](new(proto.ColBool)), usedInAnswer: proto.NewColNullable[bool](new(proto.ColBool)),
	}
	c.columnType = "Array(Tuple(chunk_id String, text String, score Nullable(Float64), source_uri String, title String, sent_to_llm Nullable(Bool), used_in_answer Nullable(Bool)))"
	c.elements = []proto.Column{&c.chunkID, &c.text, c.score, &c.sourceURI, &c.title, c.sentToLLM, c.usedInAnswer}
	return c
}

// Append adds a row.
func (c *chunkColumn) Append(chunks []runs.Chunk) {
	for i := range chunks {
		k := &chunks[i]
		c.chunkID.Append(k.ChunkID)
		c.text.Append(k.Text)
		c.score.Append(optional(k.Score))
		c.sourceURI.Append(k.SourceURI)
		c.title.Append(k.Title)
		c.sentToLLM.Append(optional(k.SentToLLM))
		c.usedInAnswer.Append(optional(k.UsedInAnswer))
	}
	c.end(len(chunks))
}
