package live

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
)

// maxEntries bounds the board; about 2 kB each. What falls off it ClickHouse has, but for what track is behind.
const maxEntries = 20_000

// board is what the topics told of exports.
type board struct {
	mu      sync.Mutex
	entries map[export.ID]*entry
	clock   int64 // counts what happens
}

type entry struct {
	state *export.State // nil where nothing is known
	// onlyFiled says that the state is that of a request which nobody has planned yet. Hash tells the first request
	// under this id from others; it is "" where none was seen.
	onlyFiled bool
	hash      string
	// fresh says that nothing but the request is known of the export, in ClickHouse and the bucket neither: what comes, comes by the topics.
	fresh bool

	touched int64 // by the board's clock
	watched int
	changed chan struct{} // closed at the next change, where somebody waits for it
}

// apply takes in a record of the topics. What is not what it should be is a dead letter of the stage that reads it, and none here.
func (b *board) apply(topic string, r *kgo.Record) {
	e, err := event.Decode(r)
	if err != nil {
		return
	}
	switch topic {
	case event.TopicExportRequests:
		if e.Type == "" || e.Type == export.TypeRequested {
			b.requested(&e)
		}
	case event.TopicExportProgress:
		var p export.Progress
		if json.Unmarshal(e.Data, &p) == nil {
			b.change(p.ID, func(x *entry) { x.progressed(&p.State) })
		}
	case event.TopicExportCompletions:
		var c export.Completion
		if json.Unmarshal(e.Data, &c) == nil {
			b.change(c.ID, func(x *entry) { x.state, x.onlyFiled = &c.State, false })
		}
	}
}

func (b *board) requested(e *event.Event) {
	r, err := export.ParseRequest(e.Data)
	hash := ""
	switch {
	case err == nil:
		hash = r.Hash()
	case errors.As(err, new(export.Mistakes)):
		hash = export.HashText(e.Data)
	default:
		return // nobody's
	}
	b.change(r.ID, func(x *entry) {
		if x.hash == "" && x.state == nil {
			x.hash, x.state, x.onlyFiled = hash, filed(r, e.Time), true
		}
	})
}

// filed is the state of an export that nobody has planned yet.
func filed(r *export.Request, at time.Time) *export.State {
	at = at.UTC().Truncate(time.Millisecond)
	p := export.NewProgress(&export.Plan{ID: r.ID, Request: r, RequestedAt: at}, export.StatusAccepted, &export.Tally{}, at)
	p.PercentDone = 0
	return &p.State
}

// progressed keeps the progress that is further: events may come again.
func (x *entry) progressed(s *export.State) {
	if old := x.state; old != nil && !x.onlyFiled {
		if old.Status.Final() || cmp.Or(cmp.Compare(s.WindowsDone, old.WindowsDone), cmp.Compare(s.RowsDone, old.RowsDone)) < 0 {
			return
		}
	}
	x.state, x.onlyFiled = s, false
}

// change changes an entry, and tells those who watch it.
func (b *board) change(id export.ID, f func(*entry)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.entry(id)
	f(x)
	if x.changed != nil {
		close(x.changed)
		x.changed = nil
	}
}

// entry returns the entry of an id, a new one if there is none.
func (b *board) entry(id export.ID) *entry {
	b.clock++
	x := b.entries[id]
	if x == nil {
		if len(b.entries) >= maxEntries {
			b.forget()
		}
		x = &entry{}
		b.entries[id] = x
	}
	x.touched = b.clock
	return x
}

// forget drops the tenth of the entries that nothing has happened to for longest.
func (b *board) forget() {
	type aged struct {
		id      export.ID
		touched int64
	}
	var all []aged
	for id, x := range b.entries {
		if x.watched == 0 {
			all = append(all, aged{id, x.touched})
		}
	}
	slices.SortFunc(all, func(a, b aged) int { return cmp.Compare(a.touched, b.touched) })
	for _, a := range all[:min(len(all), maxEntries/10)] {
		delete(b.entries, a.id)
	}
}

// known is what the board has of an export.
type known struct {
	state     *export.State // nil where nothing is known
	onlyFiled bool          // all that is known is the request
	fresh     bool          // and nothing else is known elsewhere
	hash      string        // of the first request
}

func (b *board) state(id export.ID) (k known) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if x := b.entries[id]; x != nil {
		k = known{x.state, x.onlyFiled, x.fresh, x.hash}
	}
	return k
}

// freshen notes that an export is known nowhere else.
func (b *board) freshen(id export.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if x := b.entries[id]; x != nil {
		x.fresh = true
	}
}

// of returns what is known of the exports of a workspace.
func (b *board) of(workspace string) map[export.ID]*export.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[export.ID]*export.State{}
	for id, x := range b.entries {
		if id.WorkspaceID == workspace && x.state != nil {
			all[id] = x.state
		}
	}
	return all
}
