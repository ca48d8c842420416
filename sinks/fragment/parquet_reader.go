package fragment

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

// readRows is the number of rows that are read together.
const readRows = 64

// parquetSource reads a Parquet file with the types that the encoder writes.
type parquetSource struct {
	src    io.ReaderAt
	file   *parquet.File
	tree   *tree
	groups []parquet.RowGroup // not read yet
	rows   parquet.Rows       // of the current group, or nil

	buffer [readRows]parquet.Row
	batch  []parquet.Row     // the rows of the buffer that are left
	values [][]parquet.Value // the values of the current row that are left, by leaf
	record []byte            // reused
	scan   jsonscan.Scanner
}

func newParquetSource(src io.ReaderAt, size int64) (s *parquetSource, err error) {
	defer recovered(&err)
	if err := checkFooter(src, size); err != nil {
		return nil, err
	}
	file, err := parquet.OpenFile(src, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, fmt.Errorf("not Parquet, or cut short: %w", err)
	}
	columns, err := columnsOf(file.Schema())
	if err != nil {
		return nil, err
	}
	t, err := newTree(columns, false)
	if err != nil {
		return nil, err
	}
	return &parquetSource{src: src, file: file, tree: t, groups: file.RowGroups(),
			values: make([][]parquet.Value, len(t.leaves))},
		nil
}

// recovered turns a panic of the library into an error. A damaged file can cause one
// (https://github.com/parquet-go/parquet-go/issues/537).
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("damaged: %v", p)
	}
}

func (s *parquetSource) next(limit int) (record json.RawMessage, err error) {
	defer recovered(&err)
	if len(s.batch) == 0 {
		if err := s.fill(limit); err != nil {
			return nil, err
		}
	}
	row := s.batch[0]
	s.batch = s.batch[1:]
	clear(s.values)
	row.Range(func(leaf int, values []parquet.Value) bool {
		s.values[leaf] = values
		return true
	})
	s.record = s.record[:0]
	if err := s.value(s.tree.root); err != nil {
		return nil, err
	}
	for leaf, rest := range s.values {
		if len(rest) > 0 {
			return nil, fmt.Errorf("column %s has more values than its record", s.tree.leaves[leaf].name())
		}
	}
	return s.record, nil
}

// fill reads the next rows.
func (s *parquetSource) fill(limit int) error {
	for {
		if s.rows == nil {
			if err := s.open(limit); err != nil {
				return err
			}
		}
		n, err := s.rows.ReadRows(s.buffer[:])
		s.batch = s.buffer[:n]
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err != nil {
			s.close()
		}
		if n > 0 {
			return nil
		}
	}
}

// open opens the next group.
func (s *parquetSource) open(limit int) error {
	if len(s.groups) == 0 {
		return io.EOF
	}
	// A group ends with the record that fills it.
	of := s.file.Metadata().RowGroups
	group := &of[len(of)-len(s.groups)]
	if group.TotalByteSize > int64(groupBytes+limit) {
		return ErrRecordTooLarge
	}
	if err := checkPages(s.src, s.file.Size(), group, int64(groupBytes+limit)); err != nil {
		return err
	}
	s.rows, s.groups = s.groups[0].Rows(), s.groups[1:]
	return nil
}

// skip passes over groups by the footer, and over rows of one group by its pages.
func (s *parquetSource) skip(n int64, limit int) (err error) {
	defer recovered(&err)
	for len(s.groups) > 0 && n >= s.groups[0].NumRows() {
		n, s.groups = n-s.groups[0].NumRows(), s.groups[1:]
	}
	if n == 0 {
		return nil
	}
	if err := s.open(limit); err != nil {
		return err
	}
	return s.rows.SeekToRow(n)
}

func (s *parquetSource) close() {
	if s.rows != nil {
		s.rows.Close()
		s.rows = nil
	}
}

// peek returns the next value of a leaf.
func (s *parquetSource) peek(leaf int) (parquet.Value, error) {
	if len(s.values[leaf]) == 0 {
		return parquet.Value{}, fmt.Errorf("column %s has no value for its record", s.tree.leaves[leaf].name())
	}
	return s.values[leaf][0], nil
}

