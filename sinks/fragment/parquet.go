package fragment

import (
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

// Sizes of Parquet. A reader decompresses a page at once. The writer holds a row group in memory,
// compressed, until it is full; a row group is the largest part of the memory.
const (
	pageSize  = 256 << 10 // bytes before compression; 1 MiB: four encoders need 50 MiB more, and are as fast
	groupRows = 128 << 10 // rows of a row group at most
	// bytes of its records as JSON; 16 MiB: four encoders need 40 MiB more, files are 1 % smaller
	groupBytes    = 8 << 20
	batchBytes    = 64 << 10 // bytes of the records that go to the columns together
	batchRows     = 256      // of these records at most
	bloomBits     = 10       // per value: one in a hundred lookups is a false positive
	indexedPrefix = 64       // bytes of the least and greatest text in the page index
)

// parquetEncoder writes Parquet (https://parquet.apache.org/docs/file-format/).
type parquetEncoder struct {
	decoder decoder
	options []parquet.WriterOption
	writer  *parquet.GenericWriter[any] // of the fragment
	columns []*parquet.ColumnWriter

	nulls [][]parquet.Value // by leaf and definition level
	batch [][]parquet.Value // by leaf
	rows  int               // in the batch
	text  []byte            // the values refer to it
	plain bool              // the values may also refer to the record, since the batch has no other

	group struct{ rows, bytes int64 }
	size  int64
}

func codec(compression string) compress.Codec {
	switch compression {
	case Gzip:
		return &parquet.Gzip
	case Zstd:
		return newZstdCodec()
	}
	return &parquet.Uncompressed
}

func newParquet(compression string, s Settings) (Encoder, error) {
	t, err := newTree(s.Columns, false)
	if err != nil {
		return nil, fmt.Errorf("parquet: %w", err)
	}
	for _, name := range s.SortedBy {
		if !t.has(name) {
			return nil, fmt.Errorf("parquet: there is no column %q to sort by", name)
		}
	}
	e := &parquetEncoder{decoder: decoder{tree: t}, batch: make([][]parquet.Value, len(t.leaves)),
		options: parquetOptions(t, compression, s)}
	for i, leaf := range t.leaves {
		var nulls []parquet.Value
		for definition := range leaf.present {
			nulls = append(nulls, parquet.NullValue().Level(0, definition, i))
		}
		e.nulls = append(e.nulls, nulls)
	}
	// NewGenericWriter panics where NewWriterConfig returns an error. It gets the options and not
	// the configuration, where it could not distinguish false and 0 from unset fields.
	if _, err := parquet.NewWriterConfig(e.options...); err != nil {
		return nil, fmt.Errorf("parquet: %w", err)
	}
	return e, nil
}

func parquetOptions(t *tree, compression string, s Settings) []parquet.WriterOption {
	options := []parquet.WriterOption{
		parquet.NewSchema("record", schemaNode(t.root)),
		&parquet.WriterConfig{CreatedBy: s.CreatedBy, KeyValueMetadata: s.Metadata},
		parquet.Compression(codec(compression)),
		parquet.PageBufferSize(pageSize),
		parquet.ColumnIndexSizeLimit(func([]string) int { return indexedPrefix }),
		// Column chunks and the page index have the statistics. Pages would have them a third time,
		// uncut.
		parquet.DataPageStatistics(false),
		parquet.WriteBufferSize(0), // the Writer has a buffer
	}
	var blooms []parquet.BloomFilterColumn
	for _, leaf := range t.leaves {
		if leaf.Bloom {
			blooms = append(blooms, parquet.SplitBlockFilter(bloomBits, leaf.path...))
		}
		if leaf.unbounded() {
			options = append(options, parquet.SkipPageBounds(leaf.path...))
		}
	}
	var sorting []parquet.SortingColumn
	for _, name := range s.SortedBy {
		sorting = append(sorting, parquet.Ascending(name))
	}
	return append(options, parquet.BloomFilters(blooms...),
		parquet.SortingWriterConfig(parquet.SortingColumns(sorting...)))
}

func (*parquetEncoder) Extension() string { return Parquet }

func (e *parquetEncoder) Open(w io.Writer) error {
	e.clear()
	e.size, e.group.rows, e.group.bytes = 0, 0, 0
	// A writer that is reset after a file loses the paths of its columns (v0.32.0).
	e.writer = parquet.NewGenericWriter[any](w, e.options...)
	e.columns = e.writer.ColumnWriters()
	return nil
}

func (e *parquetEncoder) SizeWith(record []byte) int64 { return e.size + int64(len(record)) + 1 }

func (e *parquetEncoder) Append(record []byte) error {
	size := e.SizeWith(record) - e.size
	if e.group.rows >= groupRows || e.group.rows > 0 && e.group.bytes+size > groupBytes {
		if err := e.endGroup(); err != nil {
			return err
		}
	}
	if e.rows == batchRows || len(e.text)+len(record) > batchBytes {
		if err := e.flush(); err != nil {
			return err
		}
	}
	e.plain = len(record) > batchBytes
	if err := e.decoder.decode(record, e); err != nil {
		return err
	}
	e.rows++
	e.size += size
	e.group.rows++
	e.group.bytes += size
	if e.plain {
		return e.flush()
	}
	return nil
}

func (e *parquetEncoder) Close() error {
	if err := e.flush(); err != nil {
		return err
	}
	return e.writer.Close()
}

// cell keeps a value for its column.
func (e *parquetEncoder) cell(leaf *node, repetition, definition int, token []byte) error {
	if token == nil && repetition == 0 { // a third of all values
		e.batch[leaf.leaf] = append(e.batch[leaf.leaf], e.nulls[leaf.leaf][definition])
		return nil
	}
	var v parquet.Value
	ok := true
	switch {
	case token == nil:
	case leaf.Type == Text:
		text, err := e.textOf(token)
		if err != nil {
			return fmt.Errorf("column %s: %w", leaf.name(), err)
		}
		v = parquet.ByteArrayValue(text)
	case leaf.Type == Document:
		v = parquet.ByteArrayValue(e.keep(token))
	case leaf.Type == Integer:
		var x int64
		x, ok = integer(token)
		v = parquet.Int64Value(x)
	case leaf.Type == Float:
		var x float64
		x, ok = float(token)
		v = parquet.DoubleValue(x)
	case leaf.Type == Boolean:
		v = parquet.BooleanValue(token[0] == 't')
	case leaf.Type == Time:
		var ms int64
		ms, ok = jsonscan.ParseTime(token)
		v = parquet.Int64Value(ms)
	}
	if !ok {
		return leaf.wrong()
	}
	e.batch[leaf.leaf] = append(e.batch[leaf.leaf], v.Level(repetition, definition, leaf.leaf))
	return nil
}

// textOf returns the text of a string. It stays valid until the batch is flushed.
func (e *parquetEncoder) textOf(token []byte) (text []byte, err error) {
	if jsonscan.IsPlain(token) {
		return e.keep(token[1 : len(token)-1]), nil
	}
	start := len(e.text)
	e.text, err = jsonscan.AppendText(e.text, token)
	return e.text[start:], err
}

// keep returns a part of the record, copied if need be, that stays valid until the batch is
// flushed.
func (e *parquetEncoder) keep(part []byte) []byte {
	if e.plain {
		return part
	}
	start := len(e.text)
	e.text = append(e.text, part...)
	return e.text[start:]
}

// flush passes the batch to the columns. A column writes a page when it is full.
func (e *parquetEncoder) flush() error {
	for i, values := range e.batch {
		if len(values) == 0 {
			continue
		}
		if _, err := e.columns[i].WriteRowValues(values); err != nil {
			return fmt.Errorf("column %s: %w", e.decoder.tree.leaves[i].name(), err)
		}
	}
	e.clear()
	return nil
}

// clear empties the batch, and frees the memory that a huge record needed.
func (e *parquetEncoder) clear() {
	for i, values := range e.batch {
		clear(values)
		e.batch[i] = reusable(values, 16*batchRows)
	}
	e.text = reusable(e.text, 2*batchBytes)
	e.rows = 0
}

// endGroup ends the row group.
func (e *parquetEncoder) endGroup() error {
	if err := e.flush(); err != nil {
		return err
	}
	e.group.rows, e.group.bytes = 0, 0
	return e.writer.Flush()
}
