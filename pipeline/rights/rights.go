// Package rights says what each role, producer and requester may do in Kafka: the least with which it
// works. Roles check it at start, `millrace doctor` checks it at any time, and the commands that grant
// it in the operator's document are made of it.
package rights

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
)

// Operation is an operation of Kafka's ACLs, as kafka-acls.sh spells it. Read and Write include
// Describe, and AlterConfigs includes DescribeConfigs.
type Operation string

// The operations that Millrace needs.
const (
	Read            Operation = "Read"
	Write           Operation = "Write"
	Create          Operation = "Create"
	Describe        Operation = "Describe"
	DescribeConfigs Operation = "DescribeConfigs"
	AlterConfigs    Operation = "AlterConfigs"
)

// Kind is a kind of resource of Kafka, as the flags of kafka-acls.sh name it.
type Kind string

// The kinds of resources.
const (
	Topic           Kind = "topic"
	Group           Kind = "group"
	TransactionalID Kind = "transactional-id"
	Cluster         Kind = "cluster" // it has no name
)

// Right is an operation on a resource.
type Right struct {
	Operation Operation
	Kind      Kind
	Name      string
	Prefixed  bool // on all resources whose names begin with Name
}

var words = map[Operation]string{Read: "READ", Write: "WRITE", Create: "CREATE", Describe: "DESCRIBE",
	DescribeConfigs: "DESCRIBE_CONFIGS", AlterConfigs: "ALTER_CONFIGS"}

// String returns what to grant, such as READ on topic millrace.runs.
func (r Right) String() string {
	on := strings.ReplaceAll(string(r.Kind), "transactional-id", "transactional id")
	switch {
	case r.Kind == Cluster:
		return words[r.Operation] + " on the cluster"
	case r.Prefixed:
		return fmt.Sprintf("%s on the %ss that begin with %s", words[r.Operation], on, r.Name)
	}
	return fmt.Sprintf("%s on %s %s", words[r.Operation], on, r.Name)
}

// Names are the prefixes of an installation.
type Names struct {
	Topics           string // of topics and groups
	TransactionalIDs string
}

// The principals. The role export has the rights of its four stages.
const (
	Producer    = "producer"
	Requester   = "requester"
	Ingest      = "ingest"
	Export      = "export"
	Plan        = export.StagePlan
	Extract     = export.StageExtract
	Seal        = export.StageSeal
	Track       = export.StageTrack
	Serve       = "serve"
	Topics      = "topics"
	DeadLetters = "dead-letters"
	Doctor      = "doctor"
)

// grant is an operation on resources of one kind, named without the prefix. Without names it is on all
// of them that have the prefix.
type grant struct {
	operation Operation
	kind      Kind
	names     []string
}

var grants = map[string][]grant{
	Producer: {{Write, Topic, []string{event.TopicRuns}}},
	Requester: {
		{Write, Topic, []string{event.TopicExportRequests}},
		{Read, Topic, []string{event.TopicExportProgress, event.TopicExportCompletions}},
	},
	Ingest: {
		{Read, Topic, []string{event.TopicRuns}},
		{Write, Topic, []string{event.TopicDeadLetters}},
		{Read, Group, []string{Ingest}},
	},
	Plan: {
		{Read, Topic, []string{event.TopicExportRequests}},
		{Write, Topic, []string{event.TopicExportRequests, event.TopicExportWindows, event.TopicExportResults,
			event.TopicExportProgress, event.TopicAudit, event.TopicDeadLetters}},
		{Read, Group, export.PlanGroups()},
		{Write, TransactionalID, nil},
	},
	Extract: {
		{Read, Topic, []string{event.TopicExportWindows}},
		{Write, Topic, []string{event.TopicExportResults, event.TopicExportProgress, event.TopicDeadLetters}},
		{Read, Group, []string{Extract, Extract + "-direct"}},
		{Write, TransactionalID, nil},
	},
	Seal: {
		{Read, Topic, []string{event.TopicExportResults}},
		{Write, Topic, []string{event.TopicExportResults, event.TopicExportWindows, event.TopicExportProgress,
			event.TopicExportCompletions, event.TopicAudit, event.TopicDeadLetters}},
		{Read, Group, []string{Seal}},
		{Write, TransactionalID, nil},
	},
	Track: {
		{Read, Topic, []string{event.TopicExportProgress, event.TopicExportCompletions, event.TopicAudit}},
		{Write, Topic, []string{event.TopicDeadLetters}},
		{Read, Group, []string{Track}},
	},
	Serve: {
		{Read, Topic, []string{event.TopicExportRequests, event.TopicExportProgress, event.TopicExportCompletions}},
		{Write, Topic, []string{event.TopicRuns, event.TopicExportRequests, event.TopicAudit}},
		{Describe, Group, append(export.PlanGroups(), Track)},
	},
	Topics: {
		{Create, Topic, nil}, {Describe, Topic, nil}, {AlterConfigs, Topic, nil},
	},
	DeadLetters: {{Read, Topic, []string{event.TopicDeadLetters}}},
	Doctor: {
		{Describe, Topic, nil}, {DescribeConfigs, Topic, nil}, {Describe, Group, nil}, {Describe, Cluster, nil},
	},
}

// Of returns the rights of a principal, without duplicates.
func Of(principal string, n Names) (list []Right) {
	if principal == Export {
		for _, stage := range []string{Plan, Extract, Seal, Track} {
			for _, r := range Of(stage, n) {
				if !slices.Contains(list, r) {
					list = append(list, r)
				}
			}
		}
		return list
	}
	for _, g := range grants[principal] {
		for _, name := range g.names {
			list = append(list, Right{g.operation, g.kind, n.Topics + name, false})
		}
		switch {
		case g.kind == Cluster:
			list = append(list, Right{Operation: g.operation, Kind: Cluster})
		case g.kind == TransactionalID:
			list = append(list, Right{g.operation, g.kind, n.TransactionalIDs, true})
		case g.names == nil:
			list = append(list, Right{g.operation, g.kind, n.Topics, true})
		}
	}
	return list
}

// TopicsOf returns the topics that rights name, each once.
func TopicsOf(list []Right) (topics []string) {
	for _, r := range list {
		if r.Kind == Topic && !r.Prefixed && !slices.Contains(topics, r.Name) {
			topics = append(topics, r.Name)
		}
	}
	return topics
}

// lineLength is where the lines of commands break.
const lineLength = 118

// Commands returns the commands that grant rights to a user: one for each operation on a kind of
// resources.
func Commands(user string, list []Right) (commands []string) {
	type about struct {
		operation Operation
		kind      Kind
		prefixed  bool
	}
	var order []about
	names := map[about][]string{}
	for _, r := range list {
		a := about{r.Operation, r.Kind, r.Prefixed}
		if _, seen := names[a]; !seen {
			order = append(order, a)
		}
		names[a] = append(names[a], r.Name)
	}
	for _, a := range order {
		words := []string{"--operation " + string(a.operation)}
		if a.prefixed {
			words = append(words, "--resource-pattern-type prefixed")
		}
		for _, name := range names[a] {
			words = append(words, strings.TrimSuffix(fmt.Sprintf("--%s %s", a.kind, name), " "))
		}
		command := "kafka-acls.sh --bootstrap-server BROKER --add --allow-principal User:" + user
		length := len(command)
		for _, word := range words {
			if length += 1 + len(word); length > lineLength {
				command += " \\\n   "
				length = 4 + len(word)
			}
			command += " " + word
		}
		commands = append(commands, command)
	}
	return commands
}
