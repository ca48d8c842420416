package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"text/tabwriter"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/millrace/millrace/pipeline/event"
)

// The time between two tries of a request begins and ends with about these.
const (
	minKafkaPause = 10 * time.Millisecond
	maxKafkaPause = time.Second
)

// kafkaOptions are the client options that say where Kafka is and who we are.
func (c *config) kafkaOptions() ([]kgo.Opt, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(c.KafkaBrokers...),
		kgo.ClientID("millrace"),
		kgo.RetryTimeout(time.Minute),
		kgo.RequestRetries(200), // the minute ends before
		// The client's defaults, 0.25 s growing to 5 s, are long at both ends. A broker that is still writing
		// the end of a transaction refuses the next one for some milliseconds; and a broker that is gone is
		// missed for 9 s, after which its partitions are to be found soon.
		kgo.MetadataMinAge(maxKafkaPause),
		kgo.RetryBackoffFn(func(failures int) time.Duration {
			pause := min(minKafkaPause<<min(max(failures-1, 0), 10), maxKafkaPause)
			return pause/2 + rand.N(pause/2)
		}),
	}
	if c.KafkaTLSEnabled {
		t, err := c.tlsConfig()
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.DialTLSConfig(t))
	}
	switch c.KafkaSASLMechanism {
	case "PLAIN":
		options = append(options, kgo.SASL(plain.Auth{User: c.KafkaSASLUser, Pass: c.KafkaSASLPassword}.AsMechanism()))
	case "SCRAM-SHA-256":
		options = append(options, kgo.SASL(scram.Auth{User: c.KafkaSASLUser, Pass: c.KafkaSASLPassword}.AsSha256Mechanism()))
	case "SCRAM-SHA-512":
		options = append(options, kgo.SASL(scram.Auth{User: c.KafkaSASLUser, Pass: c.KafkaSASLPassword}.AsSha512Mechanism()))
	}
	return options, nil
}

func (c *config) tlsConfig() (*tls.Config, error) {
	t := &tls.Config{ServerName: c.KafkaTLSServerName, MinVersion: tls.VersionTLS12}
	if c.KafkaTLSCAFile != "" {
		pem, err := os.ReadFile(c.KafkaTLSCAFile)
		if err != nil {
			return nil, fmt.Errorf("MILLRACE_KAFKA_TLS_CA_FILE: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("MILLRACE_KAFKA_TLS_CA_FILE: no certificate in %s", c.KafkaTLSCAFile)
		}
	}
	if c.KafkaTLSCertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.KafkaTLSCertFile, c.KafkaTLSKeyFile)
		if err != nil {
			return nil, fmt.Errorf("MILLRACE_KAFKA_TLS_CERT_FILE: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// kafkaClient returns a client with these options beside the configured ones.
func (a *app) kafkaClient(options ...kgo.Opt) (*kgo.Client, error) {
	base, err := a.cfg.kafkaOptions()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(base, options...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	return client, nil
}

// requireKafka fails soon, and clearly, if no broker answers.
func (a *app) requireKafka(ctx context.Context, client *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		return fmt.Errorf("no Kafka broker answers at %v: start `millrace local`, or set MILLRACE_KAFKA_BROKERS: %w", a.cfg.KafkaBrokers, err)
	}
	return nil
}

type topicsCommand struct {
	JSON bool `name:"json" help:"List the topics as JSON."`
}

type topicState struct {
	Topic      string `json:"topic"`
	Partitions int32  `json:"partitions"`
	Created    bool   `json:"created"`
}

// Run creates the topics that are missing and lists all.
func (c topicsCommand) Run(ctx context.Context, a *app) error {
	client, err := a.kafkaClient()
	if err != nil {
		return err
	}
	defer client.Close()
	if err := a.requireKafka(ctx, client); err != nil {
		return err
	}
	states, err := createTopics(ctx, client, a.cfg.KafkaTopicPrefix)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(a.stdout).Encode(states)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TOPIC\tPARTITIONS\t")
	for _, s := range states {
		note := "existed"
		if s.Created {
			note = "created"
		}
		fmt.Fprintf(w, "%s\t%d\t%s\n", s.Topic, s.Partitions, note)
	}
	return w.Flush()
}

// createTopics creates the topics of the contract that do not exist, replicated three times where there
// are three brokers. Topics that exist are left as they are.
func createTopics(ctx context.Context, client *kgo.Client, prefix string) ([]topicState, error) {
	admin := kadm.NewClient(client)
	brokers, err := admin.ListBrokers(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the brokers: %w", err)
	}
	replication := int16(min(len(brokers), 3))
	var states []topicState
	var names []string
	for _, topic := range event.Topics {
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
			return nil, fmt.Errorf("create topic %s: %w", name, err)
		}
		states = append(states, topicState{Topic: name, Created: err == nil})
		names = append(names, name)
	}
	partitions, err := waitTopics(ctx, client, brokers.NodeIDs(), names)
	for i := range states {
		states[i].Partitions = int32(partitions[states[i].Topic])
	}
	return states, err
}

// topicsTimeout is how long brokers may take to hear of topics.
const topicsTimeout = 30 * time.Second

// waitTopics waits until every broker that answers knows the topics, and returns how many partitions they
// have. The controller creates them before the brokers hear of it, and a role that asks one too early would
// find them missing.
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
		err := poll(ctx, func() (bool, error) {
			resp, err := req.RequestWith(ctx, client.Broker(int(id)))
			if err != nil {
				return ctx.Err() == nil, ctx.Err() // it is down, and misleads nobody
			}
			for _, topic := range resp.Topics {
				if err := kerr.ErrorForCode(topic.ErrorCode); kerr.IsRetriable(err) {
					return false, nil
				} else if err != nil {
					return false, fmt.Errorf("look at topic %s: %w", *topic.Topic, err)
				}
				partitions[*topic.Topic] = len(topic.Partitions)
			}
			return true, nil
		})
		if err != nil {
			return nil, fmt.Errorf("wait for broker %d to know the topics: %w", id, err)
		}
	}
	return partitions, nil
}
