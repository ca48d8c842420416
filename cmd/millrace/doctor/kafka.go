package doctor

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/rights"
)

const runTopics = "run `millrace topics`"

// kafka checks everything that is in Kafka.
func (e *examination) kafka(ctx context.Context) {
	client, err := e.KafkaClient(kgo.RequestRetries(3))
	if err != nil {
		e.add(areaKafka, Error, "correct MILLRACE_KAFKA_TLS_ and MILLRACE_KAFKA_SASL_", "%v", err)
		return
	}
	defer client.Close()
	if err := e.RequireKafka(ctx, client); err != nil {
		action := "start the brokers, or correct MILLRACE_KAFKA_BROKERS and MILLRACE_KAFKA_TLS_"
		if errors.Is(err, kerr.SaslAuthenticationFailed) {
			action = "correct MILLRACE_KAFKA_SASL_USER and MILLRACE_KAFKA_SASL_PASSWORD"
		}
		e.add(areaKafka, Error, action, "%v", err)
		return
	}
	admin := kadm.NewClient(client)
	metadata, err := admin.Metadata(ctx)
	if err != nil {
		e.add(areaKafka, Error, "look at the logs of the brokers", "ask the brokers: %v", err)
		return
	}
	brokers := len(metadata.Brokers)
	if brokers < 3 {
		e.add(areaKafka, Note, "", "%d brokers answer; with fewer than three, one that dies takes events with it", brokers)
	} else {
		e.ok(areaKafka, "%d brokers answer", brokers)
	}
	e.topics(ctx, admin, brokers)
	e.rights(ctx, client)
	e.groups(ctx, admin)
	e.kafkaClock(ctx, client)
}

// topics compares the topics with what `millrace topics` creates.
func (e *examination) topics(ctx context.Context, admin *kadm.Client, brokers int) {
	wanted := e.Config.EventLimits().Topics()
	names := make([]string, len(wanted))
	for i, t := range wanted {
		names[i] = e.Config.KafkaTopicPrefix + t.Name
	}
	details, err := admin.ListTopics(ctx, names...)
	if err != nil {
		e.add(areaKafka, Error, "look at the logs of the brokers", "list the topics: %v", err)
		return
	}
	configs := map[string]map[string]string{}
	described, err := admin.DescribeTopicConfigs(ctx, names...)
	for _, t := range described {
		if t.Err != nil {
			err = t.Err
			continue
		}
		configs[t.Name] = map[string]string{}
		for _, c := range t.Configs {
			configs[t.Name][c.Key] = c.MaybeValue()
		}
	}
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		e.add(areaKafka, Note, "grant DESCRIBE_CONFIGS on the topics that begin with "+e.Config.KafkaTopicPrefix,
			"the settings of topics are not known: %v", err)
	}
	bad := len(e.findings)
	for i, want := range wanted {
		e.topic(details[names[i]], want, brokers)
		if has, known := configs[names[i]]; known {
			e.topicConfig(names[i], want, has)
		}
	}
	if len(e.findings) == bad {
		e.ok(areaKafka, "%d topics are as `millrace topics` makes them", len(wanted))
	}
}

func (e *examination) topic(has kadm.TopicDetail, want event.Topic, brokers int) {
	name := e.Config.KafkaTopicPrefix + want.Name
	switch {
	case errors.Is(has.Err, kerr.UnknownTopicOrPartition) || has.Topic == "":
		e.add(areaKafka, Error, runTopics, "topic %s is missing", name)
		return
	case errors.Is(has.Err, kerr.TopicAuthorizationFailed):
		e.add(areaKafka, Note, "grant "+kafka.On(name, rights.Describe).String(),
			"topic %s may not be seen by this user", name)
		return
	case has.Err != nil:
		e.add(areaKafka, Error, "look at the logs of the brokers", "topic %s: %v", name, has.Err)
		return
	}
	if n := len(has.Partitions); n < int(want.Partitions) {
		e.add(areaKafka, Warning, fmt.Sprintf("kafka-topics.sh --alter --topic %s --partitions %d", name, want.Partitions),
			"topic %s has %d partitions instead of %d: so many processes at most share its work", name, n, want.Partitions)
	}
	var leaderless, behind, few []string
	for _, p := range has.Partitions.Sorted() {
		id := strconv.Itoa(int(p.Partition))
		switch {
		case p.Leader < 0:
			leaderless = append(leaderless, id)
		case len(p.ISR) < len(p.Replicas):
			behind = append(behind, id)
		case len(p.Replicas) < min(brokers, 3):
			few = append(few, id)
		}
	}
	if leaderless != nil {
		e.add(areaKafka, Error, "start the brokers that are down", "topic %s: no broker leads partitions %s", name,
			strings.Join(leaderless, ", "))
	}
	if behind != nil {
		e.add(areaKafka, Warning, "start the brokers that are down, or wait until they have caught up",
			"topic %s: replicas of partitions %s are not in sync", name, strings.Join(behind, ", "))
	}
	if few != nil {
		e.add(areaKafka, Warning, "kafka-reassign-partitions.sh with three replicas",
			"topic %s: partitions %s have fewer replicas than the %d that the brokers allow", name, strings.Join(few, ", "),
			min(brokers, 3))
	}
}

