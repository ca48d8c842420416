package soak

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/local/localtest"
	"github.com/millrace/millrace/pipeline/sample"
)

// Each export of the kill tests has this many windows of this many rows.
const (
	killedWindows    = 20
	killedWindowRows = 40
	exportProcesses  = 3

	defaultConcurrency = 4 // EXPORT_CONCURRENCY
)

// killedPurposes are staged by key, in groups, and with splits and lineage.
var killedPurposes = []string{export.ExportDataset, export.RecipeEvaluation, export.FineTuning}

// An export is asked for, perhaps twice, and perhaps cancelled.
type askedFor struct {
	purpose   string
	runs      []string // of its selection, ascending by started_at and run_id
	cancelled bool
}

// exportKills is a site whose export processes come and go while exports are asked for.
type exportKills struct {
	site   *e2etest.Site
	env    e2etest.Environment
	random *rand.Rand
	client *kgo.Client
	runs   []loadRun
	roles  []*e2etest.Process
	asked  map[string]*askedFor
	known  map[string]bool // members of the groups, when they had settled last
}

func newExportKills(t *testing.T) *exportKills {
	t.Helper()
	k := &exportKills{site: e2etest.NewSite(t), random: e2etest.Random(t), asked: map[string]*askedFor{}}
	cfg := sample.Config{Seed: k.random.Uint64(), Runs: 9000}
	ingest := k.site.Env.Start(t, "ingest")
	k.site.Env.Run(t, "replay", e2etest.SampleFile(t, cfg))
	e2etest.WaitForCounts(t, k.site.Conn, time.Minute, e2etest.SampleRows(cfg))
	ingest.Stop(t)
	k.runs = endedRuns(t, k.site, loadApp, 2*killedWindows*killedWindowRows)
	k.env = append(k.site.Env, fmt.Sprintf("EXPORT_WINDOW_RECORDS=%d", killedWindowRows), "EXPORT_WINDOWS_IN_FLIGHT=8")
	k.client = e2etest.KafkaClient(t, k.site.Kafka)
	for range exportProcesses {
		k.roles = append(k.roles, k.env.Start(t, "export"))
	}
	return k
}

// endedRuns are the runs of an app that an export selects by default, ascending; so many at least.
func endedRuns(t *testing.T, s *e2etest.Site, app string, least int) (runs []loadRun) {
	t.Helper()
	rows, err := s.Conn.Query(t.Context(), "SELECT run_id, started_at FROM runs_latest WHERE app_id = $1 AND status != "+
		"'running' ORDER BY started_at, run_id", app)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var r loadRun
		if err := rows.Scan(&r.id, &r.at); err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r)
	}
	if err := rows.Err(); err != nil || len(runs) < least {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	return runs
}

