package flow_test

import (
	"fmt"
	"hash/crc32"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/plan"
	"github.com/millrace/millrace/pipeline/stage"
)

// A request and its cancel come from clients with different partitioners, in both orders, and plan
// crashes between every two of its steps. Each export is cancelled, once.
func TestACancelReachesItsExportWhateverThePartitions(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	const partitions = 4
	admin := kadm.NewClient(f.client)
	if _, err := admin.UpdatePartitions(t.Context(), partitions, topic(event.TopicExportRequests)); err != nil {
		t.Fatal(err)
	}
	// Windows wait, so that no export ends before its cancel is read.
	ended := make(chan struct{})
	var mu sync.Mutex
	crashes := map[string]int{}
	f.failpoint = func(at, point string) error {
		if at == export.StageExtract {
			select {
			case <-ended:
			case <-t.Context().Done():
			}
		}
		mu.Lock()
		defer mu.Unlock()
		// A crash at stage.BeforeCommit leaves a transaction open, for which Kafka waits 10 s.
		if at == export.StagePlan && point != stage.BeforeCommit && crashes[point] == 0 {
			crashes[point]++
			return errCrash
		}
		return nil
	}
	f.insertRuns(50)
	f.start()
	byCRC32 := kgo.StickyKeyPartitioner(kgo.SaramaHasher(crc32.ChecksumIEEE))
	partitioners := map[string]kgo.Partitioner{
		"murmur2": kgo.StickyKeyPartitioner(nil), "crc32": byCRC32, "fixed": kgo.ManualPartitioner(),
	}
	clients := map[string]*kgo.Client{}
	for name, p := range partitioners {
		clients[name] = f.newClient(kgo.RecordPartitioner(p))
	}
	send := func(client, id, value string) {
		r := &kgo.Record{Topic: topic(event.TopicExportRequests), Key: []byte("acme/" + id), Value: []byte(value)}
		if err := clients[client].ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	var asked []string
	for requester := range clients {
		for canceller := range clients {
			for _, first := range []string{"request", "cancel"} {
				id := fmt.Sprintf("%s-%s-%s", requester, canceller, first)
				asked = append(asked, id)
				request := func() { send(requester, id, request(id, limit1000)) }
				cancel := func() {
					send(canceller, id, `{"type":"`+export.TypeCancelled+`","export_id":"`+id+`","workspace_id":"acme"}`)
				}
				if first == "request" {
					request()
					cancel()
				} else {
					cancel()
					request()
				}
			}
		}
	}
	for _, id := range asked {
		f.poll("completion of "+id, func() bool { return len(f.completions(id)) > 0 })
	}
	close(ended)
	f.completion(asked[0])
	for _, id := range asked {
		if list := f.completions(id); len(list) != 1 || list[0].Status != export.StatusCancelled {
			t.Errorf("%s: %d completions, the first %s", id, len(list), list[0].Status)
		}
	}
	if n := len(f.seen[event.TopicDeadLetters]); n > 0 {
		t.Errorf("%d dead letters", n)
	}
	for _, point := range []string{plan.AfterPlan, plan.AfterCancel, plan.BeforeCommit} {
		if crashes[point] != 1 {
			t.Errorf("plan crashed %d times %s", crashes[point], point)
		}
	}
}
