package stage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Limits of the clients.
const (
	sessionTimeout     = 10 * time.Second
	heartbeatInterval  = time.Second      // a heartbeat tells a member to join again, and a rebalance waits for all of them, twice
	rebalanceTimeout   = 15 * time.Second // how long a group waits for a member that is killed or stuck while partitions change hands
	transactionTimeout = 10 * time.Second
	fetchMaxBytes      = 16 << 20
	maxDecompress      = 64 << 20 // a producer's batch is at most 8 MiB as sent
	maxBatchBytes      = 9 << 20  // of topic dead-letters
	// A fetch that waits keeps its connection busy: a client that is given other partitions, or leaves the
	// group, waits for it. Records are delivered at once, whatever this is.
	fetchMaxWait = 500 * time.Millisecond
)

// ConsumerOptions are the options of a stage's consumers, and of the producers that go with them.
func ConsumerOptions(cfg *Config) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.ConsumerGroup(cfg.TopicName(cfg.Name)),
		kgo.SessionTimeout(sessionTimeout),
		kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.HeartbeatInterval(heartbeatInterval),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // its default would skip what retention has not deleted
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxBytes(fetchMaxBytes),
		kgo.FetchMaxWait(fetchMaxWait),
		kgo.MaxDecompressBatchBytes(maxDecompress),
		kgo.ProducerBatchMaxBytes(maxBatchBytes),
		kgo.ProducerLinger(0),
	}, cfg.Kafka...)
}

// RequireTopics waits until Kafka answers, and fails if a topic, named without the prefix, is missing.
// Without it a stage would wait for its topic to appear, and say nothing. It returns nil when ctx is done.
func RequireTopics(ctx context.Context, cfg *Config, names ...string) error {
	client, err := kgo.NewClient(cfg.Kafka...)
	if err != nil {
		return fmt.Errorf("stage %s: kafka client: %w", cfg.Name, err)
	}
	defer client.Close()
	topics := make([]string, len(names))
	for i, name := range names {
		topics[i] = cfg.TopicName(name)
	}
	var details kadm.TopicDetails
	err = NewRetrier(cfg).Do(ctx, "list topics", cfg.Name, func() (err error) {
		details, err = kadm.NewClient(client).ListTopics(ctx, topics...)
		return err
	})
	if err != nil {
		return nil // ctx is done
	}
	for _, topic := range topics {
		if err := details[topic].Err; err != nil {
			return fmt.Errorf("stage %s: topic %s: %w; run `millrace topics` to create the topics", cfg.Name, topic, err)
		}
	}
	return nil
}

// IsPermanent says whether an error of consuming is one that an operator has to mend before it can go on.
func IsPermanent(err error) bool {
	for _, e := range []error{
		kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed,
		kerr.ClusterAuthorizationFailed, kerr.SaslAuthenticationFailed, kerr.UnknownTopicID,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
