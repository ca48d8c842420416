package fragment

import (
	"bytes"
	"slices"
	"testing"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

// Set is a set of records for tests outside of the package. Those tests use services that import
// the package.
type Set struct {
	Name     string
	Settings Settings
	Records  [][]byte
}

// Suite returns the tests that every encoder must pass, without records that are too large for a
// slow reader, and without integers that JavaScript does not have.
func Suite(t *testing.T) (sets []Set) {
	t.Helper()
	for _, s := range suite {
		set := Set{s.name, Settings{Columns: s.columns}, s.records()}
		switch s.name {
		case "a huge record":
			continue
		case "every type":
			set.Records = append(set.Records[:2:2], set.Records[3:]...)
		case "hostile text": // hyparquet reads U+FEFF as a byte order mark, even in a value
			set.Records = slices.DeleteFunc(slices.Clone(set.Records), func(r []byte) bool {
				return bytes.Contains(r,
					[]byte(jsonscan.ByteOrderMark))
			})
		case "runs":
			set.Records = set.Records[:2000]
		}
		sets = append(sets, set)
	}
	return sets
}

// Runs returns a set of n runs.
func Runs(t *testing.T, n int) Set {
	t.Helper()
	return Set{"runs", runSettings(), runRecords(n, 1100)}
}

// Encode encodes records as one fragment.
func Encode(t *testing.T, e Encoder, records [][]byte) []byte {
	t.Helper()
	return encode(t, e, records)
}
