package seal

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/export/message"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/stage"
	"github.com/millrace/millrace/sinks/bucket"
)

// world is an export and its processes, without Kafka: the partition of results is a list, and the
// test decides the outcome of transactions. A seed decides the order of steps.
type world struct {
	t         *testing.T
	random    *rand.Rand
	folder    folder.Folder
	plan      *export.Plan
	log       []*kgo.Record // the results
	committed int           // number of committed results
	processes []*Stage
	zombies   []*zombie
	kinds     []export.ResultKind // of the results in log

	released   []int // windows that were sent, and not extracted yet
	extracted  []int // windows with a manifest, before their result
	windows    []*export.WindowManifest
	progress   []*export.Progress
	completion []*export.Completion
}

// zombie is a process that was paused while it handled a record; its successor does not know.
type zombie struct {
	resume, done chan struct{}
}

const inFlight = 3

func newWorld(t *testing.T, b *bucket.Bucket, seed uint64) *world {
	w := &world{t: t, random: rand.New(rand.NewPCG(seed, 1))}
	w.folder = folder.Folder{Bucket: b, ID: export.ID{WorkspaceID: "acme", ExportID: fmt.Sprint("e", seed)}}
	request, err := export.ParseRequest([]byte(fmt.Sprintf(
		`{"export_id":"e%d","workspace_id":"acme","purpose":"export_dataset","source":"recipe","app_id":"app","selection":{"limit":100}}`, seed)))
	if err != nil {
		t.Fatal(err)
	}
	w.plan = &export.Plan{Version: export.PlanVersion, ID: w.folder.ID, Request: request, RequestedAt: day,
		AcceptedAt: day}
	for i := range 1 + w.random.IntN(12)*w.random.IntN(2) {
		rows := 1 + w.random.Int64N(1000)
		w.plan.Windows = append(w.plan.Windows, export.PlannedWindow{Rows: rows})
		w.plan.Rows += rows
		if i < inFlight {
			w.released = append(w.released, i)
		}
	}
	w.windows = make([]*export.WindowManifest, len(w.plan.Windows))
	if _, err := w.folder.CreatePlan(t.Context(), w.plan); err != nil {
		t.Fatal(err)
	}
	w.processes = []*Stage{w.newProcess(nil), w.newProcess(nil)}
	return w
}

func (w *world) config() stage.Config {
	return stage.Config{Config: kafka.Config{TopicPrefix: event.DefaultPrefix, Log: slog.New(slog.DiscardHandler)}}
}

func (w *world) newProcess(failpoint func(string) error) *Stage {
	cfg := w.config()
	cfg.Failpoint = failpoint
	return New(Config{Config: cfg, WindowsInFlight: inFlight}, nil, w.folder.Bucket)
}

func (w *world) send(r export.Result) {
	cfg := w.config()
	w.append(message.Result(cfg.TopicPrefix, w.plan, r))
}

func (w *world) append(r *kgo.Record) {
	r.Offset = int64(len(w.log))
	w.log = append(w.log, r)
	w.kinds = append(w.kinds, decoded[export.Result](w.t, r).Kind)
}

