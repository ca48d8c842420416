package live_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/kafka/kafkatest"
)

// A batch that decompresses too far must not hide what follows it, nor keep a server from being
// ready.
func TestABatchThatDecompressesTooFarIsPassedOver(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the race detector makes the batches twenty times as slow")
	}
	t.Parallel()
	w := newWorld(t)
	oversize := func(topic string, codec kgo.CompressionCodec) {
		for partition := range int32(3) {
			kafkatest.ProduceOversize(t, event.DefaultPrefix+topic, partition, kgo.SeedBrokers(w.kafka.ListenAddrs()...),
				kgo.ProducerBatchCompression(codec))
		}
	}
	size := "8388608" // as `millrace topics` sets it
	if _, err := kadm.NewClient(w.client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes",
		Value: &size}}, event.DefaultPrefix+event.TopicExportRequests); err != nil {
		t.Fatal(err)
	}
	oversize(event.TopicExportRequests, kgo.SnappyCompression())
	e := w.server()
	counted := w.registry // of this server
	w.mustFile(e, "e1")
	p := w.plan("e1", time.Now())
	oversize(event.TopicExportProgress, kgo.ZstdCompression())
	w.progress(p, 1)
	w.status(e, "e1", export.StatusRunning)
	oversize(event.TopicExportCompletions, kgo.Lz4Compression())
	w.end(p, export.StatusSucceeded)
	w.status(e, "e1", export.StatusSucceeded)
	if n := refused(t, counted); n != 9 {
		t.Errorf("the server counts %v batches, want 9", n)
	}
	w.mustFile(e, "e2")
	w.status(w.server(), "e2", export.StatusAccepted) // and with a server that starts later
}

// refused returns how many batches a server has counted.
func refused(t *testing.T, registry *prometheus.Registry) (n float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "millrace_stage_errors_total" && l.GetName() == "class" && l.GetValue() == "row" {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}
