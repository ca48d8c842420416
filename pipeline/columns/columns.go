// Package columns describes the columns of the tables runs, nodes and feedback once: name,
// ClickHouse type and value. Insert blocks, the readers of exports and the History pages derive
// from these lists, and a test holds the lists against the migrations. The package is pure: it
// knows no client of ClickHouse.
//
//   - columns.go: what a column is, and the types that columns have
//   - tables.go: the columns of each table, and the elements of the arrays files and chunks
//   - feedback.go: the SQL that merges the judgements on a run, field by field
package columns

import (
	"slices"
	"strings"
)

// Type is a ClickHouse type, as the server writes it.
type Type string

// The types of columns. Arrays of tuples have further ones, see [Files] and [Chunks].
const (
	String               Type = "String"
	LowCardinality       Type = "LowCardinality(String)"
	Milliseconds         Type = "DateTime64(3, 'UTC')"
	NullableMilliseconds Type = "Nullable(DateTime64(3, 'UTC'))"
	Microseconds         Type = "DateTime64(6, 'UTC')"
	NullableInt64        Type = "Nullable(Int64)"
	NullableFloat64      Type = "Nullable(Float64)"
	NullableBool         Type = "Nullable(Bool)"
	UInt64               Type = "UInt64"
	Strings              Type = "Array(String)"
	Map                  Type = "Map(LowCardinality(String), String)"
)

// TypeOf returns the type of the column with this name. It panics where the list has none: names
// are written in code, and a test constructs each list of columns.
func TypeOf[R any](list []Column[R], name string) Type {
	if i := index(list, name); i >= 0 {
		return list[i].Type
	}
	panic("there is no column " + name)
}

// Text returns the value of the column with this name, which is a text. It panics as TypeOf does.
func Text[R any](list []Column[R], name string) func(*R) string {
	TypeOf(list, name)
	return list[index(list, name)].Value.(func(*R) string)
}

// Has reports whether the list has a column with this name.
func Has[R any](list []Column[R], name string) bool { return index(list, name) >= 0 }

func index[R any](list []Column[R], name string) int {
	return slices.IndexFunc(list, func(c Column[R]) bool { return c.Name == name })
}

// Column is a column of a table whose rows are of type R, or an element of a tuple.
type Column[R any] struct {
	Name string
	Type Type
	// Value is a function of *R. It returns a string for String and LowCardinality, a time.Time for
	// the times (the zero time is NULL), *int64, *float64 or *bool for the other Nullable types, a
	// uint64 for UInt64, []string for Strings, []runs.Pair for Map, and []runs.File or []runs.Chunk
	// for arrays of those tuples.
	Value any
}

// ArrayOf returns the type of an array of tuples with these elements.
func ArrayOf[E any](elements []Column[E]) Type {
	list := make([]string, len(elements))
	for i, e := range elements {
		list[i] = e.Name + " " + string(e.Type)
	}
	return Type("Array(Tuple(" + strings.Join(list, ", ") + "))")
}