func decoded[T any](t *testing.T, r *kgo.Record) *T {
	t.Helper()
	doc := new(T)
	if err := json.Unmarshal(r.Value, doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// handle lets the owner of the partition handle the next record. The transaction may abort.
func (w *world) handle() {
	r := w.log[w.committed]
	out, err := w.processes[w.random.IntN(2)].handle(w.t.Context(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.random.IntN(4) == 0 {
		return
	}
	w.committed++
	for _, r := range out {
		switch strings.TrimPrefix(r.Topic, event.DefaultPrefix) {
		case event.TopicExportResults:
			w.append(r)
		case event.TopicExportWindows:
			w.released = append(w.released, decoded[export.Window](w.t, r).Window)
		case event.TopicExportProgress:
			w.checkProgress(decoded[export.Progress](w.t, r))
		case event.TopicExportCompletions:
			w.completion = append(w.completion, decoded[export.Completion](w.t, r))
		}
	}
}

// checkProgress checks a progress event against the finished windows and the events before it.
func (w *world) checkProgress(p *export.Progress) {
	w.t.Helper()
	var rows int64
	windows := 0
	for _, m := range w.windows {
		if m != nil {
			rows += m.Rows
			windows++
		}
	}
	if p.RowsDone != rows || p.WindowsDone != int64(windows) || p.PercentDone != float64(rows)*100/float64(w.plan.Rows) {
		w.t.Errorf("progress %v%%, %d rows, %d windows; done are %d rows of %d, %d windows", p.PercentDone, p.RowsDone,
			p.WindowsDone, rows, w.plan.Rows, windows)
	}
	if n := len(w.progress); n > 0 && p.PercentDone < w.progress[n-1].PercentDone {
		w.t.Errorf("progress fell from %v to %v", w.progress[n-1].PercentDone, p.PercentDone)
	}
	if len(w.completion) > 0 {
		w.t.Error("progress after the completion")
	}
	w.progress = append(w.progress, p)
}

// pause lets a process that lost its partition start with a record that it polled before, now or
// when it wakes up, and continue when it is resumed. Nothing that it sends is committed.
func (w *world) pause() {
	if w.committed == len(w.log) {
		return
	}
	r := w.log[max(0, w.committed-w.random.IntN(3))]
	z := &zombie{resume: make(chan struct{}), done: make(chan struct{})}
	paused := make(chan struct{}, 1)
	late := w.random.IntN(2) == 0
	if late {
		paused <- struct{}{}
	}
	process := w.newProcess(func(point string) error {
		if point == BeforeManifest && !late {
			paused <- struct{}{}
			<-z.resume
		}
		return nil
	})
	go func() {
		defer close(z.done)
		if late {
			<-z.resume
		}
		if _, err := process.handle(w.t.Context(), r); err != nil {
			w.t.Error(err)
		}
	}()
	select {
	case <-paused:
		w.zombies = append(w.zombies, z)
	case <-z.done:
	}
}

func (w *world) resume() {
	i := w.random.IntN(len(w.zombies))
	close(w.zombies[i].resume)
	<-w.zombies[i].done
	w.zombies = slices.Delete(w.zombies, i, i+1)
}

// extract writes the objects of an attempt at a window.
func (w *world) extract(window int) {
	w.extracted = append(w.extracted, window)
	if w.windows[window] != nil {
		return
	}
	rows := w.plan.Windows[window].Rows
	m := &export.WindowManifest{ID: w.plan.ID, Window: window, Attempt: "a", Rows: rows,
		Vanished: w.random.Int64N(rows + 1)}
	m.RowsUsed = w.random.Int64N(rows - m.Vanished + 1)
	if rest := rows - m.Vanished - m.RowsUsed; rest > 0 {
		m.Dropped = map[string]int64{"no_output": rest}
	}
	m.Records = m.RowsUsed
	names := []string{export.DataName(export.SplitTrain, window, 0, "orphan", "jsonl")}
	if m.RowsUsed > 0 {
		name := export.DataName(export.SplitTrain, window, 0, "a", "jsonl")
		names = append(names, name)
		m.Files = []export.File{{Key: name, Kind: export.Data, Split: export.SplitTrain, Window: window, Records: m.RowsUsed}}
	}
	for _, name := range names {
		if err := w.folder.Bucket.Create(w.t.Context(), w.folder.Key(name), nil); err != nil {
			w.t.Fatal(err)
		}
	}
	if _, err := w.folder.CreateWindow(w.t.Context(), m); err != nil {
		w.t.Fatal(err)
	}
	w.windows[window] = m
}

func take(random *rand.Rand, list *[]int) int {
	i := random.IntN(len(*list))
	taken := (*list)[i]
	*list = slices.Delete(*list, i, i+1)
	return taken
}

// run takes steps until no step is left. Trouble, if any, ends the export before its windows do.
func (w *world) run(trouble *export.Result) {
	for w.committed < len(w.log) || len(w.released)+len(w.extracted)+len(w.zombies) > 0 {
		switch step := w.random.IntN(12); {
		case step < 4 && w.committed < len(w.log):
			w.handle()
		case step < 6 && len(w.released) > 0:
			w.extract(take(w.random, &w.released))
		case step < 8 && len(w.extracted) > 0:
			done := export.Result{Kind: export.WindowDone, Window: take(w.random, &w.extracted)}
			w.send(done)
			if w.random.IntN(6) == 0 {
				w.send(done) // by a second attempt
			}
		case step == 8:
			w.processes[w.random.IntN(2)] = w.newProcess(nil) // a new process has no cache
		case step == 9:
			w.pause()
		case step == 10 && len(w.zombies) > 0:
			w.resume()
		case step == 11 && trouble != nil && w.random.IntN(8) == 0:
			w.send(*trouble)
			trouble = nil
		}
	}
}

// check checks the outcome against the first record that ends an export.
func (w *world) check() {
	want := map[export.ResultKind]export.Status{
		export.AllDone: export.StatusSucceeded, export.Cancelled: export.StatusCancelled,
		export.WindowFailed: export.StatusFailed,
	}
	if len(w.plan.Windows) == 1 {
		want[export.WindowDone] = export.StatusSucceeded
	}
	first := slices.IndexFunc(w.kinds, func(k export.ResultKind) bool { return want[k] != "" })
	if len(w.completion) != 1 || first < 0 {
		w.t.Fatalf("%d completions of %v", len(w.completion), w.kinds)
	}
	c := w.completion[0]
	if c.Status != want[w.kinds[first]] {
		w.t.Errorf("it %s, of %v", c.Status, w.kinds)
	}
	m, text, err := w.folder.Manifest(w.t.Context())
	if err != nil || export.HashText(text) != c.ManifestSHA256 {
		w.t.Fatal("the manifest is not that of the completion", err)
	}
	if _, err := w.folder.Clean(w.t.Context()); err != nil { // removes objects that attempts wrote after the end
		w.t.Fatal(err)
	}
	var listed []string
	for _, f := range m.Files {
		listed = append(listed, f.Key)
	}
	slices.Sort(listed)
	if there := w.files(); !slices.Equal(there, listed) {
		w.t.Errorf("%s: files %v, listed %v", c.Status, there, listed)
	}
	if c.Status != export.StatusSucceeded {
		return
	}
	sum := c.RowsUsed + c.Vanished
	for _, n := range c.Dropped {
		sum += n
	}
	if c.RowsPlanned != w.plan.Rows || sum != w.plan.Rows {
		w.t.Errorf("%d rows planned, %d accounted for, of %d", c.RowsPlanned, sum, w.plan.Rows)
	}
	warned := slices.IndexFunc(c.Warnings, func(x export.Warning) bool {
		return x.Code == export.RowsVanished &&
			x.Count == c.Vanished
	})
	if (warned >= 0) != (c.Vanished > 0) {
		w.t.Errorf("%d rows vanished, warnings %v", c.Vanished, c.Warnings)
	}
	n := len(w.progress)
	if n == 0 && len(w.plan.Windows) == 1 {
		return // its transaction was aborted after the manifest; the completion is checked instead
	}
	if last := w.progress[n-1]; last.PercentDone != 100 {
		w.t.Errorf("it ended at %v%%", last.PercentDone)
	}
}

func (w *world) files() (names []string) {
	objects, err := w.folder.Bucket.List(w.t.Context(), w.folder.Key(""))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range objects {
		name := strings.TrimPrefix(o.Key, w.plan.Prefix())
		if strings.HasPrefix(name, export.DataDir) || strings.HasPrefix(name, export.MetaDir) || name == export.CardName {
			names = append(names, name)
		}
	}
	return names
}

// In any order of results, with aborted transactions, lost caches and paused processes that wake
// up: there is one completion, progress is exact and never falls, and the files of the manifest
// exist.
func TestAnExportEndsOnceAndItsProgressNeverFalls(t *testing.T) {
	t.Parallel()
	b, err := bucket.Open(t.Context(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	base := rand.Uint64N(1 << 40)
	for i := range uint64(300) {
		t.Run(fmt.Sprint("seed ", base+i), func(t *testing.T) {
			w := newWorld(t, b, base+i)
			w.run([]*export.Result{
				nil, nil, {Kind: export.Cancelled},
				{Kind: export.WindowFailed, Error: &export.Error{Code: "read_failed", Message: "m"}},
			}[w.random.IntN(4)])
			w.check()
		})
	}
}
