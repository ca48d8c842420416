package event

import "strconv"

// Names of the topics, without the prefix that an installation gives them.
const (
	TopicRuns              = "runs"
	TopicExportRequests    = "export-requests"
	TopicExportWindows     = "export-windows"
	TopicExportResults     = "export-results"
	TopicExportProgress    = "export-progress"
	TopicExportCompletions = "export-completions"
	TopicDeadLetters       = "dead-letters"
	TopicAudit             = "audit"
)

// DefaultPrefix is the prefix of the names of topics and consumer groups, where none is configured.
const DefaultPrefix = "millrace."

// Topic is a topic as it is created.
type Topic struct {
	Name       string // without the prefix
	Partitions int32
	Configs    map[string]string // of Kafka, see https://kafka.apache.org/documentation/#topicconfigs
}

const (
	week    = "604800000" // in milliseconds, for retention.ms
	month   = "2592000000"
	forever = "-1"
)

// Topics are all topics, as `millrace topics` creates them without lower limits.
var Topics = Limits{}.Topics()

// Topics returns all topics, as `millrace topics` creates them. Kafka keeps runs for a week, so that
// ClickHouse may be down over a long weekend, or be refilled after a mishap. It keeps the last
// completion of each export for ever.
func (l Limits) Topics() []Topic {
	return []Topic{
		{TopicRuns, 12, l.configs(TopicRuns, "delete", week)},
		{TopicExportRequests, 6, l.configs(TopicExportRequests, "delete", week)},
		{TopicExportWindows, 24, l.configs(TopicExportWindows, "delete", week)},
		{TopicExportResults, 6, l.configs(TopicExportResults, "delete", week)},
		{TopicExportProgress, 6, l.configs(TopicExportProgress, "delete", week)},
		{TopicExportCompletions, 6, l.configs(TopicExportCompletions, "compact", forever)},
		{TopicDeadLetters, 3, l.configs(TopicDeadLetters, "delete", month)},
		{TopicAudit, 3, l.configs(TopicAudit, "delete", month)},
	}
}

// MaxMessageBytes is the key of Kafka's configuration of a topic that [Limits.MaxMessage] is about.
const MaxMessageBytes = "max.message.bytes"

func (l Limits) configs(name, cleanup, retention string) map[string]string {
	return map[string]string{"cleanup.policy": cleanup, "retention.ms": retention,
		MaxMessageBytes: strconv.Itoa(l.MaxMessage(name))}
}