// value appends the next value of a column to the record.
func (s *parquetSource) value(n *node) error {
	v, err := s.peek(n.leaf)
	if err != nil {
		return err
	}
	if v.DefinitionLevel() < n.present {
		s.record = append(s.record, "null"...)
		return s.nulls(n)
	}
	switch n.Type {
	case Struct:
		for i, child := range n.children {
			s.record = append(s.record, "{,"[min(i, 1)])
			s.record = append(s.record, child.key...)
			if err := s.value(child); err != nil {
				return err
			}
		}
		s.record = append(s.record, '}')
		return nil
	case List:
		return s.list(n, v)
	}
	s.values[n.leaf] = s.values[n.leaf][1:]
	return s.scalar(n, v)
}

func (s *parquetSource) list(n *node, first parquet.Value) error {
	if first.DefinitionLevel() == n.present {
		s.record = append(s.record, "[]"...)
		return s.nulls(n)
	}
	s.record = append(s.record, '[')
	for {
		if err := s.value(n.children[0]); err != nil {
			return err
		}
		if rest := s.values[n.leaf]; len(rest) == 0 || rest[0].RepetitionLevel() < n.repeat {
			s.record = append(s.record, ']')
			return nil
		}
		s.record = append(s.record, ',')
	}
}

// nulls passes over the null that every leaf below the column has.
func (s *parquetSource) nulls(n *node) error {
	if len(n.children) == 0 {
		if _, err := s.peek(n.leaf); err != nil {
			return err
		}
		s.values[n.leaf] = s.values[n.leaf][1:]
	}
	for _, child := range n.children {
		if err := s.nulls(child); err != nil {
			return err
		}
	}
	return nil
}

func (s *parquetSource) scalar(n *node, v parquet.Value) error {
	switch n.Type {
	case Text:
		s.record = jsonscan.AppendString(s.record, v.ByteArray())
	case Integer:
		s.record = strconv.AppendInt(s.record, v.Int64(), 10)
	case Float:
		s.record = jsonscan.AppendFloat(s.record, v.Double())
	case Boolean:
		s.record = strconv.AppendBool(s.record, v.Boolean())
	case Time:
		s.record = jsonscan.AppendTime(s.record, v.Int64())
	case Document:
		document := v.ByteArray()
		s.scan.Reset(document)
		if _, err := s.scan.Value(); err != nil {
			return fmt.Errorf("column %s: %w", n.name(), err)
		}
		if err := s.scan.End(); err != nil {
			return fmt.Errorf("column %s: %w", n.name(), err)
		}
		s.record = append(s.record, document...)
	}
	return nil
}

// columnsOf returns the columns of a schema that the encoder has written.
func columnsOf(group parquet.Node) ([]Column, error) {
	var columns []Column
	for _, field := range group.Fields() {
		c, err := columnOf(field)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", field.Name(), err)
		}
		c.Name = field.Name()
		columns = append(columns, c)
	}
	return columns, nil
}

var errForeign = errors.New("columns of its type are not written by Millrace")

func columnOf(n parquet.Node) (Column, error) {
	c := Column{Required: n.Required()}
	if n.Repeated() {
		return c, errForeign
	}
	var err error
	if !n.Leaf() {
		if t := n.Type().LogicalType(); t != nil {
			if _, ok := t.Value.(*format.ListType); !ok {
				return c, errForeign
			}
			return listOf(n, c)
		}
		c.Type = Struct
		c.Fields, err = columnsOf(n)
		return c, err
	}
	c.Type, err = scalarType(n.Type())
	return c, err
}

func listOf(n parquet.Node, c Column) (Column, error) {
	c.Type = List
	fields := n.Fields()
	if len(fields) != 1 || !fields[0].Repeated() || len(fields[0].Fields()) != 1 {
		return c, errForeign
	}
	element, err := columnOf(fields[0].Fields()[0])
	c.Element = &element
	return c, err
}

func scalarType(t parquet.Type) (Type, error) {
	logical := t.LogicalType()
	if logical == nil {
		switch t.Kind() {
		case parquet.Boolean:
			return Boolean, nil
		case parquet.Int64:
			return Integer, nil
		case parquet.Double:
			return Float, nil
		}
		return 0, errForeign
	}
	switch l := logical.Value.(type) {
	case *format.StringType:
		return Text, nil
	case *format.IntType:
		if l.BitWidth == 64 && l.IsSigned {
			return Integer, nil
		}
	case *format.JsonType:
		return Document, nil
	case *format.TimestampType:
		if _, ms := l.Unit.Value.(*format.MilliSeconds); ms {
			return Time, nil
		}
	}
	return 0, errForeign
}
