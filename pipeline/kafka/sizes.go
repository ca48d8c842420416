package kafka

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/rights"
)

// sizes returns the max.message.bytes of topics, by their full name. A topic that may not be
// described has none.
func sizes(ctx context.Context, admin *kadm.Client, topics ...string) (map[string]int, error) {
	described, err := admin.DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return nil, err
	}
	found := map[string]int{}
	for _, topic := range described {
		for _, c := range topic.Configs {
			if n, err := strconv.Atoi(c.MaybeValue()); err == nil && c.Key == event.MaxMessageBytes {
				found[topic.Name] = n
			}
		}
	}
	return found, nil
}

// raiseSizes raises the max.message.bytes of topics that existed, where the limits need more, and
// notes it in the list.
func raiseSizes(ctx context.Context, admin *kadm.Client, topics []CreatedTopic, limits event.Limits) error {
	var existed []string
	for _, t := range topics {
		if !t.Created {
			existed = append(existed, t.Topic)
		}
	}
	if len(existed) == 0 {
		return nil
	}
	found, err := sizes(ctx, admin, existed...)
	if err != nil {
		return fmt.Errorf("describe the topics: %w", err)
	}
	for i, t := range limits.Topics() {
		need := limits.MaxMessage(t.Name)
		has, known := found[topics[i].Topic]
		if topics[i].Created || !known || has >= need {
			continue
		}
		value := strconv.Itoa(need)
		results, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: event.MaxMessageBytes, Value: &value}},
			topics[i].Topic)
		if err == nil {
			_, err = results.On(topics[i].Topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
		}
		if err != nil {
			return fmt.Errorf("raise %s of topic %s from %d to %d: %w", event.MaxMessageBytes, topics[i].Topic, has, need,
				Lacking(err, On(topics[i].Topic, rights.AlterConfigs)))
		}
		topics[i].Raised = need
	}
	return nil
}

// WarnSmallTopics waits until Kafka answers, and logs a warning for each topic, named without the
// prefix, whose max.message.bytes is smaller than the limits of run events need.
func (c *Config) WarnSmallTopics(ctx context.Context, names ...string) {
	client, err := kgo.NewClient(append([]kgo.Opt{c.Hooks()}, c.Options...)...)
	if err != nil {
		return // clients that are needed report it
	}
	defer client.Close()
	if c.Retrier().Do(ctx, listTopics, c.Name, func() error { return client.Ping(ctx) }) == nil {
		c.warnSmall(ctx, client, names)
	}
}

func (c *Config) warnSmall(ctx context.Context, client *kgo.Client, names []string) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	topics := make([]string, len(names))
	for i, name := range names {
		topics[i] = c.TopicName(name)
	}
	found, err := sizes(ctx, kadm.NewClient(client), topics...)
	if err != nil {
		c.Log.Debug("the sizes of topics are not known", "stage", c.Name, "error", err)
		return
	}
	for i, name := range names {
		need := c.Limits.MaxMessage(name)
		if name == event.TopicDeadLetters && !slices.Contains(names, event.TopicRuns) {
			need = event.Limits{Value: 1}.MaxMessage(name) // no run event becomes a dead letter here
		}
		if has, known := found[topics[i]]; known && has < need {
			c.Log.Warn("a topic is too small for the largest records, and Kafka refuses those: run `millrace topics`, which "+
				"raises it, or lower the limits of events", "stage", c.Name, "topic", topics[i], event.MaxMessageBytes, has,
				"needed", need)
		}
	}
}
