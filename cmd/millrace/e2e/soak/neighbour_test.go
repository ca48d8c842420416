package soak

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/sample"
)

// A hostile workspace files large exports without end, and requests that ClickHouse would refuse.
// A small workspace beside it, which has another lane of plan, gets its exports meanwhile. The aim is a
// median under 5 times that of an idle system, and under 500 ms, and a dry run under a second; the times
// are logged, since a test is no place to judge them.
func TestAHostileWorkspaceLeavesOthersTheirExports(t *testing.T) {
	t.Parallel()
	rounds := e2etest.Scale(3, 30)
	s := e2etest.NewSite(t)
	cfg := sample.Config{Seed: 1, Runs: e2etest.Scale(1000, 40_000), Workspaces: []string{"hostile", "small"}, Plain: true}
	ingest := s.Env.Start(t, "ingest")
	s.Env.Run(t, "replay", e2etest.SampleFile(t, cfg))
	e2etest.WaitForCounts(t, s.Conn, time.Minute, e2etest.SampleRows(cfg))
	ingest.Stop(t)
	append(s.Env, "EXPORT_WINDOW_RECORDS=100").Start(t, "export")
	server := append(s.Env, "HTTP_ADDR=127.0.0.1:0").Start(t, "serve")
	api := e2etest.Endpoint{URL: e2etest.WaitReady(t, server)}.In("small")
	client := e2etest.KafkaClient(t, s.Kafka)
	ended := newEndedExports(t, s)

	file := func(workspace, id string, selection, filters object) {
		e := event.Event{ID: id, Source: "test", Type: export.TypeRequested, Time: time.Now(), Data: []byte(
			e2etest.JSONText(t, object{"export_id": id, "workspace_id": workspace, "purpose": "export_dataset",
				"source": "recipe", "app_id": loadApp, "selection": selection, "filters": filters}))}
		r := e.Record(s.Prefix+event.TopicExportRequests, []byte(workspace+"/"+id))
		client.Produce(t.Context(), r, func(_ *kgo.Record, err error) {
			if err != nil && t.Context().Err() == nil {
				t.Errorf("file export %s of %s: %v", id, workspace, err)
			}
		})
	}
	hostileFiled := 0
	attack := func(n int) {
		labels := object{}
		for i := range 4000 {
			labels[fmt.Sprint("label-", i)] = "x"
		}
		for range n {
			filters := object{}
			if hostileFiled%10 == 9 {
				filters["metadata"] = labels
			}
			hostileFiled++
			file("hostile", fmt.Sprint("h", hostileFiled), object{"limit": 1_000_000}, filters)
		}
	}
	var dryRuns []time.Duration
	measure := func(name string, rounds int, before func()) time.Duration {
		var took []time.Duration
		dryRuns = nil
		for i := range rounds {
			before()
			began := time.Now()
			api.Call(t, "POST", "/v1/exports/dry-run", object{"purpose": "export_dataset", "source": "recipe",
				"app_id": loadApp, "selection": object{"limit": 50}}).Want(t, http.StatusOK)
			dryRuns = append(dryRuns, time.Since(began))
			id := fmt.Sprint(name, i)
			began = time.Now()
			file("small", id, object{"limit": 50}, object{})
			for n := len(ended.ids); !ended.ids["small/"+id]; n = len(ended.ids) {
				ended.wait(t, n+1, time.Minute)
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		slices.Sort(dryRuns)
		return took[len(took)/2]
	}
	measure("warm", 1, func() {}) // the first exports wait for connections
	idle := measure("idle", rounds, func() {})
	attack(150)
	busy := measure("busy", rounds, func() { attack(10) })
	hostileEnded := 0
	for id := range ended.ids {
		if strings.HasPrefix(id, "hostile/") {
			hostileEnded++
		}
	}
	t.Logf("median of an export of the small workspace: %s idle, %s beside the hostile one, %.1f times; of a dry "+
		"run beside it %s; of %d hostile requests %d have ended", idle.Round(time.Millisecond), busy.Round(time.Millisecond),
		float64(busy)/float64(idle), dryRuns[len(dryRuns)/2].Round(time.Millisecond), hostileFiled, hostileEnded)
	if export.PlanLane("hostile") == export.PlanLane("small") {
		t.Error("the two have the same lane")
	}
	if hostileEnded >= hostileFiled {
		t.Error("the hostile workspace has nothing left to do: it was no load")
	}
	partitions := map[int32]int{}
	for _, r := range s.ReadTopic(t, event.TopicExportWindows) {
		if strings.HasPrefix(string(r.Key), "hostile/") {
			partitions[r.Partition]++
		}
	}
	if len(partitions) == 0 || len(partitions) > 4 {
		t.Errorf("the windows of the hostile workspace are in partitions %v", partitions)
	}
}
