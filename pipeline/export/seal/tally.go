package seal

import (
	"context"
	"slices"
	"sync"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
)

// tallies caches the sums of window manifests by export, so that a manifest is read once and not
// again for each later result. A process that takes over a partition reads the manifests again.
type tallies struct {
	mu      sync.Mutex
	exports map[export.ID]*tally
}

// Limits of memory.
const (
	maxTallies = 256 // exports
	maxRead    = 64  // manifests that are read before they are added; each lists up to a few hundred fragments
)

type tally struct {
	mu      sync.Mutex
	sum     export.Tally
	counted []bool // by number of the window
}

// sum returns the sum of the finished windows, and the manifests of the last chunk that it read. A
// finished window stays finished, so that the sum never falls from one result to the next, in
// whichever process.
func (c *tallies) sum(ctx context.Context, f folder.Folder, done []int) (
	sum *export.Tally, read []*export.WindowManifest, err error,
) {
	t := c.of(f.ID)
	t.mu.Lock()
	defer t.mu.Unlock()
	for numbers := range slices.Chunk(t.missing(done), maxRead) {
		if read, err = f.ReadWindows(ctx, numbers); err != nil {
			return nil, nil, err
		}
		for i, number := range numbers {
			t.sum.Add(read[i])
			t.counted[number] = true
		}
	}
	return t.sum.Clone(), read, nil
}

// missing returns the windows that are not counted yet, ascending.
func (t *tally) missing(done []int) (numbers []int) {
	for _, number := range done {
		if number >= len(t.counted) {
			t.counted = append(t.counted, make([]bool, number+1-len(t.counted))...)
		}
		if !t.counted[number] {
			numbers = append(numbers, number)
		}
	}
	return numbers
}

func (c *tallies) of(id export.ID) *tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.exports[id]
	if t == nil {
		if c.exports == nil {
			c.exports = map[export.ID]*tally{}
		}
		for other := range c.exports {
			if len(c.exports) < maxTallies {
				break
			}
			delete(c.exports, other) // any of them: it is read again when it is needed
		}
		t = &tally{}
		c.exports[id] = t
	}
	return t
}

func (c *tallies) forget(id export.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.exports, id)
}
