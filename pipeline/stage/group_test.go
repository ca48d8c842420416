package stage

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/pipeline/kafka"
)

func TestAMemberThatTheGroupForgotJoinsAgainWithItsSession(t *testing.T) {
	t.Parallel()
	c := cluster(t, 1)
	forgotten := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true, Err: kerr.UnknownMemberID,
		Count: 1})
	cfg := config(t, c)
	stop := start(t, New(cfg, copyTo(out)))
	produce(t, c, &kgo.Record{Topic: in, Value: []byte("before")})
	consumer := reader(t, c, out)
	read(t, consumer, 1)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); forgotten.Hits() == 0; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("no heartbeat")
		}
	}
	produce(t, c, &kgo.Record{Topic: in, Value: []byte("after")})
	if got := values(read(t, consumer, 1)); got[0] != "after" {
		t.Errorf("got %v", got)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	families, err := cfg.Metrics.(*prometheus.Registry).Gather()
	if err != nil {
		t.Fatal(err)
	}
	renewed := -1.0
	for _, f := range families {
		if f.GetName() == "millrace_stage_sessions_renewed_total" {
			renewed = f.Metric[0].GetCounter().GetValue()
		}
	}
	if renewed != 0 {
		t.Errorf("%v sessions were renewed", renewed)
	}
}

func TestOnlyALossOfPartitionsDiscardsPolledRecords(t *testing.T) {
	t.Parallel()
	some := map[string][]int32{in: {0}}
	for name, c := range map[string]struct {
		happens func(*worker)
		stale   bool
	}{
		"others change partitions": {func(w *worker) { w.revoked(t.Context(), nil, nil) }, false},
		"partitions are revoked":   {func(w *worker) { w.revoked(t.Context(), nil, some) }, true},
		"partitions are lost":      {func(w *worker) { w.lost(t.Context(), nil, some) }, true},
		"the group is lost":        {func(w *worker) { w.lost(t.Context(), nil, nil) }, true},
	} {
		w := &worker{stage: New(Config{Config: kafka.Config{Name: "test", Log: slog.New(slog.DiscardHandler)}}, nil)}
		if c.happens(w); w.takeStale() != c.stale {
			t.Errorf("%s: stale is %v", name, !c.stale)
		}
	}
}
