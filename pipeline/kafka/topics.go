package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/rights"
)

// listTimeout bounds one attempt to list topics.
const listTimeout = 10 * time.Second

const listTopics = "list topics"

// RequireTopics waits until Kafka answers, and returns an error if a topic, named without the
// prefix, is missing or may not be seen. Without this check a consumer would wait for its topic in
// silence. It logs a warning for each topic that takes too small records only. It returns nil when
// ctx is done.
func (c *Config) RequireTopics(ctx context.Context, names ...string) error {
	client, err := kgo.NewClient(append([]kgo.Opt{c.Hooks()}, c.Options...)...)
	if err != nil {
		return fmt.Errorf("%s: kafka client: %w", c.Name, err)
	}
	defer client.Close()
	topics := make([]string, len(names))
	for i, name := range names {
		topics[i] = c.TopicName(name)
	}
	err = c.Retrier().Do(ctx, listTopics, c.Name, func() error { return c.listTopics(ctx, client, topics) })
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	c.warnSmall(ctx, client, names)
	return nil
}

func (c *Config) listTopics(ctx context.Context, client *kgo.Client, topics []string) error {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	details, err := kadm.NewClient(client).ListTopics(ctx, topics...)
	if err != nil {
		return c.Explain(err, topics...)
	}
	for _, topic := range topics {
		switch err := details[topic].Err; {
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			return Permanent(fmt.Errorf("topic %s: %w; run `millrace topics` to create the topics", topic, err))
		case err != nil:
			return c.Explain(err, topic)
		}
	}
	return nil
}

// CheckTopics asks Kafka once for topics, and returns an error if one is missing or may not be seen, or
// has a partition that no broker leads.
func (c *Config) CheckTopics(ctx context.Context, client *kgo.Client, topics ...string) error {
	details, err := kadm.NewClient(client).ListTopics(ctx, topics...)
	if err != nil {
		return c.Explain(err, topics...)
	}
	for _, topic := range topics {
		if err := details[topic].Err; err != nil {
			return fmt.Errorf("topic %s: %w", topic, err)
		}
		for _, p := range details[topic].Partitions {
			if p.Leader < 0 {
				return fmt.Errorf("partition %s/%d has no leader: are enough brokers up?", topic, p.Partition)
			}
		}
	}
	return nil
}

// CreatedTopic is a topic after CreateTopics.
type CreatedTopic struct {
	Topic      string `json:"topic"`
	Partitions int32  `json:"partitions"`
	Created    bool   `json:"created"` // false: it existed
	// Raised is the max.message.bytes that the topic has got because its own was too small; or 0.
	Raised int `json:"raised_max_message_bytes,omitempty"`
}

// CreateTopics creates the topics of the contract that do not exist, with three replicas where
// there are three brokers. Topics that exist keep their configuration, but a max.message.bytes that
// is too small for the limits is raised. It returns all topics, in the contract's order.
func CreateTopics(ctx context.Context, client *kgo.Client, prefix string, limits event.Limits) ([]CreatedTopic, error) {
	admin := kadm.NewClient(client)
	brokers, err := admin.ListBrokers(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the brokers: %w", err)
	}
	replication := int16(min(len(brokers), 3))
	var topics []CreatedTopic
	var names []string
	for _, topic := range limits.Topics() {
		configs := map[string]*string{}
		for k, v := range topic.Configs {
			configs[k] = &v
		}
		if replication == 3 {
			configs["min.insync.replicas"] = kadm.StringPtr("2")
		}
		name := prefix + topic.Name
		_, err := admin.CreateTopic(ctx, topic.Partitions, replication, configs, name)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return nil, fmt.Errorf("create topic %s: %w", name, Lacking(err, On(name, rights.Create)))
		}
		topics = append(topics, CreatedTopic{Topic: name, Created: err == nil})
		names = append(names, name)
	}
	partitions, err := waitTopics(ctx, client, brokers.NodeIDs(), names)
	err = Lacking(err, rights.Right{Operation: rights.Describe, Kind: rights.Topic, Name: prefix, Prefixed: true})
	for i := range topics {
		topics[i].Partitions = int32(partitions[topics[i].Topic])
	}
	if err != nil {
		return topics, err
	}
	return topics, raiseSizes(ctx, admin, topics, limits)
}

// topicsTimeout is how long the brokers may take to learn of new topics.
const topicsTimeout = 30 * time.Second

// waitTopics waits until every broker that answers knows the topics, and returns their numbers of
// partitions. The controller creates topics before the other brokers know of them, and a role that
// asks another broker too early would find them missing.
func waitTopics(ctx context.Context, client *kgo.Client, brokers []int32, names []string) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(ctx, topicsTimeout)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, topic)
	}
	partitions := map[string]int{}
	for _, id := range brokers {
		if err := waitBroker(ctx, client.Broker(int(id)), req, partitions); err != nil {
			return nil, fmt.Errorf("wait for broker %d to know the topics: %w", id, err)
		}
	}
	return partitions, nil
}

func waitBroker(ctx context.Context, broker *kgo.Broker, req *kmsg.MetadataRequest, partitions map[string]int) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := req.RequestWith(ctx, broker)
		if err != nil {
			return ctx.Err() // a broker that is down misleads nobody
		}
		known, err := countPartitions(resp, partitions)
		if known || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// countPartitions reports whether the broker knows every topic that it was asked for.
func countPartitions(resp *kmsg.MetadataResponse, partitions map[string]int) (known bool, err error) {
	for _, topic := range resp.Topics {
		if err := kerr.ErrorForCode(topic.ErrorCode); kerr.IsRetriable(err) {
			return false, nil
		} else if err != nil {
			return false, fmt.Errorf("topic %s: %w", *topic.Topic, err)
		}
		partitions[*topic.Topic] = len(topic.Partitions)
	}
	return true, nil
}
