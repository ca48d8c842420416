package event

// Names of the topics after the prefix (MILLRACE_KAFKA_TOPIC_PREFIX).
const (
	TopicRuns              = "runs"
	TopicExportRequests    = "export-requests"
	TopicExportWindows     = "export-windows"
	TopicExportResults     = "export-results"
	TopicExportProgress    = "export-progress"
	TopicExportCompletions = "export-completions"
	TopicDeadLetters       = "dead-letters"
)

// DefaultPrefix comes before the names of the topics.
const DefaultPrefix = "millrace."

// Topic says how a topic is created.
type Topic struct {
	Name       string // without the prefix
	Partitions int32
	Configs    map[string]string // of Kafka, see https://kafka.apache.org/documentation/#topicconfigs
}

const (
	week    = "604800000" // in milliseconds, for retention.ms
	month   = "2592000000"
	size8M  = "8388608"
	size9M  = "9437184" // a dead letter is a record of 8 MiB and why
	forever = "-1"
)

// Topics are all topics, as `millrace topics` creates them. Runs are kept a week, so that ClickHouse may
// be down over a long weekend and be refilled after a mishap; completions are kept for good, by key.
var Topics = []Topic{
	{TopicRuns, 12, configs("delete", week, size8M)},
	{TopicExportRequests, 6, configs("delete", week, size8M)},
	{TopicExportWindows, 24, configs("delete", week, size8M)},
	{TopicExportResults, 6, configs("delete", week, size8M)},
	{TopicExportProgress, 6, configs("delete", week, size8M)},
	{TopicExportCompletions, 6, configs("compact", forever, size8M)},
	{TopicDeadLetters, 3, configs("delete", month, size9M)},
}

func configs(cleanup, retention, maxBytes string) map[string]string {
	return map[string]string{"cleanup.policy": cleanup, "retention.ms": retention, "max.message.bytes": maxBytes}
}
