package fragment

import "fmt"

// Column is a key of the records, or of a struct in them, and the type of its values.
type Column struct {
	Name     string
	Type     Type
	Required bool     // never null, and always there
	Fields   []Column // the keys of a Struct, in their order
	Element  *Column  // the values of a List; its name is not used

	// These are hints for Parquet. They do not change what a reader reads.

	Dictionary bool // few distinct texts
	Bloom      bool // looked up by value, and nearly unique
	Long       bool // prose: the least and greatest value would be stored whole and are of no use
}

// Type is the type of the values of a column.
type Type int

// Types.
const (
	Text     Type = iota // a string
	Integer              // a number without fraction and exponent, in 64 bits
	Float                // a number in the range of 64 bits
	Boolean              //
	Time                 // a string: RFC 3339 in UTC, with three digits of milliseconds
	Document             // any JSON, unchanged
	Struct               // an object with known keys
	List                 // an array of values of one type
)

var typeNames = [...]string{
	"a string", "an integer of 64 bits", "a number of 64 bits", "true or false", "a time in UTC with milliseconds", "JSON",
	"an object", "an array",
}

// String describes a value of the type, such as "a string".
func (t Type) String() string { return typeNames[t] }

// node is a column in the tree of a record. Its levels are those of the Dremel encoding, which
// Parquet has (https://parquet.apache.org/docs/file-format/nestedencoding/).
type node struct {
	Column
	path     []string // the names from the record down to this node
	key      []byte   // `"name":`
	children []*node  // of a struct, its fields; of a list, its element
	leaf     int      // number of the leaf, or of the first leaf below
	present  int      // definition level of a value that is not null; of a list: of an empty list
	repeat   int      // repetition level of the elements of a list
	seen     []bool   // the fields of the current struct that were read
}

// tree holds the columns of a record. The leaves are numbered from left to right.
type tree struct {
	root   *node
	leaves []*node
	// flat treats a list as a leaf whose value is its JSON.
	flat bool
}

func newTree(columns []Column, flat bool) (*tree, error) {
	t := &tree{flat: flat}
	root := Column{Type: Struct, Required: true, Fields: columns}
	var err error
	t.root, err = t.add(root, nil, 0, 0)
	return t, err
}

// add adds a column. present and repeat are the levels of its parent.
func (t *tree) add(c Column, path []string, present, repeat int) (*node, error) {
	n := &node{Column: c, path: path, leaf: len(t.leaves), present: present, repeat: repeat}
	n.key = append(quote(c.Name), ':')
	if !c.Required {
		n.present++
	}
	switch {
	case c.Type == Struct:
		if len(c.Fields) == 0 {
			return nil, fmt.Errorf("column %q has no fields", n.name())
		}
		names := map[string]bool{}
		for _, f := range c.Fields {
			if f.Name == "" || names[f.Name] {
				return nil, fmt.Errorf("column %q has a duplicate field or a field without a name: %q", n.name(), f.Name)
			}
			names[f.Name] = true
			child, err := t.add(f, append(path[:len(path):len(path)], f.Name), n.present, repeat)
			if err != nil {
				return nil, err
			}
			n.children = append(n.children, child)
		}
		n.seen = make([]bool, len(n.children))
	case c.Type == List && c.Element == nil:
		return nil, fmt.Errorf("column %q is a list without an element type", n.name())
	case c.Type == List && !t.flat:
		n.repeat++
		child, err := t.add(*c.Element, append(path[:len(path):len(path)], "list", "element"), n.present+1, n.repeat)
		if err != nil {
			return nil, err
		}
		n.children = []*node{child}
	default:
		t.leaves = append(t.leaves, n)
	}
	return n, nil
}
