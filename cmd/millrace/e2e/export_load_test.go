package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

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
)

// exportLoad files exports one after another, for two export processes, until it is checked.
type exportLoad struct {
	site  *site
	runs  []loadRun // those of one app, by started_at
	roles []*process
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
	l := &exportLoad{site: newSite(t), stop: make(chan struct{}), filed: make(chan map[string][]string, 1)}
	cfg := sample.Config{Seed: random.Uint64(), Runs: 4000}
	ingest := l.site.env.start(t, "ingest")
	l.site.env.run(t, "replay", sampleFile(t, cfg))
	counted(t, l.site.conn, time.Minute, sampleRows(cfg))
	ingest.stop(t)
	l.runs = endedRuns(t, l.site, loadApp, 2*loadRows)
	env := append(l.site.env, fmt.Sprintf("EXPORT_WINDOW_RECORDS=%d", loadWindowRows))
	for range 2 {
		l.roles = append(l.roles, env.start(t, "export"))
	}
	client := kafkaClient(t, l.site.kafka)
	seed := random.Uint64()
	go func() { l.filed <- l.file(t, client, rand.New(rand.NewPCG(seed, 0))) }()
	eventually(t, time.Minute, func() string {
		if len(completionsByExport(t, l.site)) == 0 {
			return "no export has ended"
		}
		return ""
	})
	return l
}

// file files exports of random windows of the runs until the load is stopped.
func (l *exportLoad) file(t *testing.T, client *kgo.Client, random *rand.Rand) map[string][]string {
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
		client.Produce(t.Context(), e.Record(l.site.prefix+event.TopicExportRequests, id.Key()),
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
	eventually(t, 4*time.Minute, func() string {
		if ended := len(completionsByExport(t, l.site)); ended != len(want) {
			return fmt.Sprintf("%d of %d exports have ended", ended, len(want))
		}
		return ""
	})
	for _, s := range exportStages {
		consumed(t, l.site, s.topic, s.stage)
	}
	for _, p := range l.roles {
		if code, took := p.stop(t); code != 0 || took > 10*time.Second {
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
		got := exported(t, c)
		slices.Sort(got)
		slices.Sort(want[id])
		if !slices.Equal(got, want[id]) {
			t.Errorf("export %s has %d runs that are not the %d asked for", id, len(got), len(want[id]))
		}
	}
	t.Logf("%d exports, the slowest took %s", len(want), slowest.Round(time.Millisecond))
}

// exported returns the run ids of an export's records, after checking its files against the
// manifest.
func exported(t *testing.T, c export.Completion) (ids []string) {
	t.Helper()
	uri, err := url.Parse(c.ManifestURI)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(uri.Path)
	if err != nil {
		t.Fatal(err)
	}
	var m export.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	if sum(text) != c.ManifestSHA256 || m.Status != export.StatusSucceeded || m.ExportID != c.ExportID {
		t.Errorf("export %s: the manifest is not that of the completion", c.ExportID)
	}
	for _, f := range m.Files {
		body, err := os.ReadFile(filepath.Join(filepath.Dir(uri.Path), filepath.FromSlash(f.Key)))
		if err != nil {
			t.Error(err)
			continue
		}
		if sum(body) != f.SHA256 || int64(len(body)) != f.Bytes {
			t.Errorf("export %s: %s is not as the manifest says", c.ExportID, f.Key)
		}
		if f.Kind != export.Data {
			continue
		}
		lines := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
		if int64(len(lines)) != f.Records {
			t.Errorf("export %s: %s has %d records, the manifest says %d", c.ExportID, f.Key, len(lines), f.Records)
		}
		for _, l := range lines {
			ids = append(ids, parse(t, l)["run_id"].(string))
		}
	}
	return ids
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
