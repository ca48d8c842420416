package statistics

import (
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

// Numbers of different values of a column.
const (
	maxDistinct = 128 // that are counted; up to these the counts are exact
	keptValues  = 48  // that are kept when there are more
)

// frequent counts the values of a column by Misra and Gries: when there are too many different ones, it subtracts
// from all counts what leaves the most frequent (https://doi.org/10.1016/0167-6423(82)90012-0). Merging as in
// "Mergeable Summaries" (https://doi.org/10.1145/2213556.2213562) keeps the bound: missing is at most the number of
// values divided by keptValues.
type frequent struct {
	slots   [2 * maxDistinct]uint8 // open addressing: 1 + the number of an entry, or 0
	entries []entry
	missing int64
	counts  []int64 // scratch
}

type entry struct {
	hash  uint64
	count int64
	kind  uint8
	cut   bool
	text  []byte // see Value; at most maxText bytes
}

// add counts a value, as JSON writes it.
func (f *frequent) add(kind uint8, value []byte) {
	hash := xxhash.Sum64(value)
	e := f.find(hash)
	if e == nil {
		e = f.insert(hash, kind)
		e.begin(value)
	}
	e.count++
}

// begin keeps the beginning of a value: of a text its characters, of others JSON.
func (e *entry) begin(value []byte) {
	e.text = e.text[:0]
	if Types[e.kind] != Text {
		e.keep(value)
		return
	}
	inner := value[1 : len(value)-1]
	if !jsonscan.IsPlain(inner[:min(len(inner), maxText+1)]) {
		text, _ := jsonscan.AppendText(e.text, value) // half of a surrogate pair ends it
		e.text = text[:0]
		inner = text
	}
	e.keep(inner)
}

// keep keeps the first maxText bytes of a text, and no part of a character.
func (e *entry) keep(text []byte) {
	n := len(text)
	if e.cut = n > maxText; e.cut {
		for n = maxText; n > 0 && !utf8.RuneStart(text[n]); n-- {
		}
	}
	e.text = append(e.text, text[:n]...)
}

func (f *frequent) find(hash uint64) *entry {
	for i := hash % uint64(len(f.slots)); f.slots[i] != 0; i = (i + 1) % uint64(len(f.slots)) {
		if e := &f.entries[f.slots[i]-1]; e.hash == hash {
			return e
		}
	}
	return nil
}

// insert returns a new entry with count 0.
func (f *frequent) insert(hash uint64, kind uint8) *entry {
	if len(f.entries) == maxDistinct {
		f.prune(keptValues)
	}
	n := len(f.entries)
	if n < cap(f.entries) {
		f.entries = f.entries[:n+1] // with the memory of its text
	} else {
		f.entries = append(f.entries, entry{})
	}
	e := &f.entries[n]
	e.hash, e.kind, e.count, e.cut = hash, kind, 0, false
	f.place(n)
	return e
}

func (f *frequent) place(n int) {
	i := f.entries[n].hash % uint64(len(f.slots))
	for f.slots[i] != 0 {
		i = (i + 1) % uint64(len(f.slots))
	}
	f.slots[i] = uint8(n + 1)
}

// prune keeps at most so many entries.
func (f *frequent) prune(keep int) {
	if len(f.entries) <= keep {
		return
	}
	f.counts = f.counts[:0]
	for i := range f.entries {
		f.counts = append(f.counts, f.entries[i].count)
	}
	slices.Sort(f.counts)
	over := f.counts[len(f.counts)-1-keep]
	f.missing += over
	n := 0
	for i := range f.entries {
		if f.entries[i].count -= over; f.entries[i].count > 0 {
			f.entries[n], f.entries[i] = f.entries[i], f.entries[n]
			n++
		}
	}
	f.entries = f.entries[:n]
	clear(f.slots[:])
	for i := range f.entries {
		f.place(i)
	}
}

// merge adds the values of a document.
func (f *frequent) merge(other *Frequent) {
	f.missing += other.Missing
	for _, v := range other.Values {
		hash, err := strconv.ParseUint(v.Hash, 16, 64)
		if err != nil {
			continue
		}
		e := f.find(hash)
		if e == nil {
			e = f.insert(hash, uint8(max(0, slices.Index(Types[:], v.Type))))
			e.text, e.cut = append(e.text[:0], v.Text...), v.Cut
		}
		e.count += v.Count
	}
}

// document returns the values. If no value came twice, a long list of them says nothing.
func (f *frequent) document() Frequent {
	d := Frequent{Values: []Value{}, Missing: f.missing}
	for i := range f.entries {
		e := &f.entries[i]
		d.Values = append(d.Values, Value{Type: Types[e.kind], Text: string(e.text), Cut: e.cut, Count: e.count,
			Hash: strconv.FormatUint(e.hash, 16)})
	}
	d.sort()
	switch {
	case len(d.Values) > keptValues && d.Values[0].Count == 1:
		d.limit(0)
	case d.Missing > 0:
		d.limit(keptValues)
	}
	return d
}
