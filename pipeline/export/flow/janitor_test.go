package flow_test

import (
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/extract"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/export/message"
	"github.com/millrace/millrace/pipeline/export/seal"
	"github.com/millrace/millrace/pipeline/runs"
)

func (f *flow) wait(what string, signal <-chan struct{}) {
	f.t.Helper()
	select {
	case <-signal:
	case <-time.After(5 * time.Minute):
		f.t.Fatal("not seen: " + what)
	}
}

// janitor runs a janitor with short rounds until the test ends.
func (f *flow) janitor() {
	t := f.t
	j := seal.NewJanitor(seal.JanitorConfig{
		Every: 20 * time.Millisecond, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}, f.dsn, f.bucket)
	f.running.Go(func() {
		if err := j.Run(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// waitForFiles waits until an export has exactly the given files.
func (f *flow) waitForFiles(id export.ID, want []string) {
	f.t.Helper()
	slices.Sort(want)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(5 * time.Minute); ; {
		got := slices.Concat(f.objects(id, export.CardName), f.objects(id, "__meta__"), f.objects(id, "data"))
		if slices.Equal(got, want) {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			f.t.Fatalf("files %v, want %v", got, want)
		}
	}
}

// pausedRead inserts 2,000 runs and makes their first reader wait before it has the rows of a file:
// the valve lets fewer than 100 of them through, and a file has 150. The keys of all runs, which come
// on another connection, are smaller.
func (f *flow) pausedRead() *valve {
	f.insertRuns(2000, func(_ int, r *runs.Run) {
		answer := make([]byte, 3000)
		rand.Read(answer)
		r.Answer = hex.EncodeToString(answer)
	})
	v := f.valve(300_000)
	f.dsn = v.dsn
	return v
}

// An attempt is paused while it reads. Its successor writes the window, and the export succeeds.
// Then the attempt wakes up, uploads, and its process dies. The janitor removes the objects of the
// attempt, and nothing else.
func TestTheJanitorRemovesObjectsOfAPausedAttempt(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	v := f.pausedRead()
	uploaded := make(chan []string, 1)
	id := export.ID{WorkspaceID: "acme", ExportID: "e1"}
	var once atomic.Bool
	f.failpoint = func(_, point string) error {
		if point != extract.InsideWindow || !once.CompareAndSwap(false, true) {
			return nil
		}
		uploaded <- f.objects(id, "data")
		return errCrash
	}
	f.start()
	f.send(request("e1", `,"selection":{"limit":2000}`))
	f.wait("a window being read", v.held)

	dir := folder.Folder{Bucket: f.bucket, ID: id}
	plan, err := dir.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"run_id":"by the successor"}` + "\n")
	file := export.File{
		Key: export.DataName(export.SplitTrain, 0, 0, "successor", "jsonl"), Kind: export.Data, Split: export.SplitTrain,
		Records: 1, Bytes: int64(len(body)), SHA256: export.HashText(body),
	}
	if err := f.bucket.Create(t.Context(), dir.Key(file.Key), body); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.CreateWindow(t.Context(), &export.WindowManifest{
		ID: id, Attempt: "successor", Rows: 1, RowsUsed: 1, Records: 1, Files: []export.File{file}, CreatedAt: time.Now(),
	}); err != nil {
		t.Fatal(err)
	}
	if err := f.client.ProduceSync(t.Context(), message.Result(event.DefaultPrefix, plan,
		export.Result{Kind: export.WindowDone})).FirstErr(); err != nil {
		t.Fatal(err)
	}
	f.poll("completion", func() bool { return len(f.completions("e1")) > 0 })
	kept := []string{export.CardName, file.Key}
	f.waitForFiles(id, kept)

	close(v.open)
	var late []string
	select {
	case late = <-uploaded:
	case <-time.After(5 * time.Minute):
		t.Fatal("the attempt does not wake up")
	}
	if len(late) < 10 || !slices.Contains(late, file.Key) {
		t.Errorf("the attempt left %v", late)
	}
	f.janitor()
	f.waitForFiles(id, kept)
	if _, got := f.verify(f.completion("e1")); len(got) != 1 {
		t.Errorf("records %v", got)
	}
}

// Of an export that is cancelled during the pause, the janitor removes all files.
func TestTheJanitorRemovesObjectsUploadedAfterACancel(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	v := f.pausedRead()
	uploaded := make(chan struct{})
	var once atomic.Bool
	f.failpoint = func(_, point string) error {
		if point == extract.InsideWindow && once.CompareAndSwap(false, true) {
			close(uploaded)
		}
		return nil
	}
	f.start()
	f.send(request("e1", `,"selection":{"limit":2000}`))
	f.wait("a window being read", v.held)
	f.send(`{"export_id":"e1","workspace_id":"acme","requested_by":"me","type":"` + export.TypeCancelled + `"}`)
	f.poll("completion", func() bool { return len(f.completions("e1")) > 0 })
	close(v.open)
	f.wait("an attempt that uploads late", uploaded)
	c := f.completion("e1") // the attempt ended before, because it was first
	if got := f.objects(c.ID, "data"); len(got) < 10 {
		t.Errorf("the attempt left %v", got)
	}
	f.janitor()
	f.waitForFiles(c.ID, nil)
	f.verify(c)
	if c.Status != export.StatusCancelled {
		t.Errorf("it %s", c.Status)
	}
}
