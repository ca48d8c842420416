package fragment

import (
	"reflect"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// schemaNode returns the Parquet schema of a column.
func schemaNode(n *node) parquet.Node {
	var p parquet.Node
	switch n.Type {
	case Text:
		p = parquet.String()
	case Integer:
		p = parquet.Leaf(parquet.Int64Type)
	case Float:
		p = parquet.Leaf(parquet.DoubleType)
	case Boolean:
		p = parquet.Leaf(parquet.BooleanType)
	case Time:
		p = parquet.Timestamp(parquet.Millisecond)
	case Document:
		p = parquet.JSON()
	case Struct:
		p = newGroup(n.children)
	case List:
		p = parquet.List(schemaNode(n.children[0]))
	}
	if n.unbounded() {
		p = parquet.Leaf(unbounded{p.Type()})
	}
	if n.Dictionary {
		p = parquet.Encoded(p, &parquet.RLEDictionary)
	}
	if !n.Required {
		p = parquet.Optional(p)
	}
	return p
}

// unbounded reports whether the file stores no least and greatest value of the column. The library
// would store them whole, and a text may have 64 MiB.
func (n *node) unbounded() bool {
	return n.Type == Document || n.Type == Text && n.Long
}

// has reports whether the record has a leaf of that name.
func (t *tree) has(name string) bool {
	for _, leaf := range t.leaves {
		if len(leaf.path) == 1 && leaf.Name == name {
			return true
		}
	}
	return false
}

// group is a struct whose fields keep their order. The group of the library sorts its fields by
// name.
type group struct {
	parquet.Group
	fields []parquet.Field
}

func newGroup(children []*node) group {
	var g group
	for _, child := range children {
		g.fields = append(g.fields, field{schemaNode(child), child.Name})
	}
	return g
}

func (g group) Fields() []parquet.Field { return g.fields }

func (g group) String() string { return "group" }

type field struct {
	parquet.Node
	name string
}

func (f field) Name() string { return f.name }

// Value is part of the library's interface for writing Go values, which this package does not do.
func (f field) Value(reflect.Value) reflect.Value { panic("records are not Go values") }

// unbounded is the type of a column of texts without bounds. The type of the library would write
// the empty text as both bounds of a page into the page index, and a reader would skip the page.
type unbounded struct{ parquet.Type }

// NewColumnIndexer returns an indexer without bounds.
func (unbounded) NewColumnIndexer(int) parquet.ColumnIndexer { return &unboundedIndex{} }

type unboundedIndex struct{ index format.ColumnIndex }

// beyond is greater than every text, since no UTF-8 has this byte.
var beyond = []byte{0xff}

// Reset removes all pages.
func (i *unboundedIndex) Reset() { i.index = format.ColumnIndex{} }

// IndexPage adds a page.
func (i *unboundedIndex) IndexPage(values, nulls int64, _, _ parquet.Value) {
	x := &i.index
	low, high := []byte{}, beyond
	if values == nulls {
		high = low
	}
	x.NullPages = append(x.NullPages, values == nulls)
	x.NullCounts = append(x.NullCounts, nulls)
	x.MinValues = append(x.MinValues, low)
	x.MaxValues = append(x.MaxValues, high)
}

// ColumnIndex returns the index of the pages, which it gives away.
func (i *unboundedIndex) ColumnIndex() format.ColumnIndex { return i.index }
