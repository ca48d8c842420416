package live_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/kafka/kafkatest"
)

// A batch that decompresses too far must not hide what follows it, nor keep a server from being
// ready.
func TestABatchThatDecompressesTooFarIsPassedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	oversize := func(topic string) {
		for partition := range int32(3) {
			kafkatest.ProduceOversize(t, event.DefaultPrefix+topic, partition, kgo.SeedBrokers(w.kafka.ListenAddrs()...))
		}
	}
	oversize(event.TopicExportRequests)
	e := w.server()
	w.mustFile(e, "e1")
	p := w.plan("e1", time.Now())
	oversize(event.TopicExportProgress)
	w.progress(p, 1)
	w.status(e, "e1", export.StatusRunning)
	oversize(event.TopicExportCompletions)
	w.end(p, export.StatusSucceeded)
	w.status(e, "e1", export.StatusSucceeded)
	w.mustFile(e, "e2")
	w.status(w.server(), "e2", export.StatusAccepted) // and with a server that starts later
}
