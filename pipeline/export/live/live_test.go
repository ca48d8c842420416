package live_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/export/live"
)

func TestWhatIsFiledWithOneServerIsThereAtOnceWithEveryOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	servers := []*live.Exports{w.server(), w.server(), w.server()}
	for i := range 30 {
		name := fmt.Sprintf("e%02d", i)
		w.mustFile(servers[i%3], name)
		other := servers[(i+1)%3]
		if i%2 == 0 {
			x, err := other.Get(t.Context(), id(name))
			if err != nil || x.Status != export.StatusAccepted || x.AppID != "a" || x.RequestedAt.IsZero() {
				t.Fatalf("another server has %+v, %v", x, err)
			}
			continue
		}
		page, err := other.List(t.Context(), live.Query{Workspace: "acme", Limit: 200})
		if err != nil || len(page.Exports) != i+1 || page.Exports[0].ExportID != name {
			t.Fatalf("another server lists %v, %v", names(page), err)
		}
	}
	if _, err := servers[0].Get(t.Context(), export.ID{WorkspaceID: "other", ExportID: "e00"}); !errors.Is(err,
		live.ErrNotFound) {
		t.Errorf("another workspace: %v", err)
	}
	if page, err := servers[0].List(t.Context(), live.Query{Workspace: "other", Limit: 200}); err != nil ||
		len(page.Exports) > 0 {
		t.Errorf("another workspace lists %v, %v", page, err)
	}
	late := w.server() // and a server that starts later
	if page, err := late.List(t.Context(), live.Query{Workspace: "acme", Limit: 200}); err != nil ||
		len(page.Exports) != 30 {
		t.Errorf("a later server lists %v, %v", names(page), err)
	}
}

func TestOneOfDifferentRequestsUnderOneIDWins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.server(), w.server()
	for i := range 10 {
		name := fmt.Sprintf("e%d", i)
		errs := make([]error, 6)
		var all sync.WaitGroup
		for j := range errs {
			// three requests, twice each
			all.Go(func() { _, errs[j] = w.file([]*live.Exports{a, b}[j%2], name, fmt.Sprint(j/2)) })
		}
		all.Wait()
		won := map[int]int{}
		for j, err := range errs {
			switch {
			case err == nil:
				won[j/2]++
			case !errors.Is(err, live.ErrConflict):
				t.Fatal(err)
			}
		}
		if len(won) != 1 {
			t.Errorf("requests that won: %v of %v", won, errs)
		}
	}
	// A planned export is known by its plan.
	w.plan("planned", time.Now())
	if _, err := w.file(a, "planned", "other"); !errors.Is(err, live.ErrConflict) {
		t.Errorf("another request under the id of a planned one: %v", err)
	}
	if x, err := w.file(a, "planned", "n"); err != nil || x.ExportID != "planned" {
		t.Errorf("the same request again: %+v, %v", x, err)
	}
}

func TestProgressAndCompletionAreSeenBeforeClickHouseHasThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.server()
	w.mustFile(e, "e")
	p := w.plan("e", time.Now().UTC().Truncate(time.Millisecond))
	w.progress(p, 0)
	w.progress(p, 1)
	w.status(e, "e", export.StatusRunning)
	w.progress(p, 0) // again, late
	done := w.end(p, export.StatusSucceeded)
	w.status(e, "e", export.StatusSucceeded)
	x, err := e.Get(t.Context(), id("e"))
	if err != nil || x.PercentDone != 100 || x.ManifestSHA256 != done.ManifestSHA256 || x.CompletedAt == nil {
		t.Errorf("%+v, %v", x, err)
	}
	if _, err := e.Cancel(t.Context(), id("e"), "x"); !errors.Is(err, live.ErrEnded) {
		t.Errorf("cancel of an ended export: %v", err)
	}
	if err := e.Delete(t.Context(), id("e"), "someone"); err != nil {
		t.Fatal(err)
	}
	if x, err := e.Get(t.Context(), id("e")); err != nil || x.DeletedAt == nil || x.DeletedBy != "someone" {
		t.Errorf("a deleted export is %+v, %v", x, err)
	}
	page, err := w.server().List(t.Context(), live.Query{Workspace: "acme", Limit: 10})
	if err != nil || len(page.Exports) != 1 || page.Exports[0].DeletedAt == nil {
		t.Errorf("another server lists %+v, %v", page, err)
	}
}

func TestARowOfClickHouseAndAnEventTellTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.server()
	at := time.Now().UTC().Truncate(time.Millisecond)
	for i, status := range []export.Status{export.StatusSucceeded, export.StatusFailed, export.StatusCancelled,
		export.StatusRunning} {
		p := w.plan(string(status), at.Add(time.Duration(i)*time.Second))
		w.progress(p, 0)
		w.progress(p, 1)
		if status.Final() {
			w.end(p, status)
		}
	}
	stop := w.track()
	conn, err := w.dsn.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w.eventually(func() string {
		var n uint64
		if err := conn.QueryRow(t.Context(), "SELECT count() FROM export_events").Scan(&n); err != nil || n != 11 {
			return fmt.Sprint(n, err)
		}
		return ""
	})
	stop()
	after := w.server() // it has nothing but ClickHouse
	want, err := before.List(t.Context(), live.Query{Workspace: "acme", Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	got, err := after.List(t.Context(), live.Query{Workspace: "acme", Limit: 10})
	if err != nil || len(got.Exports) != 4 {
		t.Fatalf("%+v, %v", got, err)
	}
	a, _ := json.MarshalIndent(got, "", " ")
	b, _ := json.MarshalIndent(want, "", " ")
	if string(a) != string(b) {
		t.Errorf("ClickHouse tells %s\nthe events tell %s", a, b)
	}
}

func TestPagesNeitherRepeatNorSkipWhateverIsFiledMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.track()
	defer stop()
	e := w.server()
	at := time.Now().UTC().Truncate(time.Millisecond).Add(-time.Hour)
	want := map[string]bool{}
	for i := range 120 {
		name := fmt.Sprintf("e%03d", i)
		want[name] = true
		w.progress(w.plan(name, at.Add(time.Duration(i/3)*time.Millisecond)), 0) // three at a time
	}
	w.eventually(func() string {
		page, err := e.List(t.Context(), live.Query{Workspace: "acme", Limit: 200})
		if err != nil || len(page.Exports) != 120 {
			return fmt.Sprint(len(page.Exports), err)
		}
		return ""
	})
	var seen []string
	q := live.Query{Workspace: "acme", Limit: 7}
	for pages := 0; ; pages++ {
		page, err := e.List(t.Context(), q)
		if err != nil || len(page.Exports) > 7 {
			t.Fatal(len(page.Exports), err)
		}
		seen = append(seen, names(page)...)
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
		w.mustFile(e, fmt.Sprintf("new%d", pages))
	}
	sorted := slices.Clone(seen)
	slices.Sort(sorted)
	if len(seen) != 120 || len(slices.Compact(sorted)) != 120 || !want[seen[119]] || seen[0] != "e119" {
		t.Errorf("%d exports: %v", len(seen), seen)
	}
	for _, cursor := range []string{"x", "e30", strings.Repeat("A", 400), "eyJ0IjotMSwiaWQiOiJhIn0"} {
		q.Cursor = cursor
		if _, err := e.List(t.Context(), q); !errors.Is(err, live.ErrCursor) {
			t.Errorf("cursor %s: %v", cursor, err)
		}
	}
	for text, want := range map[string]int{"e01": 10, "N": 137, "E01": 0, "": 137} { // the beginning of ids, and all names
		q := live.Query{Workspace: "acme", Limit: 200, Text: text, Status: []string{"failed"}}
		counted, err := e.Counts(t.Context(), q)
		if err != nil || counted[export.StatusAccepted] != int64(want) || len(counted) > 1 {
			t.Errorf("with %q: counted are %v, %v, want %d", text, counted, err, want)
		}
		q.Status = nil
		if page, err := e.List(t.Context(), q); err != nil || len(page.Exports) != want {
			t.Errorf("with %q: %d are listed, %v, want %d", text, len(page.Exports), err, want)
		}
	}
	for filter, want := range map[string]int{"accepted": 137, "running": 0} {
		n := 0
		for q = (live.Query{Workspace: "acme", Limit: 50, Status: []string{filter}}); ; {
			page, err := e.List(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			n += len(page.Exports)
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
		if n != want {
			t.Errorf("%d exports are %s, want %d", n, filter, want)
		}
	}
}

func TestAWatcherSeesEachChangeAndTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.server()
	w.mustFile(e, "e")
	p := w.plan("e", time.Now().UTC().Truncate(time.Millisecond))
	var seen []string
	for s, err := range e.Watch(t.Context(), id("e"), time.Hour) {
		if err != nil {
			t.Fatal(err)
		}
		if s.Status.Final() {
			seen = append(seen, string(s.Status))
			continue
		}
		seen = append(seen, fmt.Sprint(s.WindowsDone, "/", s.WindowsPlanned))
		switch len(seen) { // what comes next is told only now, so that none is passed over
		case 1:
			w.progress(p, 0)
		case 2:
			w.progress(p, 1)
		case 3:
			w.end(p, export.StatusCancelled)
		}
	}
	if fmt.Sprint(seen) != "[0/0 0/2 1/2 cancelled]" {
		t.Errorf("seen %v", seen)
	}
	for s, err := range w.server().Watch(t.Context(), id("e"), time.Hour) { // one that comes late
		if err != nil || s == nil || s.Status != export.StatusCancelled {
			t.Errorf("%+v, %v", s, err)
		}
	}
	for _, err := range e.Watch(t.Context(), id("none"), time.Hour) {
		if !errors.Is(err, live.ErrNotFound) {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.mustFile(e, "idle")
	n := 0
	for s, err := range e.Watch(ctx, id("idle"), time.Millisecond) {
		if n++; n == 3 {
			cancel()
		}
		if n > 1 && err == nil && s != nil {
			t.Errorf("nothing happened, and yet %+v", s)
		}
	}
	if n < 3 {
		t.Errorf("%d updates", n)
	}
}

func TestWithoutClickHouseTheTopicsAndTheBucketTell(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.server()
	p := w.plan("ended", time.Now())
	w.end(p, export.StatusSucceeded)
	w.plan("planned", time.Now())
	w.proxy.Refuse()
	late := w.server()
	for name, want := range map[string]export.Status{"ended": export.StatusSucceeded, "planned": export.StatusAccepted} {
		if x, err := late.Get(t.Context(), id(name)); err != nil || x.Status != want {
			t.Errorf("%s is %+v, %v", name, x, err)
		}
	}
	w.mustFile(e, "new")
	if _, err := e.Get(t.Context(), id("none")); err == nil || errors.Is(err, live.ErrNotFound) {
		t.Errorf("whether there is an export nobody knows, and yet: %v", err)
	}
	if _, err := e.List(t.Context(), live.Query{Workspace: "acme", Limit: 10}); err == nil {
		t.Error("a listing without ClickHouse succeeded")
	}
}

func TestWithoutKafkaNothingIsFiledOrSaidToBeMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.timeout = time.Second
	e := w.server()
	w.mustFile(e, "there")
	w.kafka.Close()
	if _, err := e.Get(t.Context(), id("none")); !errors.Is(err, live.ErrBehind) {
		t.Errorf("whether there is an export nobody knows, and yet: %v", err)
	}
	if x, err := e.Get(t.Context(), id("there")); err != nil || x.Status != export.StatusAccepted {
		t.Errorf("what was known is %+v, %v", x, err)
	}
	if _, err := w.file(e, "new", "n"); !errors.Is(err, live.ErrNotAcknowledged) {
		t.Errorf("filed without Kafka: %v", err)
	}
	if _, err := e.Dataset(t.Context(), id("there")); !errors.Is(err, files.ErrRunning) {
		t.Errorf("the folder of what is not planned: %v", err)
	}
}

func TestNobodyIsToldLessThanBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.server()
	w.mustFile(e, "e")
	p := w.plan("e", time.Now().UTC().Truncate(time.Millisecond))
	f := folder.Folder{Bucket: w.bucket, ID: p.ID} // its end is in the bucket before the topics tell of its beginning
	if _, _, err := f.CreateManifest(t.Context(), export.NewManifest(p, export.StatusSucceeded, nil, nil, "t/0/0",
		p.AcceptedAt.Add(time.Second))); err != nil {
		t.Fatal(err)
	}
	late := w.server()
	w.status(late, "e", export.StatusSucceeded)
	w.progress(p, 0)
	w.progress(p, 1)
	for i := range 9 { // whose progress comes later, in every partition
		marker := w.plan(fmt.Sprint("marker", i), time.Now().UTC().Truncate(time.Millisecond))
		w.progress(marker, 1)
		w.status(late, marker.ExportID, export.StatusRunning)
	}
	for range 100 {
		if x, err := late.Get(t.Context(), p.ID); err != nil || x.Status != export.StatusSucceeded {
			t.Fatalf("%+v, %v", x, err)
		}
	}
}
