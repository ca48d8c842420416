package live

import (
	"cmp"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
)

// maxEntries bounds the board (about 2 kB an entry). Evicted exports are read from ClickHouse,
// except those that track has not written yet.
const maxEntries = 20_000

// board is what the topics told about exports.
type board struct {
	mu      sync.Mutex
	entries map[export.ID]*entry
	clock   int64 // counts uses of entries
	now     func() time.Time
}

type entry struct {
	state *export.State // nil: nothing is known
	// requestOnly means that the state is made of a request: the topics told nothing else. Hash
	// tells the first request of this id from others; it is "" if none was seen.
	requestOnly bool
	hash        string
	// notice tells of a cancel and of what is tried again, which every later state keeps.
	notice *export.State
	// unplanned means that ClickHouse and the bucket were asked, and do not know the export. All
	// news about it comes by the topics.
	unplanned bool

	touched int64         // by the board's clock
	watched int           // number of watchers
	changed chan struct{} // closed at the next change; nil: nobody waits for it
}

// apply applies one record. Malformed records are ignored: the stage that owns the topic
// dead-letters them.
func (b *board) apply(topic string, r *kgo.Record) {
	if topic != event.TopicExportRequests {
		if s, err := decodeState(topic, r); err == nil {
			b.change(s.ID, func(x *entry) { x.advance(s) })
		}
		return
	}
	e, err := event.Decode(r)
	switch {
	case err != nil:
	case e.Type == "" || e.Type == export.TypeRequested:
		b.requested(&e)
	case e.Type == export.TypeCancelled:
		if c, err := export.ParseCancel(e.Data); err == nil {
			notice := export.NewNotice(c.ID, nil, time.Time{}, e.Time)
			notice.Cancelling = true
			b.change(c.ID, func(x *entry) { x.advance(&notice.State) })
		}
	}
}

// decodeState decodes a record of progress or of a completion. The topic is named without the
// prefix.
func decodeState(topic string, r *kgo.Record) (*export.State, error) {
	e, err := event.Decode(r)
	if err != nil {
		return nil, err
	}
	switch topic {
	case event.TopicExportProgress:
		var p export.Progress
		err = json.Unmarshal(e.Data, &p)
		return &p.State, err
	case event.TopicExportCompletions:
		var c export.Completion
		err = json.Unmarshal(e.Data, &c)
		return &c.State, err
	}
	return nil, errNoState
}

// requested applies a request.
func (b *board) requested(e *event.Event) {
	r, err := export.ParseRequest(e.Data)
	hash := ""
	switch {
	case err == nil:
		hash = r.Hash()
	case errors.As(err, new(export.Mistakes)):
		hash = export.HashText(e.Data)
	default:
		return // it has no valid id
	}
	b.change(r.ID, func(x *entry) {
		if x.hash == "" && x.state == nil {
			x.hash, x.state, x.requestOnly = hash, requestedState(r, e.Time).With(x.notice), true
		}
	})
}

// requestedState returns the state of an export that is not planned yet.
func requestedState(r *export.Request, at time.Time) *export.State {
	at = at.UTC().Truncate(time.Millisecond)
	p := export.NewProgress(&export.Plan{ID: r.ID, Request: r, RequestedAt: at}, export.StatusAccepted, &export.Tally{},
		at)
	p.PercentDone = 0
	return &p.State
}

// advance takes over a state unless the entry has one that is further, and reports whether it did.
// Events can come more than once and, on two topics, in any order.
//
// A notice advances no field but its own. If the entry has no state, advance keeps the notice for
// the first one, and reports false.
func (x *entry) advance(s *export.State) bool {
	if s.Cancelling || s.Retrying != nil {
		if x.notice != nil {
			x.notice = s.With(x.notice)
		} else {
			x.notice = s
		}
	}
	if s.Partial {
		if x.state == nil || x.state.Status.Final() {
			return false
		}
		x.state = x.state.With(x.notice)
		return true
	}
	if old := x.state; old != nil && !x.requestOnly && !s.Status.Final() {
		if old.Status.Final() || cmp.Or(cmp.Compare(s.WindowsDone, old.WindowsDone),
			cmp.Compare(s.RowsDone, old.RowsDone)) < 0 {
			return false
		}
	}
	x.state, x.requestOnly = s.With(x.notice), false
	return true
}

// change changes an entry, and wakes its watchers.
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

// entry returns the entry of an id. It adds one if there is none. b.mu is held.
func (b *board) entry(id export.ID) *entry {
	b.clock++
	x := b.entries[id]
	if x == nil {
		if len(b.entries) >= maxEntries {
			b.evict()
		}
		x = &entry{}
		b.entries[id] = x
	}
	x.touched = b.clock
	return x
}

// evict drops a tenth of the entries: those that were not used for longest. It keeps entries that
// are watched.
func (b *board) evict() {
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

// known is what the board knows of an export; the fields are those of entry.
type known struct {
	state       *export.State
	requestOnly bool
	unplanned   bool
	hash        string
}

func (b *board) known(id export.ID) (k known) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if x := b.entries[id]; x != nil {
		k = known{x.state.Current(b.now()), x.requestOnly, x.unplanned, x.hash}
	}
	return k
}

// markUnplanned notes that ClickHouse and the bucket do not know an export.
func (b *board) markUnplanned(id export.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if x := b.entries[id]; x != nil {
		x.unplanned = true
	}
}

// unplanned returns the ids of the exports of a workspace of which the topics told nothing but their
// request.
func (b *board) unplanned(workspace string) iter.Seq[string] {
	return func(yield func(string) bool) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for id, x := range b.entries {
			if id.WorkspaceID == workspace && x.requestOnly && !yield(id.ExportID) {
				return
			}
		}
	}
}

// ofWorkspace returns the states of the exports of a workspace.
func (b *board) ofWorkspace(workspace string) map[export.ID]*export.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[export.ID]*export.State{}
	for id, x := range b.entries {
		if id.WorkspaceID == workspace && x.state != nil {
			all[id] = x.state.Current(b.now())
		}
	}
	return all
}
