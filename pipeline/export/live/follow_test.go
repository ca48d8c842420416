package live_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/kafka/kafkatest"
)

func (w *world) follow(ended bool, names ...string) *live.Follower {
	w.Helper()
	var ids []export.ID
	for _, name := range names {
		ids = append(ids, id(name))
	}
	cfg := kafka.Config{TopicPrefix: event.DefaultPrefix, Options: []kgo.Opt{kgo.SeedBrokers(w.kafka.ListenAddrs()...)}}
	f, err := live.Follow(w.Context(), cfg, ended, ids...)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(f.Close)
	return f
}

func TestACommandFilesAndFollowsExportsWithKafkaAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.proxy.Refuse()
	at := time.Now().UTC().Truncate(time.Millisecond)
	w.end(w.plan("before", at), export.StatusSucceeded)
	f := w.follow(false, "a", "b")
	requests := live.Requests{Producer: w.client, TopicPrefix: event.DefaultPrefix, Source: "test", Timeout: time.Minute}
	for _, name := range []string{"a", "b", "other"} {
		_, document := request(t, name, "n")
		if err := requests.File(t.Context(), id(name), document); err != nil {
			t.Fatal(err)
		}
	}
	if err := requests.Cancel(t.Context(), id("b"), "someone"); err != nil {
		t.Fatal(err)
	}
	a, b := w.plan("a", at), w.plan("b", at)
	w.progress(w.plan("other", at), 0)
	w.progress(a, 0)
	w.progress(a, 1)
	w.progress(a, 0) // again, late
	w.end(a, export.StatusSucceeded)
	w.end(a, export.StatusSucceeded) // again
	w.end(b, export.StatusCancelled)
	seen := map[string][]string{}
	err := f.Wait(t.Context(), func(s *export.State) error {
		seen[s.ExportID] = append(seen[s.ExportID], fmt.Sprint(s.Status, " ", s.WindowsDone))
		return nil
	})
	last := func(name string) string { return seen[name][len(seen[name])-1] }
	if err != nil || len(seen) != 2 || last("a") != "succeeded 0" || last("b") != "cancelled 0" {
		t.Errorf("seen %v, %v", seen, err)
	}
	// An export that may have ended before is found by its completion.
	if err := w.follow(true, "before").Wait(t.Context(), func(s *export.State) error {
		if s.Status != export.StatusSucceeded {
			t.Errorf("%+v", s)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := w.follow(false, "before").Wait(ctx, func(s *export.State) error { return fmt.Errorf("%+v", s) }); !errors.Is(
		err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestAFollowerPassesOverABatchThatDecompressesTooFar(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the race detector makes the batches twenty times as slow")
	}
	t.Parallel()
	w := newWorld(t)
	oversize := func() {
		for _, topic := range []string{event.TopicExportProgress, event.TopicExportCompletions} {
			for partition := range int32(3) {
				kafkatest.ProduceOversize(t, event.DefaultPrefix+topic, partition, kgo.SeedBrokers(w.kafka.ListenAddrs()...))
			}
		}
	}
	oversize()
	p := w.plan("e", time.Now())
	f := w.follow(false, "e")
	oversize()
	w.progress(p, 1)
	oversize()
	w.end(p, export.StatusSucceeded)
	for _, follower := range []*live.Follower{f, w.follow(true, "e")} {
		var last export.Status
		err := follower.Wait(t.Context(), func(s *export.State) error {
			last = s.Status
			return nil
		})
		if err != nil || last != export.StatusSucceeded {
			t.Errorf("%s, %v", last, err)
		}
	}
}

func TestWithoutKafkaNothingIsFiledByACommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.kafka.Close()
	requests := live.Requests{Producer: w.client, TopicPrefix: event.DefaultPrefix, Source: "test",
		Timeout: 50 * time.Millisecond}
	if err := requests.File(t.Context(), id("e"), []byte(`{}`)); !errors.Is(err, live.ErrNotAcknowledged) {
		t.Error(err)
	}
}

func TestStoredExportsAreListedAsAServerListsThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.track()
	defer stop()
	at := time.Now().UTC().Truncate(time.Millisecond)
	for i := range 5 {
		w.progress(w.plan(fmt.Sprintf("e%d", i), at.Add(time.Duration(i/2)*time.Second)), 0)
	}
	conn, err := w.dsn.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stored, q := live.Stored{Conn: conn}, live.Query{Workspace: "acme", Limit: 3}
	var page *live.Page
	w.eventually(func() string {
		if page, err = stored.List(t.Context(), live.Query{Workspace: "acme", Limit: 9}); err != nil ||
			len(page.Exports) != 5 {
			return fmt.Sprint(page, err)
		}
		return ""
	})
	var seen []string
	for done := false; !done; done = q.Cursor == "" {
		page, err := stored.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		seen, q.Cursor = append(seen, names(page)...), page.Next
	}
	if fmt.Sprint(seen) != "[e4 e3 e2 e1 e0]" {
		t.Errorf("listed %v", seen)
	}
	if s, err := stored.Get(t.Context(), id("none")); s != nil || err != nil {
		t.Errorf("%+v, %v", s, err)
	}
}
