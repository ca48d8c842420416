package flow_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ClickHouse/ch-go"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/dryrun"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/stage"
	"github.com/millrace/millrace/sinks/runstore"
)

// laggard is a barrier whose replica lags: each time, some calls find it behind before it catches up.
type laggard struct {
	behind  int // of such calls
	catchUp func(passed int)

	mu     sync.Mutex
	calls  map[string]int // since the last that passed, by the first of their tables
	passed []string       // the first tables of the calls that passed
}

// pin is a setting that no query of ours has without a barrier.
var pin = ch.Setting{Key: "load_balancing", Value: "in_order", Important: true}

func (l *laggard) Pass(_ context.Context, tables []string) ([]ch.Setting, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	about := tables[0]
	if l.calls == nil {
		l.calls = map[string]int{}
	}
	if l.calls[about]++; l.calls[about] <= l.behind {
		return nil, fmt.Errorf("%w: as the test wants", clickhouse.ErrBehind)
	}
	l.calls[about] = 0
	if l.catchUp != nil {
		l.catchUp(len(l.passed))
	}
	l.passed = append(l.passed, about)
	return []ch.Setting{pin}, nil
}

// checkWaited checks which stages told that an export waits. Each tells again after a few seconds.
func (f *flow) checkWaited(id string, stages ...string) {
	f.t.Helper()
	var told []string
	for _, p := range f.progress(id) {
		if r := p.Retrying; r != nil && r.Code == export.ReplicaBehind && strings.Contains(r.Message, "caught up") &&
			r.Attempts == 1 {
			told = append(told, r.Stage)
		}
	}
	if told = slices.Compact(told); !slices.Equal(told, stages) {
		f.t.Errorf("%s: %s told that they wait for a replica, want %s", id, told, stages)
	}
}

// The rows are on the replica that is read only once the barrier lets plan pass, and the snapshot once it
// lets extract pass. Each statement has the settings of the barrier.
func TestALargeExportWaitsForReplicasThatLag(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.windowRecords, f.windowsInFlight = 50, 1
	sent := new(lockedBuffer)
	direct := f.dsn
	lag := &laggard{behind: 1, catchUp: func(passed int) {
		switch passed {
		case 0:
			f.insertRuns(120)
		case 4:
			f.exec("ALTER TABLE export_stage ATTACH PARTITION ALL")
		}
	}}
	f.dsn = f.tapped(direct.Addr(), sent, math.MaxInt64, func() bool { return true }).Behind(lag)
	f.failpoint = func(at, point string) error {
		if at == export.StagePlan && point == stage.BeforeCommit && len(lag.passed) == 4 {
			f.exec("ALTER TABLE export_stage DETACH PARTITION ALL")
		}
		return nil
	}
	f.start()
	f.send(request("e1", inWindows(120)))
	f.poll("completion", func() bool { return len(f.completions("e1")) > 0 })
	c := f.completions("e1")[0]
	if _, got := f.verify(c); !slices.Equal(got, lastRuns(120, 120)) || c.Vanished != 0 {
		t.Errorf("%s with %d records", describe(c), len(got))
	}
	// Before the count, twice since the rows were not there at first; before the selection is frozen; before the
	// snapshot is cut; and before each of its three windows is read.
	if want := []string{"runs", "runs", "runs", "export_stage", "runs", "runs", "runs"}; !slices.Equal(lag.passed, want) {
		t.Errorf("the barrier was passed for %s, want %s", lag.passed, want)
	}
	f.checkWaited("e1", "plan", "extract")
	for _, comment := range []string{"millrace plan of export acme/e1", "millrace extract window"} {
		queries := strings.Split(sent.String(), comment)[1:]
		for _, query := range queries {
			settings, _, _ := strings.Cut(query, "SELECT")
			if !strings.Contains(settings, pin.Key) {
				t.Errorf("a query of %q lacks the settings of the barrier: %.3000q", comment, query)
			}
		}
		if len(queries) < 4 {
			t.Errorf("%d queries of %q", len(queries), comment)
		}
	}
}

