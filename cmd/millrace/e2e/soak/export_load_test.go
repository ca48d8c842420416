package soak

import (
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
	go func() { l.filed <- l.file(t, client, rand.New(rand.NewPCG(seed, 0))) }()
	e2etest.Eventually(t, time.Minute, func() string {
		if len(completionsByExport(t, l.site)) == 0 {
			return "no export has ended"
		}
		return ""
	})
	return l
}

// file files exports of random windows of the runs until the load is stopped.
func (l *exportLoad) file(t *testing.T, client *kgo.Client, random *rand.Rand) map[string][]string {
	want, ended := map[string][]string{}, map[string]bool{}
	completions := endsOf(t, l.site).client
	tick := time.NewTicker(loadPause)
	defer tick.Stop()
	for {
		for _, r := range completions.PollFetches(nil).Records() { //nolint:staticcheck // nil: those that are there
			ended[string(r.Key)] = true
		}
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
		if len(want)-len(ended) >= loadOpen {
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
	e2etest.Eventually(t, 4*time.Minute, func() string {
		if ended := len(completionsByExport(t, l.site)); ended != len(want) {
			return fmt.Sprintf("%d of %d exports have ended", ended, len(want))
		}
		return ""
	})
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
