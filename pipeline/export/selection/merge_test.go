package selection

import (
	"slices"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format/record"
)

// A key whose run is not read has vanished, wherever it is, and a run without a key is left out.
func TestAKeyWithoutItsRunHasVanished(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		keys, runs, want string
		vanished         int64
	}{
		"all are there":    {"abc", "abc", "abc", 0},
		"the first is not": {"abc", "bc", "bc", 1},
		"one between":      {"abcd", "ad", "ad", 2},
		"the last":         {"abc", "ab", "ab", 1},
		"all are gone":     {"abc", "", "", 3},
		"runs without key": {"bd", "abcde", "bd", 0},
		"both":             {"bd", "acd", "d", 1},
	} {
		blocks := make(chan []snapshotKey, len(c.keys))
		for _, id := range c.keys {
			blocks <- []snapshotKey{{position: position{1, []byte(string(id))}}}
		}
		close(blocks)
		var found WindowRows
		m := &merge{ctx: t.Context(), blocks: blocks, found: &found}
		var got []rune
		for _, id := range c.runs {
			row := &record.Row{}
			row.StartedAt, row.RunID = 1, []byte(string(id))
			if joined, err := m.join(row); err != nil {
				t.Fatal(err)
			} else if joined {
				got = append(got, id)
			}
		}
		if err := m.rest(); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, []rune(c.want)) || found.Vanished != c.vanished || found.Rows != int64(len(c.keys)) {
			t.Errorf("%s: %q, %+v; want %q, %d vanished of %d", name, string(got), found, c.want, c.vanished, len(c.keys))
		}
	}
}
