package live_test

import (
	"context"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/export/live"
)

// notice publishes that a stage tries something again.
func (w *world) notice(p *export.Plan, at time.Time, attempts int64) {
	w.Helper()
	n := export.NewNotice(p.ID, nil, time.Time{}, at)
	n.Retrying = &export.Retrying{Stage: "extract", Code: "store_failed", Message: "denied", Since: at, Attempts: attempts}
	w.publish(event.TopicExportProgress, export.TypeProgressed, p.ID, n)
}

// Whoever is asked tells the retries of a running export, until a minute after the last one. They
// change nothing else, in any order, and the end hides them.
func TestARetryIsToldUntilItIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	start := time.Now().UTC().Truncate(time.Millisecond)
	w.now = func() time.Time { return start.Add(10 * time.Second) }
	first := w.server() // it sees all events
	stop, conn := w.track(), w.conn()
	p, early := w.plan("e", start), w.plan("early", start)
	w.notice(early, start, 1) // before what the plan sends
	w.progress(early, 0)
	w.progress(p, 1)
	w.notice(p, start.Add(5*time.Second), 7)
	w.notice(p, start.Add(-5*time.Second), 3) // late
	tells := func(e *live.Exports, name string, attempts int64, windows int64) {
		t.Helper()
		w.eventually(func() string {
			x, err := e.Get(t.Context(), id(name))
			if err != nil || x.Retrying == nil || x.Retrying.Attempts != attempts || x.WindowsDone != windows ||
				x.Purpose == "" || x.RowsPlanned != 100 {
				return "not told: " + describe(x, err)
			}
			return ""
		})
	}
	tells(first, "e", 7, 1)
	tells(first, "early", 1, 0)
	w.eventually(func() string {
		stored, err := live.Stored{Conn: conn}.Get(t.Context(), id("e"))
		if err != nil || stored == nil || stored.Retrying == nil || stored.Retrying.Attempts != 7 || stored.WindowsDone != 1 {
			return "not stored"
		}
		return ""
	})
	stop()
	second := w.server() // it begins behind the events, which are in ClickHouse
	tells(second, "e", 7, 1)
	page, err := second.List(t.Context(), live.Query{Workspace: "acme", Limit: 10})
	if err != nil || len(page.Exports) != 2 || page.Exports[0].Retrying == nil || page.Exports[1].Retrying == nil {
		t.Errorf("listed %+v, %v", page, err)
	}
	w.progress(p, 1) // the same again
	tells(first, "e", 7, 1)

	watching, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	w.now = func() time.Time { return start.Add(66 * time.Second) }
	hidden := w.server()
	if x, err := hidden.Get(t.Context(), id("e")); err != nil || x.Retrying != nil || x.WindowsDone != 1 {
		t.Errorf("after a minute: %s", describe(x, err))
	}
	for state, err := range hidden.Watch(watching, id("e"), 10*time.Millisecond) {
		switch {
		case err != nil:
			t.Fatal(err)
		case state == nil: // nothing has changed
		case state.Status.Final():
			if state.Retrying != nil || state.Cancelling {
				t.Errorf("the end has %+v, %t", state.Retrying, state.Cancelling)
			}
		case state.Retrying == nil:
			w.notice(p, start.Add(60*time.Second), 9)
		case state.Retrying.Attempts == 9:
			w.end(p, export.StatusSucceeded)
		}
	}
	w.status(first, "e", export.StatusSucceeded)
	w.notice(p, start.Add(61*time.Second), 10) // late
	w.progress(p, 2)
	w.status(first, "e", export.StatusSucceeded)
	if x, err := first.Get(t.Context(), id("e")); err != nil || x.Retrying != nil {
		t.Errorf("after the end: %s", describe(x, err))
	}
}

// A cancel that was filed is told at once, by every server, until the export ends.
func TestACancelIsToldAndStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.server(), w.server()
	p := w.plan("e", time.Now().UTC().Truncate(time.Millisecond))
	w.progress(p, 0)
	w.status(a, "e", export.StatusAccepted)
	if _, err := a.Cancel(t.Context(), id("e"), "x"); err != nil {
		t.Fatal(err)
	}
	isTold := func(e *live.Exports) {
		t.Helper()
		w.eventually(func() string {
			if x, err := e.Get(t.Context(), id("e")); err != nil || !x.Cancelling {
				return "not told: " + describe(x, err)
			}
			return ""
		})
	}
	isTold(a)
	isTold(b)
	w.progress(p, 1)
	w.status(a, "e", export.StatusRunning)
	isTold(a)
	// A server that finds the export in the bucket alone.
	f := folder.Folder{Bucket: w.bucket, ID: w.plan("other", p.RequestedAt).ID}
	if _, err := f.CreateCancellation(t.Context(), &export.Cancellation{ID: f.ID, FiledAt: p.RequestedAt}); err != nil {
		t.Fatal(err)
	}
	if x, err := b.Get(t.Context(), f.ID); err != nil || !x.Cancelling {
		t.Errorf("in the bucket: %s", describe(x, err))
	}
	w.end(p, export.StatusCancelled)
	w.status(a, "e", export.StatusCancelled)
	if x, err := a.Get(t.Context(), id("e")); err != nil || x.Cancelling {
		t.Errorf("after the end: %s", describe(x, err))
	}
}
