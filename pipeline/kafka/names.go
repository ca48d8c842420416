package kafka

import (
	"errors"
	"fmt"
	"regexp"
	"unicode/utf8"

	"github.com/millrace/millrace/pipeline/event"
)

// maxTopicName is the longest name of a topic that Kafka accepts, see
// org.apache.kafka.common.internals.Topic. The name of a consumer group and a transactional id may
// be any string of the protocol.
const maxTopicName = 249

var topicCharacters = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// CheckTopicPrefix returns an error unless Kafka accepts the prefix with the name of every topic.
func CheckTopicPrefix(prefix string) error {
	longest := 0
	for _, topic := range event.Topics {
		longest = max(longest, len(topic.Name))
	}
	if !topicCharacters.MatchString(prefix) || len(prefix)+longest > maxTopicName {
		return fmt.Errorf("must be 1 to %d letters, digits, '.', '_' or '-', which is what Kafka takes in names of topics",
			maxTopicName-longest)
	}
	return nil
}

// maxTransactionalIDPrefix leaves room in a string of the protocol, 32,767 bytes, for the rest of
// an id.
const maxTransactionalIDPrefix = 32_000

// CheckTransactionalIDPrefix returns an error unless Kafka accepts transactional ids with the
// prefix.
func CheckTransactionalIDPrefix(prefix string) error {
	if !utf8.ValidString(prefix) || len(prefix) > maxTransactionalIDPrefix {
		return errors.New("must be UTF-8 of at most 32,000 bytes")
	}
	return nil
}
