package strictjson

import (
	"hash/maphash"
	"strings"
)

// fewKeys is how many keys of an object are compared one by one.
const fewKeys = 32

// keyAt is a key, and where it begins in the document.
type keyAt struct {
	text  string
	start int // of its quote
}

func isAmong(keys []keyAt, key string) bool {
	for _, k := range keys {
		if k.text == key {
			return true
		}
	}
	return false
}

// keySet has the keys of an object that has many. Of each it has the position in the document alone:
// a document may consist of keys, and a map of them would need ten times the memory of the document.
type keySet struct {
	seed  maphash.Seed // so that nobody can choose keys that collide
	slots []uint32     // open addressing: the position of a key's quote, and 0 for none
	used  int
}

func newKeySet(r *Reader, keys []keyAt) *keySet {
	s := &keySet{seed: maphash.MakeSeed(), slots: make([]uint32, 4*fewKeys)}
	for _, k := range keys {
		s.add(r, k.text, k.start)
	}
	return s
}

// add adds the key at a position, and reports false if the set has it already.
func (s *keySet) add(r *Reader, key string, start int) bool {
	if s.used >= len(s.slots)/4*3 {
		old := s.slots
		s.slots = make([]uint32, 2*len(old))
		for _, at := range old {
			if at != 0 {
				s.slots[s.find(r, r.keyAt(int(at)))] = at
			}
		}
	}
	i := s.find(r, key)
	if s.slots[i] != 0 {
		return false
	}
	s.slots[i] = uint32(start) // never 0, where the document begins with the object
	s.used++
	return true
}

// find returns the slot that has the key, or the one that is free for it.
func (s *keySet) find(r *Reader, key string) int {
	mask := len(s.slots) - 1
	for i := int(maphash.String(s.seed, key)) & mask; ; i = (i + 1) & mask {
		if at := int(s.slots[i]); at == 0 || r.isKeyAt(at, key) {
			return i
		}
	}
}

// isKeyAt reports whether the key at a position, which was read before, is this one.
func (r *Reader) isKeyAt(start int, key string) bool {
	// Where the document has the text of a key without quotes and escapes, and then a quote, it is that key.
	end := start + 1 + len(key)
	if end < len(r.b) && r.b[end] == '"' && r.s[start+1:end] == key && !strings.ContainsAny(key, `"\`) {
		return true
	}
	return r.keyAt(start) == key
}

// keyAt reads the key at a position again.
func (r *Reader) keyAt(start int) string {
	at := r.i
	r.i = start
	key, _ := r.text() // it was read without an error before
	r.i = at
	return key
}