func (k *exportKills) send(t *testing.T, id export.ID, kind string, data object) {
	t.Helper()
	text, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	e := event.Event{ID: uuid.NewString(), Source: "test", Type: kind, Time: time.Now(), Data: text}
	key := id.Key()
	if kind == export.TypeCancelled && k.random.IntN(2) == 0 { // another key: most often another partition
		key = []byte(uuid.NewString())
	}
	if err := k.client.ProduceSync(t.Context(), e.Record(k.site.Prefix+event.TopicExportRequests, key)).
		FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// file asks for an export of a random part of the runs; one in four is asked for twice, one in five
// cancelled after a while.
func (k *exportKills) file(t *testing.T) {
	t.Helper()
	const rows = killedWindows*killedWindowRows - killedWindowRows/2
	first := k.random.IntN(len(k.runs) - rows)
	from, to := k.runs[first].at, k.runs[first+rows].at
	id := export.ID{WorkspaceID: "default", ExportID: uuid.NewString()}
	asked := &askedFor{cancelled: k.random.IntN(5) == 0, purpose: killedPurposes[k.random.IntN(len(killedPurposes))]}
	for _, run := range k.runs {
		if !run.at.Before(from) && run.at.Before(to) {
			asked.runs = append(asked.runs, run.id)
		}
	}
	k.asked[id.ExportID] = asked
	request := object{
		"export_id": id.ExportID, "workspace_id": id.WorkspaceID, "purpose": asked.purpose, "source": "recipe",
		"app_id":    loadApp,
		"selection": object{"window": export.TimeWindow{By: export.ByStartedAt, From: from, To: to}},
		"fragment":  object{"max_records": 20},
	}
	if asked.purpose == export.FineTuning {
		request["split"], request["options"] = object{"validation": 0.2, "seed": 1}, object{"dedupe": false}
	}
	k.send(t, id, export.TypeRequested, request)
	if k.random.IntN(4) == 0 {
		k.send(t, id, export.TypeRequested, request)
	}
	if asked.cancelled {
		wait(t, time.Duration(k.random.Int64N(int64(2*time.Second))))
		k.send(t, id, export.TypeCancelled, object{"export_id": id.ExportID, "workspace_id": id.WorkspaceID})
	}
}

// settled waits until the processes, of which one is new, are in their groups and no group is
// changing hands. On kfake a member that is killed in such a moment stays in its group, with its
// partitions, for ever; Kafka removes it. On a busy machine a slot of another process may have come
// back under a new id, so that more members than those of the new process are new.
func (k *exportKills) settled(t *testing.T) {
	t.Helper()
	if localtest.OnKafkaCluster() {
		return
	}
	admin := kadm.NewClient(k.client)
	now := map[string]bool{}
	members := map[string]int{"extract": defaultConcurrency, "extract-direct": defaultConcurrency, "seal": 2,
		"track": 1}
	for _, s := range e2etest.ExportStages {
		if s.Topic == event.TopicExportRequests {
			members[s.Stage] = 1
		}
	}
	members["plan-large"] = 2
	e2etest.Eventually(t, 2*time.Minute, func() string {
		for stage, slots := range members {
			name := k.site.Prefix + stage
			groups, err := admin.DescribeGroups(t.Context(), name)
			if err != nil {
				return err.Error()
			}
			g := groups[name]
			fresh := 0
			for _, m := range g.Members {
				if !k.known[m.MemberID] {
					fresh++
				}
			}
			if g.State != "Stable" || len(g.Members) != slots*exportProcesses || len(k.known) > 0 && fresh < slots {
				return fmt.Sprintf("group %s is %s with %d members, %d of them new", name, g.State, len(g.Members), fresh)
			}
			for _, m := range g.Members {
				now[m.MemberID] = true
			}
		}
		return ""
	})
	k.known = now
}

// disturb ends and starts processes, the given number of times at most, while exports are asked
// for, and returns when all have ended.
func (k *exportKills) disturb(t *testing.T, exports, times int, end func(p *e2etest.Process)) {
	t.Helper()
	ended := newEndedExports(t, k.site)
	for i := 0; i < times && (len(k.asked) < exports || ended.count() < exports); i++ {
		for range 1 + exports/min(5, times) {
			if len(k.asked) < exports {
				k.file(t)
			}
		}
		k.settled(t)
		wait(t, time.Duration(k.random.Int64N(int64(time.Second))))
		victim := k.random.IntN(len(k.roles))
		end(k.roles[victim])
		wait(t, time.Duration(k.random.Int64N(int64(500*time.Millisecond))))
		k.roles[victim] = k.env.Start(t, "export")
		t.Logf("process %d of %d ended, with %d of %d exports done", i+1, times, ended.count(), exports)
	}
	ended.wait(t, exports, 3*time.Minute)
}

// check holds what became of each export against what was asked for.
func (k *exportKills) check(t *testing.T) {
	t.Helper()
	for _, s := range e2etest.ExportStages {
		e2etest.WaitConsumed(t, k.site, s.Topic, s.Stage)
	}
	cancelled := 0
	for id, completions := range completionsByExport(t, k.site) {
		if len(completions) != 1 {
			t.Errorf("export %s has %d completions", id, len(completions))
		}
		c, asked := completions[0], k.asked[id]
		switch {
		case asked == nil:
			t.Errorf("export %s was not asked for", id)
		case c.Status == export.StatusCancelled && asked.cancelled:
			cancelled++
			k.leftNothing(t, &c)
		case c.Status != export.StatusSucceeded:
			t.Errorf("export %s: %s: %+v", id, c.Status, c.Failure())
		case asked.purpose == export.FineTuning:
			k.learnt(t, &c, asked)
		default:
			got := e2etest.CheckedRunIDs(t, c)
			if asked.purpose == export.RecipeEvaluation { // in the order of the groups
				slices.Sort(got)
				slices.Sort(asked.runs)
			}
			if !slices.Equal(got, asked.runs) {
				t.Errorf("export %s has %d runs, want %d, in order", id, len(got), len(asked.runs))
			}
		}
	}
	k.droppedStages(t)
	e2etest.WaitForCounts(t, k.site.Conn, 30*time.Second, map[string]uint64{
		"SELECT count() FROM exports":                                        uint64(len(k.asked)),
		"SELECT count() FROM exports WHERE completed_at IS NULL":             0,
		"SELECT count() FROM exports WHERE status = 'cancelled'":             uint64(cancelled),
		"SELECT count() FROM exports WHERE percent_done NOT BETWEEN 0 AND 1": uint64(len(k.asked) - cancelled),
	})
}

// learnt checks that each run of a fine-tuning export is in one line, as its lineage says, or
// dropped.
func (k *exportKills) learnt(t *testing.T, c *export.Completion, asked *askedFor) {
	t.Helper()
	seen := map[string]bool{}
	for _, line := range e2etest.LineageOf(t, c) {
		run := line["run_id"].(string)
		if seen[run] || !slices.Contains(asked.runs, run) {
			t.Errorf("export %s: run %s is there twice, or was not asked for", c.ExportID, run)
		}
		seen[run] = true
	}
	dropped := int64(0)
	for _, n := range c.Dropped {
		dropped += n
	}
	if records := e2etest.RecordsOf(t, c); int64(len(seen)) != c.Records || len(records) != len(seen) || c.Records == 0 ||
		c.Records+dropped != int64(len(asked.runs)) {
		t.Errorf("export %s: %d records of %d runs, %v dropped, want %d", c.ExportID, len(records), len(seen), c.Dropped,
			len(asked.runs))
	}
}

// droppedStages checks that no export that has ended keeps its stage. A process that was killed
// while it planned may have left one that no plan names.
func (k *exportKills) droppedStages(t *testing.T) {
	t.Helper()
	stages := []string{}
	for _, completions := range completionsByExport(t, k.site) {
		p := e2etest.PlanOf(t, &completions[0])
		if p.Snapshot == "" {
			t.Errorf("export %s was not staged", p.ExportID)
		}
		stages = append(stages, p.Snapshot)
	}
	var rows uint64
	if err := k.site.Conn.QueryRow(t.Context(),
		"SELECT countIf(has($1, stage_id)) FROM (SELECT stage_id FROM export_stage UNION ALL SELECT stage_id FROM "+
			"export_stage_rows)", stages).Scan(&rows); err != nil || rows != 0 {
		t.Errorf("%d rows are staged for exports that have ended, %v", rows, err)
	}
}

// leftNothing checks that a cancelled export lists no files and has no card. Fragments that a
// killed process had begun may be there until the janitor comes.
func (k *exportKills) leftNothing(t *testing.T, c *export.Completion) {
	t.Helper()
	var m export.Manifest
	if err := json.Unmarshal(e2etest.ReadObject(t, c, export.ManifestName), &m); err != nil || len(m.Files) != 0 ||
		m.Status != export.StatusCancelled {
		t.Errorf("export %s: status %s, %d files, %v", c.ExportID, m.Status, len(m.Files), err)
	}
	uri, err := url.Parse(c.ManifestURI)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(uri.Path), export.CardName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("export %s was cancelled, and its card: %v", c.ExportID, err)
	}
}

