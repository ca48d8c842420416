package fragment

import (
	"bytes"
	"slices"
	"testing"
)

// Set is records for tests outside of the package, which read them with services that know the package.
type Set struct {
	Name     string
	Settings Settings
	Records  [][]byte
}

// Suite is what every encoder passes, but for what is too large for a reader that is slow, and for integers
// that JavaScript does not have.
func Suite(t *testing.T) (sets []Set) {
	t.Helper()
	for _, s := range suite {
		set := Set{s.name, Settings{Columns: s.columns}, s.records()}
		switch s.name {
		case "a huge record":
			continue
		case "every type":
			set.Records = append(set.Records[:2:2], set.Records[3:]...)
		case "hostile text": // hyparquet takes U+FEFF for a byte order mark, even of a value
			set.Records = slices.DeleteFunc(slices.Clone(set.Records), func(r []byte) bool { return bytes.Contains(r, []byte(byteOrderMark)) })
		case "runs":
			set.Records = set.Records[:2000]
		}
		sets = append(sets, set)
	}
	return sets
}

// Runs is a set of n runs.
func Runs(t *testing.T, n int) Set {
	t.Helper()
	return Set{"runs", runSettings(), runRecords(n, 1100)}
}

// Encode returns the fragment of some records.
func Encode(t *testing.T, e Encoder, records [][]byte) []byte {
	t.Helper()
	return encode(t, e, records)
}
