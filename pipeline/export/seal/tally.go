package seal

import (
	"context"
	"slices"
	"sync"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
)

// tallies remembers what the windows of exports add up to, so that each window's manifest is read once and
// not with every result that comes after it. It is only a cache: whoever takes a partition over reads the
// manifests again.
type tallies struct {
	mu      sync.Mutex
	exports map[export.ID]*tally
}

// Limits of memory: the exports of one process that are under way at once, and the manifests, of up to a few
// hundred fragments each, that are read before they are added up.
const (
	maxTallies = 256
	maxRead    = 64
)

type tally struct {
	mu      sync.Mutex
	sum     export.Tally
	counted []bool // by number of the window
}

// sum returns what these windows, which are done, add up to, and the manifests that it read last for that. A window that was done stays done, so the sum never falls from one result to
// the next, whoever handles it.
func (c *tallies) sum(ctx context.Context, f folder.Folder, done []int) (sum *export.Tally, read []*export.WindowManifest, err error) {
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

// missing returns those of the windows, ascending, that are not counted yet.
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
			delete(c.exports, other) // any: it is read again if it is needed
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
