package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/strictjson"
)

func TestTheCheckerRefusesAnUpdatedAtThatIngestWouldRefuse(t *testing.T) {
	t.Parallel()
	check := func(limits event.Limits, ahead time.Duration) strictjson.Code {
		c := kafka.Checker{Limits: limits}
		_, _, err := c.Record(fmt.Appendf(nil, `{"type":"dev.millrace.feedback.v1","workspace_id":"acme","run_id":"r1",
			"feedback_id":"f1","rating":"thumbsUp","updated_at":%q}`, time.Now().UTC().Add(ahead).Format(time.RFC3339Nano)))
		refusal := &strictjson.Refusal{}
		errors.As(err, &refusal)
		return refusal.Code
	}
	for _, c := range []struct {
		skew, ahead time.Duration
		want        strictjson.Code
	}{
		{0, -time.Hour, ""}, {0, 23 * time.Hour, ""}, {0, 25 * time.Hour, strictjson.ClockSkew},
		{time.Hour, 30 * time.Minute, ""}, {time.Hour, 2 * time.Hour, strictjson.ClockSkew},
	} {
		if got := check(event.Limits{Skew: c.skew}, c.ahead); got != c.want {
			t.Errorf("%s ahead with a limit of %s: %q, want %q", c.ahead, c.skew, got, c.want)
		}
	}
}

func TestAProducerRepeatsWhatABrokerClosedUnanswered(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]kmsg.Key{"a new connection": kmsg.ApiVersions,
		"a producer id": kmsg.InitProducerID} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "runs"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cluster.Close)
			client, err := kgo.NewClient(append(kafka.ClientOptions(cluster.ListenAddrs()), kafka.ProducerOptions()...)...)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			var requests atomic.Int64
			cluster.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				if requests.Add(1) > 3 {
					return nil, nil, false // as without this function
				}
				return nil, errors.New("the connection is closed"), true
			})
			if key == kmsg.ApiVersions {
				if err := client.Ping(t.Context()); err == nil {
					t.Error("a ping repeated its request, which hides that the broker expects TLS")
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := client.ProduceSync(ctx, &kgo.Record{Topic: "runs", Value: []byte("{}")}).FirstErr(); err != nil {
				t.Error(err)
			}
			if requests.Load() < 4 {
				t.Errorf("%d requests, and the first three were closed", requests.Load())
			}
		})
	}
}
