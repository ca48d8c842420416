package event

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/strictjson"
)

// The headers that a dead letter has beside the record's own.
const (
	HeaderError     = "millrace_error"        // a strictjson.Code
	HeaderDetail    = "millrace_error_detail" // JSON pointer and rule, never a value from the payload
	HeaderStage     = "millrace_stage"
	HeaderTopic     = "millrace_topic"
	HeaderPartition = "millrace_partition"
	HeaderOffset    = "millrace_offset"
	HeaderTimestamp = "millrace_timestamp" // the record's, RFC 3339
)

// IsDeadLetterHeader says whether a header is one that DeadLetter writes. On an incoming record such a
// header is nobody's business and is replaced.
func IsDeadLetterHeader(key string) bool {
	switch key {
	case HeaderError, HeaderDetail, HeaderStage, HeaderTopic, HeaderPartition, HeaderOffset, HeaderTimestamp:
		return true
	}
	return false
}

// DeadLetter returns the record of topic dead-letters for a record that a stage cannot take: the same
// key, value and headers, and why.
func DeadLetter(topic, stage string, r *kgo.Record, why *strictjson.Refusal) *kgo.Record {
	headers := make([]kgo.RecordHeader, 0, len(r.Headers)+7)
	for _, h := range r.Headers {
		if !IsDeadLetterHeader(h.Key) {
			headers = append(headers, h)
		}
	}
	add := func(key, value string) {
		headers = append(headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	add(HeaderError, string(why.Code))
	add(HeaderDetail, strings.ToValidUTF8(why.Detail(), "\uFFFD"))
	add(HeaderStage, stage)
	add(HeaderTopic, r.Topic)
	add(HeaderPartition, strconv.Itoa(int(r.Partition)))
	add(HeaderOffset, strconv.FormatInt(r.Offset, 10))
	add(HeaderTimestamp, r.Timestamp.UTC().Format(time.RFC3339Nano))
	return &kgo.Record{Topic: topic, Key: r.Key, Value: r.Value, Headers: headers}
}

// Refused returns err as a refusal; an error of another kind is invalid_json with its text.
func Refused(err error) *strictjson.Refusal {
	var refusal *strictjson.Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	return &strictjson.Refusal{Code: strictjson.InvalidJSON, Rule: err.Error()}
}

// DeadLetterWithoutValue returns a dead letter that says where its value is, for a value that topic
// dead-letters cannot hold.
func DeadLetterWithoutValue(r *kgo.Record) *kgo.Record {
	short := *r
	short.Value = nil
	short.Headers = append([]kgo.RecordHeader(nil), r.Headers...)
	for i, h := range short.Headers {
		if h.Key == HeaderDetail {
			short.Headers[i].Value = []byte(string(h.Value) + "; the value of " + strconv.Itoa(len(r.Value)) +
				" bytes does not fit here: read it at the topic, partition and offset of these headers")
		}
	}
	return &short
}

// DeadLetterAlone returns a dead letter without key, value and the record's own headers, where those are
// what topic dead-letters cannot hold.
func DeadLetterAlone(r *kgo.Record) *kgo.Record {
	alone := DeadLetterWithoutValue(r)
	alone.Key = nil
	alone.Headers = slices.DeleteFunc(alone.Headers, func(h kgo.RecordHeader) bool { return !IsDeadLetterHeader(h.Key) })
	return alone
}
