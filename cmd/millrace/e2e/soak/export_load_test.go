package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/sample"
)

// An export of the load has from one window, read directly, to this many, which are staged.
const (
	loadWindows    = 4
	loadWindowRows = 100 // at most
	loadRows       = loadWindows * loadWindowRows
	loadPause      = 700 * time.Millisecond // between the exports that are filed
	loadOpen       = 60                     // exports that have not ended, at most: a slow machine gets no more
)

// exportLoad files exports one after another, for two export processes, until it is checked.
type exportLoad struct {
	site  *e2etest.Site
	runs  []loadRun // those of one app, by started_at
	roles []*e2etest.Process
	stop  chan struct{}
	filed chan map[string][]string // when the last one is: the run ids of each export
}

type loadRun struct {
	id string
	at time.Time
}

const loadApp = "knowledge-answer"

func newExportLoad(t *testing.T, random *rand.Rand) *exportLoad {
	t.Helper()
	l := &exportLoad{site: e2etest.NewSite(t), stop: make(chan struct{}), filed: make(chan map[string][]string, 1)}
	cfg := sample.Config{Seed: random.Uint64(), Runs: 4000}
	ingest := l.site.Env.Start(t, "ingest")
	l.site.Env.Run(t, "replay", e2etest.SampleFile(t, cfg))
	e2etest.WaitForCounts(t, l.site.Conn, time.Minute, e2etest.SampleRows(cfg))
	ingest.Stop(t)
	l.runs = endedRuns(t, l.site, loadApp, 2*loadRows)
	env := append(l.site.Env, fmt.Sprintf("EXPORT_WINDOW_RECORDS=%d", loadWindowRows))
	for range 2 {
		l.roles = append(l.roles, env.Start(t, "export"))
	}
	client := e2etest.KafkaClient(t, l.site.Kafka)
	seed := random.Uint64()
	ended := newEndedExports(t, l.site)
	go func() { l.filed <- l.file(t, client, ended, rand.New(rand.NewPCG(seed, 0))) }()
	newEndedExports(t, l.site).wait(t, 1, time.Minute)
	return l
}

// file files exports of random windows of the runs until the load is stopped.
func (l *exportLoad) file(t *testing.T, client *kgo.Client, ended *endedExports, random *rand.Rand,
) map[string][]string {
	want := map[string][]string{}
	tick := time.NewTicker(loadPause)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			if err := client.Flush(t.Context()); err != nil {
				t.Error(err)
			}
			return want
		case <-t.Context().Done():
			return want
		case <-tick.C:
		}
		if len(want)-ended.count() >= loadOpen {
			continue
		}
		first := random.IntN(len(l.runs) - loadRows)
		from, to := l.runs[first].at, l.runs[first+10+random.IntN(loadRows-10)].at
		id := export.ID{WorkspaceID: "default", ExportID: uuid.NewString()}
		data, err := json.Marshal(object{
			"export_id": id.ExportID, "workspace_id": id.WorkspaceID, "purpose": "export_dataset", "source": "recipe",
			"app_id":    loadApp,
			"selection": object{"window": export.TimeWindow{By: export.ByStartedAt, From: from, To: to}},
			"fragment":  object{"max_records": 50},
		})
		if err != nil {
			t.Error(err)
			return want
		}
		e := event.Event{ID: uuid.NewString(), Source: "test", Type: export.TypeRequested, Time: time.Now(), Data: data}
		client.Produce(t.Context(), e.Record(l.site.Prefix+event.TopicExportRequests, id.Key()),
			func(_ *kgo.Record, err error) {
				if err != nil && t.Context().Err() == nil {
					t.Errorf("file an export: %v", err)
				}
			})
		for _, run := range l.runs {
			if !run.at.Before(from) && run.at.Before(to) {
				want[id.ExportID] = append(want[id.ExportID], run.id)
			}
		}
	}
}

// check files no more exports and waits until all have ended: each has one completion, and exactly
// the runs that were asked for, in files that are as the manifest says.
func (l *exportLoad) check(t *testing.T) {
	t.Helper()
	close(l.stop)
	want := <-l.filed
	newEndedExports(t, l.site).wait(t, len(want), 4*time.Minute)
	for _, s := range e2etest.ExportStages {
		e2etest.WaitConsumed(t, l.site, s.Topic, s.Stage)
	}
	for _, p := range l.roles {
		if code, took := p.Stop(t); code != 0 || took > 10*time.Second {
			t.Errorf("SIGTERM: exit code %d after %s", code, took)
		}
	}
	var slowest time.Duration
	for id, completions := range completionsByExport(t, l.site) {
		if len(completions) != 1 {
			t.Errorf("export %s has %d completions", id, len(completions))
		}
		c := completions[0]
		if c.Status != export.StatusSucceeded {
			t.Errorf("export %s: %s: %+v", id, c.Status, c.Failure())
			continue
		}
		slowest = max(slowest, c.CompletedAt.Sub(c.RequestedAt))
		got := e2etest.CheckedRunIDs(t, c)
		slices.Sort(got)
		slices.Sort(want[id])
		if !slices.Equal(got, want[id]) {
			t.Errorf("export %s has %d runs that are not the %d asked for", id, len(got), len(want[id]))
		}
	}
	t.Logf("%d exports, the slowest took %s", len(want), slowest.Round(time.Millisecond))
}

// endedExports are the exports that have ended, as a consumer that goes on finds them.
type endedExports struct {
	client *kgo.Client
	ids    map[string]bool
}

func newEndedExports(t *testing.T, s *e2etest.Site) *endedExports {
	t.Helper()
	return &endedExports{endsOf(t, s).client, map[string]bool{}}
}

// count returns how many exports have ended.
func (e *endedExports) count() int {
	e.add(e.client.PollFetches(nil)) //nolint:staticcheck // nil: only what was fetched already
	return len(e.ids)
}

func (e *endedExports) add(fetches kgo.Fetches) {
	for _, r := range fetches.Records() {
		e.ids[string(r.Key)] = true
	}
}

// wait waits until n exports have ended, each within this time of the one before.
func (e *endedExports) wait(t *testing.T, n int, within time.Duration) {
	t.Helper()
	for len(e.ids) < n {
		before := len(e.ids)
		ctx, cancel := context.WithTimeout(t.Context(), within)
		for len(e.ids) == before && ctx.Err() == nil {
			e.add(e.client.PollFetches(ctx))
		}
		cancel()
		if len(e.ids) == before {
			t.Fatalf("no export has ended for %s: %d of %d have", within, before, n)
		}
	}
}
