package kafka_test

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

func config(t *testing.T, c *kfake.Cluster) *kafka.Config {
	return &kafka.Config{
		Name: "test", TopicPrefix: "t.", Options: []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...),
			kgo.MetadataMinAge(10 * time.Millisecond)},
		Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

func TestRequiredTopicsAreThereOrNamed(t *testing.T) {
	t.Parallel()
	metadata := func(topic string, err *kerr.Error) kfake.Fault {
		return kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: topic, Err: err, Count: -1}
	}
	for name, c := range map[string]struct {
		topics []string
		faults []kfake.Fault
		texts  []string // of the error; none: there is no error
	}{
		"all are there":  {[]string{"in", "out"}, nil, nil},
		"one is missing": {[]string{"in", "other"}, nil, []string{"test: topic t.other", "run `millrace topics`"}},
		"one is forbidden": {[]string{"in", "out"}, []kfake.Fault{metadata("t.out", kerr.TopicAuthorizationFailed)},
			[]string{"kafka refused access", "t.out"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := localtest.Kafka(t, kfake.SeedTopics(1, "t.in", "t.out"))
			cluster.Fault(c.faults...)
			err := config(t, cluster).RequireTopics(t.Context(), c.topics...)
			if (err != nil) != (len(c.texts) > 0) {
				t.Fatalf("got %v", err)
			}
			for _, text := range c.texts {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%q does not contain %q", err, text)
				}
			}
		})
	}
}

func TestTopicsOfAKafkaThatComesLaterAreWaitedFor(t *testing.T) {
	t.Parallel()
	cluster := localtest.Kafka(t, kfake.SeedTopics(1, "t.in"))
	fault := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "t.in", Err: kerr.LeaderNotAvailable,
		Count: -1})
	done := make(chan error, 1)
	go func() { done <- config(t, cluster).RequireTopics(t.Context(), "in") }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); fault.Hits() < 2; {
		select {
		case <-tick.C:
		case err := <-done:
			t.Fatalf("it did not wait: %v", err)
		case <-deadline:
			t.Fatal("it did not ask twice")
		}
	}
	fault.Remove()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRequiringTopicsEndsWithItsContext(t *testing.T) {
	t.Parallel()
	cluster := localtest.Kafka(t)
	cfg := config(t, cluster)
	cluster.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := cfg.RequireTopics(ctx, "in"); err != nil {
		t.Error(err)
	}
}

func TestTopicsAreCreatedOnce(t *testing.T) {
	t.Parallel()
	cluster := localtest.Kafka(t, kfake.NumBrokers(3))
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, created := range []bool{true, false} {
		topics, err := kafka.CreateTopics(t.Context(), client, "t.", event.Limits{})
		if err != nil || len(topics) != len(event.Topics) {
			t.Fatalf("got %v, %v", topics, err)
		}
		for i, topic := range topics {
			want := kafka.CreatedTopic{Topic: "t." + event.Topics[i].Name, Partitions: event.Topics[i].Partitions,
				Created: created}
			if topic != want {
				t.Errorf("got %+v, want %+v", topic, want)
			}
		}
	}
}

// An installation that was made for smaller records gets larger topics, never smaller ones, and what
// needs them says so at start.
func TestTopicsThatAreTooSmallAreSaidAndRaised(t *testing.T) {
	t.Parallel()
	cluster := localtest.Kafka(t)
	var log bytes.Buffer
	cfg := config(t, cluster)
	cfg.TopicPrefix, cfg.Log = "t.", slog.New(slog.NewTextHandler(&log, nil))
	client, err := kgo.NewClient(cfg.Options...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	create := func(limits event.Limits, want map[string]int) {
		t.Helper()
		topics, err := kafka.CreateTopics(t.Context(), client, cfg.TopicPrefix, limits)
		if err != nil {
			t.Fatal(err)
		}
		raised := map[string]int{}
		for _, topic := range topics {
			if topic.Raised > 0 {
				raised[topic.Topic] = topic.Raised
			}
		}
		if !maps.Equal(raised, want) {
			t.Errorf("raised %v, want %v", raised, want)
		}
	}
	said := func(topics ...string) (list []string) {
		t.Helper()
		log.Reset()
		if err := cfg.RequireTopics(t.Context(), topics...); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(log.String()) {
			var topic, has, needed string
			for field := range strings.FieldsSeq(line) {
				key, value, _ := strings.Cut(field, "=")
				switch key {
				case "topic":
					topic = value
				case "max.message.bytes":
					has = value
				case "needed":
					needed = value
				}
			}
			if !strings.Contains(line, "run `millrace topics`") {
				t.Errorf("no command mends it: %s", line)
			}
			list = append(list, topic+" "+has+" "+needed)
		}
		return list
	}
	create(event.Limits{Value: 8 << 20}, nil)
	want := []string{"t.runs 8388608 33554432", "t.dead-letters 9437184 34603008"}
	if got := said(event.TopicRuns, event.TopicDeadLetters); !slices.Equal(got, want) {
		t.Errorf("said %q, want %q", got, want)
	}
	if got := said(event.TopicExportWindows, event.TopicDeadLetters); got != nil {
		t.Errorf("a stage that reads no run events said %q", got)
	}
	create(event.Limits{}, map[string]int{"t.runs": 32 << 20, "t.dead-letters": 33 << 20})
	if got := said(event.TopicRuns, event.TopicDeadLetters); got != nil {
		t.Errorf("of topics that are large enough it said %q", got)
	}
	create(event.Limits{Value: 8 << 20}, nil)
	if got := said(event.TopicRuns, event.TopicDeadLetters); got != nil {
		t.Errorf("the topics have become smaller: %q", got)
	}
}

func TestPrefixesAreThoseThatKafkaTakes(t *testing.T) {
	t.Parallel()
	for prefix, valid := range map[string]bool{
		"millrace.": true, "a": true, "A-1_b.": true, strings.Repeat("x", 231): true,
		"": false, "acme:": false, "acme~": false, "a b": false, "é": false, "a/": false, "a\n": false,
		strings.Repeat("x", 232): false,
	} {
		if err := kafka.CheckTopicPrefix(prefix); (err == nil) != valid {
			t.Errorf("topic prefix %q: %v", prefix, err)
		}
	}
	for prefix, valid := range map[string]bool{"": true, "acme:millrace~é": true, "\xff": false,
		strings.Repeat("x", 40_000): false} {
		if err := kafka.CheckTransactionalIDPrefix(prefix); (err == nil) != valid {
			t.Errorf("transactional id prefix of %d bytes: %v", len(prefix), err)
		}
	}
}
