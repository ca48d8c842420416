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

// The headers that a dead letter has beside the headers of its record.
const (
	HeaderError     = "millrace_error"        // a strictjson.Code
	HeaderDetail    = "millrace_error_detail" // JSON pointer and rule, never a value from the payload
	HeaderStage     = "millrace_stage"
	HeaderTopic     = "millrace_topic"
	HeaderPartition = "millrace_partition"
	HeaderOffset    = "millrace_offset"
	HeaderTimestamp = "millrace_timestamp" // the record's, RFC 3339
)

// OtherCode stands for codes that are not in [DeadLetterCodes], where the number of values is bounded.
const OtherCode = "other"

// DeadLetterCodes are the values of header millrace_error: the codes of package strictjson, and those
// of mistakes in a cancel. The last one is OtherCode.
var DeadLetterCodes = func() (codes []string) {
	for _, code := range strictjson.Codes {
		codes = append(codes, string(code))
	}
	return append(codes, "unknown_field", "not_possible", OtherCode)
}()

// IsDeadLetterHeader reports whether DeadLetter writes the header. DeadLetter replaces such headers
// of a record.
func IsDeadLetterHeader(key string) bool {
	switch key {
	case HeaderError, HeaderDetail, HeaderStage, HeaderTopic, HeaderPartition, HeaderOffset, HeaderTimestamp:
		return true
	}
	return false
}

// DeadLetter returns the record of topic dead-letters for a record that a stage refuses: the same
// key, value and headers, and the refusal.
func DeadLetter(topic, stage string, r *kgo.Record, refusal *strictjson.Refusal) *kgo.Record {
	headers := make([]kgo.RecordHeader, 0, len(r.Headers)+7)
	for _, h := range r.Headers {
		if !IsDeadLetterHeader(h.Key) {
			headers = append(headers, h)
		}
	}
	add := func(key, value string) {
		headers = append(headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	add(HeaderError, string(refusal.Code))
	add(HeaderDetail, strings.ToValidUTF8(refusal.Detail(), "\uFFFD"))
	add(HeaderStage, stage)
	add(HeaderTopic, r.Topic)
	add(HeaderPartition, strconv.Itoa(int(r.Partition)))
	add(HeaderOffset, strconv.FormatInt(r.Offset, 10))
	add(HeaderTimestamp, r.Timestamp.UTC().Format(time.RFC3339Nano))
	return &kgo.Record{Topic: topic, Key: r.Key, Value: r.Value, Headers: headers}
}

// AsRefusal returns the refusal that err is or wraps. An error of another kind becomes a refusal
// with code invalid_json and the error's text.
func AsRefusal(err error) *strictjson.Refusal {
	var refusal *strictjson.Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	return &strictjson.Refusal{Code: strictjson.InvalidJSON, Rule: err.Error()}
}

// DeadLetterWithoutValue returns a dead letter without its value, which topic dead-letters cannot
// hold. Its detail says where the value is.
func DeadLetterWithoutValue(r *kgo.Record) *kgo.Record {
	letter := *r
	letter.Value = nil
	letter.Headers = append([]kgo.RecordHeader(nil), r.Headers...)
	for i, h := range letter.Headers {
		if h.Key == HeaderDetail {
			letter.Headers[i].Value = []byte(string(h.Value) + "; the value of " + strconv.Itoa(len(r.Value)) +
				" bytes does not fit here: read it at the topic, partition and offset of these headers")
		}
	}
	return &letter
}

// DeadLetterWithoutRecord returns a dead letter without key, value and headers of its record, where
// topic dead-letters cannot hold those.
func DeadLetterWithoutRecord(r *kgo.Record) *kgo.Record {
	letter := DeadLetterWithoutValue(r)
	letter.Key = nil
	letter.Headers = slices.DeleteFunc(letter.Headers, func(h kgo.RecordHeader) bool { return !IsDeadLetterHeader(h.Key) })
	return letter
}