// completionsByExport are those that a read_committed consumer finds.
func completionsByExport(t *testing.T, s *e2etest.Site) map[string][]export.Completion {
	t.Helper()
	all := map[string][]export.Completion{}
	for _, r := range s.ReadTopic(t, event.TopicExportCompletions) {
		if !r.Attrs.IsControl() {
			c := e2etest.ParseCompletion(t, r)
			all[c.ExportID] = append(all[c.ExportID], c)
		}
	}
	return all
}

func TestKillingExportProcessesCompletesEachExportOnce(t *testing.T) {
	t.Parallel()
	k := newExportKills(t)
	k.disturb(t, e2etest.Kills(20, 100), e2etest.Kills(8, 60), (*e2etest.Process).Kill)
	k.check(t)
}

// Rebalances alone: nothing is killed, partitions change hands.
func TestExportProcessesThatComeAndGoCompleteEachExportOnce(t *testing.T) {
	t.Parallel()
	k := newExportKills(t)
	k.disturb(t, e2etest.Kills(10, 50), e2etest.Kills(8, 40), func(p *e2etest.Process) {
		e2etest.Eventually(t, time.Minute, func() string { // until then a signal ends it at once
			if p.Log() == "" {
				return "the process has not begun"
			}
			return ""
		})
		if code, took := p.Stop(t); code != 0 || took > 10*time.Second {
			t.Errorf("SIGTERM: exit code %d after %s", code, took)
		}
	})
	k.check(t)
}
