package kafka_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/kafka/kafkatest"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

// The client fetches a batch that it cannot decompress again and again, thousands of times a
// second.
func TestADamagedBatchIsNamedAndDoesNotFloodTheLog(t *testing.T) {
	t.Parallel()
	cfg := config(t, localtest.Kafka(t, kfake.SeedTopics(1, "t.in")))
	client, err := kgo.NewClient(append(cfg.GroupOptions(), kgo.ConsumeTopics("t.in"), kgo.DisableAutoCommit())...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	before := []*kgo.Record{{Topic: "t.in", Value: []byte("0")}, {Topic: "t.in", Value: []byte("1")}}
	if err := client.ProduceSync(t.Context(), before...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	kafkatest.ProduceDamaged(t, "t.in", cfg.Options...)
	var log strings.Builder
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var began time.Time
	for n := 0; n < 3 && ctx.Err() == nil; {
		faults := cfg.Faults(ctx, client, client.PollFetches(ctx))
		if n += len(faults.Transient); n > 0 && began.IsZero() {
			began = time.Now()
		}
	}
	if took := time.Since(began); took < 400*time.Millisecond {
		t.Errorf("two more attempts took %v", took)
	}
	for _, text := range []string{"topic=t.in", "partition=0", "offset=2", "unable to decompress"} {
		if strings.Count(log.String(), text) != 3 {
			t.Errorf("the log does not contain %q three times: %s", text, log.String())
		}
	}
}
