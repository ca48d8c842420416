// Package kafka is what every consumer and producer of Millrace shares.
//
//	kafka.go     Config of a consumer, and the options of its client
//	names.go     which prefixes of names Kafka accepts
//	topics.go    creating topics, and requiring them at start
//	sizes.go     how large the records of topics may be
//	inflow.go    how much a consumer decompresses before it is polled
//	errors.go    which errors are permanent, what an operator does about them, and the errors of a poll
//	oversize.go  batches that decompress to more than a client holds
//	retry.go     Retrier: repeating what failed
//	lag.go       Lag: how far a consumer group is behind
//	metrics.go   the metrics of every stage and every client
//	producer.go  options of producers, and the check of run events before they are published
//
// The stages that consume, work and produce in transactions are package stage.
package kafka

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
)

// Config says which Kafka a consumer uses, and by which names.
type Config struct {
	Name        string                // in metrics, logs and dead letters; with TopicPrefix the name of the consumer group
	Lane        string                // the end of the group's name; a stage may be several groups, which share its work
	TopicPrefix string                // of topics and consumer groups
	Options     []kgo.Opt             // of every client: see ClientOptions; TLS, SASL
	Limits      event.Limits          // of run events
	Metrics     prometheus.Registerer // nil: the metrics are not exposed
	// Growth is how often clients without a group look for partitions that were added to their topics;
	// default GrowthInterval.
	Growth time.Duration
	Log    *slog.Logger
}

// TopicName returns the name of a topic, or of a consumer group, with the prefix.
func (c *Config) TopicName(name string) string { return c.TopicPrefix + name }

// Group returns the name of the consumer group.
func (c *Config) Group() string { return c.TopicName(c.Name + c.Lane) }

// Limits of the clients that consume.
const (
	SessionTimeout = 10 * time.Second
	// A heartbeat tells a member to join again, and a rebalance waits for the heartbeats of all
	// members, twice.
	heartbeatInterval = time.Second
	rebalanceTimeout  = 15 * time.Second // how long a group waits for a member that was killed or is stuck
	fetchMaxBytes     = 16 << 20
	// A fetch that waits keeps its connection busy: a client that is given other partitions, or
	// leaves the group, waits for it. Records are delivered at once, with any value of
	// fetchMaxWait.
	fetchMaxWait = 500 * time.Millisecond
	// MaxDecompress bounds the decompressed bytes of one batch. A producer's batch has at most 32
	// MiB as sent.
	MaxDecompress = 64 << 20
	// batchRoom is what a batch of one record has beside the record's value, key and headers.
	batchRoom = 64 << 10
)

// FetchOptions returns the options of a client that consumes without a group.
func (c *Config) FetchOptions() []kgo.Opt {
	return append([]kgo.Opt{
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // the default would skip records that retention still has
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxBytes(fetchMaxBytes),
		kgo.FetchMaxWait(fetchMaxWait),
		kgo.MaxDecompressBatchBytes(MaxDecompress),
		c.Hooks(),
	}, c.Options...)
}

// GroupOptions returns the options of a client that consumes as a member of the consumer group, and
// produces dead letters.
func (c *Config) GroupOptions() []kgo.Opt {
	return append([]kgo.Opt{
		kgo.ConsumerGroup(c.Group()),
		kgo.SessionTimeout(SessionTimeout),
		kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.HeartbeatInterval(heartbeatInterval),
		kgo.ProducerBatchMaxBytes(int32(event.Limits{}.MaxMessage(event.TopicDeadLetters))),
	}, c.FetchOptions()...)
}

// The pauses between two attempts of a request grow from minRequestPause to maxRequestPause.
const (
	minRequestPause = 10 * time.Millisecond
	maxRequestPause = time.Second
)

// ClientOptions returns the options of every client: the addresses of brokers, and how long a
// request is repeated.
func ClientOptions(brokers []string) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(brokers...),
		kgo.ClientID("millrace"),
		kgo.RetryTimeout(time.Minute),
		kgo.RequestRetries(200), // the minute ends before
		// The client's default pauses, 0.25 s growing to 5 s, are long at both ends. A broker that
		// is still writing the end of a transaction refuses the next one for some milliseconds. A
		// broker that is gone is missed for 9 s, and its partitions should be found soon after.
		kgo.MetadataMinAge(maxRequestPause),
		kgo.MetadataMaxAge(GrowthInterval),
		kgo.RetryBackoffFn(func(failures int) time.Duration {
			pause := min(minRequestPause<<min(max(failures-1, 0), 10), maxRequestPause)
			return pause/2 + rand.N(pause/2)
		}),
	}
}

// Position names a record: topic/partition/offset.
func Position(r *kgo.Record) string { return fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset) }

// Partition names a partition of a topic.
type Partition struct {
	Topic string
	ID    int32
}
