package commands

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
)

// Requests and cancels are in different partitions, in both orders. Every export is cancelled, and nothing is a dead letter.
func TestACancelInAnotherPartitionReachesItsExport(t *testing.T) {
	t.Parallel()
	s := exportSite(t)
	slowDown(t, s) // no export ends by itself
	client := e2etest.KafkaClient(t, s.Kafka, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	send := func(partition int32, value string) {
		t.Helper()
		r := &kgo.Record{Topic: s.Prefix + event.TopicExportRequests, Partition: partition, Value: []byte(value)}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	var ids []string
	for i := range int32(6) {
		id := fmt.Sprintf("e-%d", i)
		ids = append(ids, id)
		file := func() {
			send(i, fmt.Sprintf(`{"export_id":%q,"workspace_id":"acme","purpose":"export_dataset","source":"copilot",`+
				`"app_id":"a","selection":{"limit":1000}}`, id))
		}
		cancel := func() {
			send((i+3)%6, fmt.Sprintf(`{"type":"dev.millrace.export.cancelled.v1","export_id":%q,"workspace_id":"acme"}`, id))
		}
		if i%2 == 0 {
			file()
			cancel()
		} else {
			cancel()
			file()
		}
	}
	s.Env.Start(t, "export")
	for _, id := range ids {
		e2etest.Eventually(t, time.Minute, func() string {
			got := s.Env.Try(t, "", "exports", "show", id, "--json")
			if !strings.Contains(got.Stdout, `"status":"cancelled"`) {
				return id + ": " + got.Stdout + got.Stderr
			}
			return ""
		})
	}
	if got := s.Env.Try(t, "", "dead-letters", "ls"); got.Code != 0 || strings.Contains(got.Stdout, "unknown_export") {
		t.Errorf("dead letters: exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
}