// topicConfig compares the settings of a topic with those that it is created with.
func (e *examination) topicConfig(name string, want event.Topic, has map[string]string) {
	alter := func(key string) string {
		return fmt.Sprintf("kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config %s=%s", name, key,
			want.Configs[key])
	}
	const cleanup, retention = "cleanup.policy", "retention.ms"
	if has[cleanup] != "" && has[cleanup] != want.Configs[cleanup] {
		why := "records that are needed may be removed"
		if want.Configs[cleanup] == "compact" {
			why = "old completions are removed, or kept more than once"
		}
		e.add(areaKafka, Error, alter(cleanup), "topic %s has %s=%s instead of %s: %s", name, cleanup, has[cleanup],
			want.Configs[cleanup], why)
	}
	days := func(text string) (int, bool) {
		n, err := strconv.Atoi(text)
		return n, err == nil && n >= 0
	}
	if is, finite := days(has[retention]); finite && want.Configs[cleanup] == "delete" {
		if needed, _ := days(want.Configs[retention]); is < needed {
			e.add(areaKafka, Warning, alter(retention), "topic %s keeps records for %.1f days instead of %d: what is not "+
				"consumed by then is lost", name, float64(is)/86_400_000, needed/86_400_000)
		}
	}
	is, err := strconv.Atoi(has[event.MaxMessageBytes])
	if needed := e.Config.EventLimits().MaxMessage(want.Name); err == nil && is < needed {
		e.add(areaKafka, Warning, runTopics+", which raises it, or lower MILLRACE_MAX_EVENT_BYTES",
			"topic %s takes records of %d bytes at most (%s), and needs %d", name, is, event.MaxMessageBytes, needed)
	}
}

// aStranger is the part of the rights of a role that a user lacks at least who is not meant for it. Who may
// look at everything, and do nothing, lacks two fifths of those of serve.
const aStranger = 1. / 3

// rights checks what the user of this configuration may do.
func (e *examination) rights(ctx context.Context, client *kgo.Client) {
	missing, part := map[string][]rights.Right{}, map[string]float64{}
	roles, must := e.command.Role, true
	if len(roles) == 0 {
		roles, must = []string{rights.Ingest, rights.Export, rights.Serve}, false
	}
	var complete []string
	nearest := ""
	for _, role := range roles {
		needed := rights.Of(role, e.names())
		lacks, err := kafka.MissingRights(ctx, client, needed)
		if err != nil {
			e.add(areaRights, Error, "look at the logs of the brokers", "ask for the rights of the role %s: %v", role, err)
			return
		}
		missing[role], part[role] = lacks, float64(len(lacks))/float64(len(needed))
		if len(lacks) == 0 {
			complete = append(complete, role)
		} else if nearest == "" || part[role] < part[nearest] {
			nearest = role
		}
	}
	if !must && complete == nil && part[nearest] > aStranger {
		e.add(areaRights, Note, "run the doctor as the Kafka user of a role too", "the Kafka user has the rights of no role")
		return
	}
	for _, role := range roles {
		if lacks := missing[role]; len(lacks) > 0 && (must || complete == nil && role == nearest) {
			e.add(areaRights, Error, "grant "+kafka.JoinRights(lacks),
				"the Kafka user lacks %d rights of the role %s", len(lacks), role)
		}
	}
	if complete != nil {
		e.ok(areaRights, "the Kafka user has the rights of %s", strings.Join(complete, ", "))
	}
}
