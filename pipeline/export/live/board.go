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
	// filed is the first request under this id, and hash what tells it from another; "" where it was not seen.
	filed *export.Progress
	hash  string
	// fresh says that nothing but the request is known of the export, in ClickHouse and the bucket neither: what comes, comes by the topics.
	fresh bool

	progress   *export.Progress
	completion *export.Completion

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
			b.change(p.ID, func(x *entry) { x.progressed(&p) })
		}
	case event.TopicExportCompletions:
		var c export.Completion
		if json.Unmarshal(e.Data, &c) == nil {
			b.change(c.ID, func(x *entry) { x.completion, x.progress, x.filed = &c, nil, nil })
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
		if x.hash == "" && x.progress == nil && x.completion == nil {
			x.hash, x.filed = hash, filed(r, e.Time)
		}
	})
}

// filed is the progress of an export that nobody has planned yet.
func filed(r *export.Request, at time.Time) *export.Progress {
	at = at.UTC().Truncate(time.Millisecond)
	p := export.NewProgress(&export.Plan{ID: r.ID, Request: r, RequestedAt: at}, export.StatusAccepted, &export.Tally{}, at)
	p.PercentDone = 0
	return p
}

// progressed keeps the progress that is further: events may come again.
func (x *entry) progressed(p *export.Progress) {
	old := x.progress
	if x.completion != nil || old != nil && cmp.Or(cmp.Compare(p.WindowsDone, old.WindowsDone), cmp.Compare(p.RowsDone, old.RowsDone)) < 0 {
		return
	}
	x.progress, x.filed = p, nil
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
	state     *Export // nil where nothing is known
	onlyFiled bool    // all that is known is the request
	fresh     bool    // and nothing else is known elsewhere
	hash      string  // of the first request
}

func (b *board) state(id export.ID) (k known) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if x := b.entries[id]; x != nil {
		k.state, k.onlyFiled = x.state()
		k.fresh, k.hash = x.fresh, x.hash
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

func (x *entry) state() (state *Export, onlyFiled bool) {
	switch {
	case x.completion != nil:
		return ofCompletion(x.completion), false
	case x.progress != nil:
		return ofProgress(x.progress), false
	case x.filed != nil:
		return ofProgress(x.filed), true
	}
	return nil, false
}

// of returns what is known of the exports of a workspace.
func (b *board) of(workspace string) map[export.ID]*Export {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[export.ID]*Export{}
	for id, x := range b.entries {
		if id.WorkspaceID == workspace {
			if state, _ := x.state(); state != nil {
				all[id] = state
			}
		}
	}
	return all
}

func ofAbout(a *export.About) *Export {
	return &Export{
		WorkspaceID: a.WorkspaceID, ExportID: a.ExportID, Name: a.Name, Purpose: a.Purpose, Source: a.Source, AppID: a.AppID,
		Nodes: notNil(a.Nodes), Target: a.Target, Format: a.Format, RequestedBy: a.RequestedBy, RequestedAt: a.RequestedAt, Status: a.Status,
		Dropped: map[string]int64{}, Warnings: []export.Warning{},
	}
}

func ofProgress(p *export.Progress) *Export {
	e := ofAbout(&p.About)
	e.PercentDone, e.RowsDone, e.RowsPlanned, e.Records = p.PercentDone, p.RowsDone, p.RowsPlanned, p.Records
	e.WindowsDone, e.WindowsPlanned, e.Fragments, e.Bytes = int64(p.WindowsDone), int64(p.WindowsPlanned), p.Fragments, p.Bytes
	e.UpdatedAt = p.At
	if p.Dropped != nil {
		e.Dropped = p.Dropped
	}
	return e
}

func ofCompletion(c *export.Completion) *Export {
	e := ofAbout(&c.About)
	e.RowsPlanned, e.RowsUsed, e.Vanished, e.Records = c.RowsPlanned, c.RowsUsed, c.Vanished, c.Records
	e.Fragments, e.Bytes, e.ManifestURI, e.ManifestSHA256, e.LoadWith = c.Fragments, c.Bytes, c.ManifestURI, c.ManifestSHA256, c.LoadWith
	e.Watermark, e.AcceptedAt, e.CompletedAt, e.UpdatedAt = timeIf(c.Watermark), timeIf(c.AcceptedAt), timeIf(c.CompletedAt), c.CompletedAt
	if c.Status == export.StatusSucceeded {
		e.PercentDone, e.RowsDone = 100, c.RowsPlanned
	}
	if c.Dropped != nil {
		e.Dropped = c.Dropped
	}
	e.Warnings = notNil(c.Warnings)
	if c.Error != nil {
		e.ErrorCode, e.ErrorMessage, e.ErrorRetryable, e.ErrorPointer = c.Error.Code, c.Error.Message, c.Error.Retryable, c.Error.Pointer
	}
	return e
}

// notNil makes an empty list of none, which JSON writes as [].
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func timeIf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