// lockedBuffer is a buffer that several connections write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// An export of one window is what extract reads. So rows count that the replica of extract gets, and lag
// does not make it read fewer rows than were there.
func TestASmallExportWaitsForReplicasThatLag(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.insertRuns(10)
	lag := &laggard{behind: 1, catchUp: func(passed int) { f.insertRuns(20 + 10*passed) }}
	f.dsn = f.dsn.Behind(lag)
	f.start()
	f.send(request("e1", limit1000))
	f.poll("completion", func() bool { return len(f.completions("e1")) > 0 })
	if c := f.completions("e1")[0]; c.Status != export.StatusSucceeded || c.Records != 30 {
		t.Errorf("%s with %d records", describe(c), c.Records)
	}
	if !slices.Equal(lag.passed, []string{"runs", "runs"}) {
		t.Errorf("the barrier was passed for %s", lag.passed)
	}
	f.checkWaited("e1", "plan", "extract")
}

// A dry run does not wait: whoever asked can ask again.
func TestADryRunSaysThatReplicasLag(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	dsn := f.dsn.Behind(&laggard{behind: 1, catchUp: func(int) { f.insertRuns(20) }})
	r, err := export.ParseRequest([]byte(request("e1", limit1000)))
	if err != nil {
		t.Fatal(err)
	}
	if d, err := dryrun.Run(t.Context(), dsn, r, 1000); !errors.Is(err, clickhouse.ErrBehind) ||
		!strings.Contains(err.Error(), "doctor") {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := dryrun.Run(t.Context(), dsn, r, 1000); err != nil || d.Rows != 20 || d.Read != 20 {
		t.Errorf("%+v, %v", d, err)
	}
}

// The time in which replicas lag is not the request's, and a statement that would have been answered by a
// replica that lags is one that is tried again.
func TestWaitingForReplicasSpendsNothing(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.windowRecords = 50
	f.insertRuns(120)
	fences := &fences{first: 3}
	f.dsn = f.dsn.Behind(fences)
	f.planning = 1 // the least: an attempt that spends anything is the last
	f.start()
	f.send(request("e1", inWindows(120)))
	c := f.completion("e1")
	if c.Status != export.StatusFailed || !strings.Contains(c.Failure().Message, "selected within") {
		t.Errorf("%s: %+v", describe(c), c.Failure())
	}
	if fences.calls <= fences.first {
		t.Errorf("%d attempts", fences.calls)
	}
}

// fences is a barrier that all pass. The first statements meet a fence.
type fences struct{ first, calls int }

func (b *fences) Pass(context.Context, []string) ([]ch.Setting, error) {
	if b.calls++; b.calls > b.first {
		return nil, nil
	}
	return []ch.Setting{{Key: "additional_table_filters", Important: true,
		Value: `{'runs':'CAST(\'elsewhere\', \'Enum8(\\\'here\\\')\') IS NOT NULL'}`}}, nil
}

// A server that is down would hold the statement until its time is over.
func TestDroppingASnapshotWaitsForServersThatAnswer(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	for cluster, want := range map[string]bool{"": false, "c": true} {
		sent := new(lockedBuffer)
		dsn := f.tapped(f.dsn.Addr(), sent, math.MaxInt64, func() bool { return true })
		err := selection.DropSnapshot(t.Context(), dsn, cluster, &export.Plan{Snapshot: "snapshot"})
		if (err == nil) != (cluster == "") { // this server has no cluster
			t.Errorf("cluster %q: %v", cluster, err)
		}
		if got := strings.Contains(sent.String(), "distributed_ddl_output_mode"); got != want ||
			want && !strings.Contains(sent.String(), "none_only_active") {
			t.Errorf("cluster %q: the mode was sent: %t", cluster, got)
		}
	}
}

func TestInsertsWaitForTheQuorumThatIsConfigured(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	for quorum, want := range map[int]int{0: 0, 2: 2} { // the row, and one that hides the row before
		sent := new(lockedBuffer)
		store := runstore.New(f.tapped(f.dsn.Addr(), sent, math.MaxInt64, func() bool { return true }))
		defer store.Close()
		store.Quorum(quorum)
		for i := range 2 { // the second has another key, and hides the first
			r := &runs.Run{WorkspaceID: "acme", RunID: fmt.Sprint("r", quorum), Source: "recipe", AppID: fmt.Sprint("app", i),
				Status: "succeeded", StartedAt: day, UpdatedAt: day.AddDate(0, 0, i)}
			if refused, err := store.InsertRuns(t.Context(), []*runs.Run{r}); err != nil || refused != nil {
				t.Fatal(refused, err)
			}
		}
		if got := strings.Count(sent.String(), "insert_quorum_timeout"); (got > 0) != (want > 0) || got > 0 && got != want+1 {
			t.Errorf("quorum %d: %d statements wait for it", quorum, got)
		}
	}
}
