package seal

import (
	"context"
	"sync"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
)

// tallies remembers what the windows of exports add up to, so that each window's manifest is read once and
// not with every result that comes after it.
type tallies struct {
	mu      sync.Mutex
	exports map[export.ID]*tally
}

// maxTallies bounds their memory: the exports of one process that are under way at once.
const maxTallies = 256

type tally struct {
	mu      sync.Mutex
	sum     export.Tally
	counted map[int]bool
}

// sum returns what these windows, which are done, add up to.
func (c *tallies) sum(ctx context.Context, f folder.Folder, done []int) (*export.Tally, error) {
	t := c.of(f.ID)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, window := range done {
		if t.counted[window] {
			continue
		}
		w, err := f.Window(ctx, window)
		if err != nil {
			return nil, err
		}
		t.sum.Add(w)
		t.counted[window] = true
	}
	return t.sum.Clone(), nil
}

func (c *tallies) of(id export.ID) *tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.exports[id]
	if t == nil {
		if c.exports == nil || len(c.exports) >= maxTallies {
			c.exports = map[export.ID]*tally{}
		}
		t = &tally{counted: map[int]bool{}}
		c.exports[id] = t
	}
	return t
}

func (c *tallies) forget(id export.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.exports, id)
}
