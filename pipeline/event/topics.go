package event

// Names of the topics, without the prefix that an installation gives them.
const (
	TopicRuns              = "runs"
	TopicExportRequests    = "export-requests"
	TopicExportWindows     = "export-windows"
	TopicExportResults     = "export-results"
	TopicExportProgress    = "export-progress"
	TopicExportCompletions = "export-completions"
	TopicDeadLetters       = "dead-letters"
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
	size8M  = "8388608"
	size9M  = "9437184" // a dead letter is a record of up to 8 MiB and why it was refused
	forever = "-1"
)

// Topics are all topics, as `millrace topics` creates them. Kafka keeps runs for a week, so that
// ClickHouse may be down over a long weekend, or be refilled after a mishap. It keeps the last
// completion of each export for ever.
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
