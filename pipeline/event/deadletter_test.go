package event_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/strictjson"
)

var refusal = &strictjson.Refusal{Code: strictjson.BadID, Pointer: "/run_id", Rule: "must match"}

// added are the headers that a dead letter of record has because of the refusal.
var added = []string{
	"millrace_error=bad_id", "millrace_error_detail=/run_id: must match", "millrace_stage=ingest", "millrace_topic=t",
	"millrace_partition=3",
	"millrace_offset=17", "millrace_timestamp=2026-01-31T12:00:00.123Z",
}

func headers(r *kgo.Record) []string {
	var list []string
	for _, h := range r.Headers {
		list = append(list, h.Key+"="+string(h.Value))
	}
	return list
}

func TestADeadLetterIsTheRecordAndWhy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		headers []string
		kept    []string
	}{
		{"no headers", nil, nil},
		{"headers of its own, one twice and one no text", []string{"a", "1", "ce_type", "T", "a", "\xff", "", ""},
			[]string{"a=1", "ce_type=T", "a=\xff", "="}},
		{"headers of a dead letter", []string{"millrace_error", "x", "a", "1", "millrace_error_detail", "x", "millrace_stage",
			"x", "millrace_topic", "x",
			"millrace_partition", "x", "millrace_offset", "x", "millrace_timestamp", "x"}, []string{"a=1"}},
		{"many of one of these", []string{"millrace_error", "x", "millrace_error", "y", "b", "2", "millrace_error", "z"},
			[]string{"b=2"}},
		{"headers that begin like these", []string{"millrace_errors", "x", "millrace_", "y", "Millrace_Error", "z"},
			[]string{"millrace_errors=x", "millrace_=y", "Millrace_Error=z"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := record("value\xff", c.headers...)
			before := headers(r)
			got := event.DeadLetter("dead", "ingest", r, refusal)
			if got.Topic != "dead" || string(got.Key) != "key" || string(got.Value) != "value\xff" {
				t.Errorf("topic %s, key %q, value %q", got.Topic, got.Key, got.Value)
			}
			if want := slices.Concat(c.kept, added); !slices.Equal(headers(got), want) {
				t.Errorf("headers %q, want %q", headers(got), want)
			}
			again := event.DeadLetter("dead", "ingest", r, refusal) // as after a crash
			if !slices.Equal(headers(again), headers(got)) || !slices.Equal(headers(r), before) {
				t.Error("the record was changed")
			}
		})
	}
}

func TestATombstoneStaysOne(t *testing.T) {
	t.Parallel()
	got := event.DeadLetter("dead", "ingest", &kgo.Record{Topic: "t"}, refusal)
	if got.Key != nil || got.Value != nil {
		t.Errorf("key %q, value %q", got.Key, got.Value)
	}
}

func TestADeadLettersDetailIsText(t *testing.T) {
	t.Parallel()
	got := event.DeadLetter("dead", "ingest", record(""), &strictjson.Refusal{Code: strictjson.BadID, Rule: "a\xffb"})
	for _, h := range got.Headers {
		if !utf8.Valid(h.Value) {
			t.Errorf("%s is %q", h.Key, h.Value)
		}
	}
}

func TestADeadLetterWithoutItsValueSaysWhereItIs(t *testing.T) {
	t.Parallel()
	whole := event.DeadLetter("dead", "ingest", record("value", "a", "1"), refusal)
	before := headers(whole)
	got := event.DeadLetterWithoutValue(whole)
	if got.Topic != "dead" || string(got.Key) != "key" || got.Value != nil {
		t.Errorf("topic %s, key %q, value %q", got.Topic, got.Key, got.Value)
	}
	want := slices.Concat([]string{"a=1"}, added)
	want[2] += "; the value of 5 bytes does not fit here: read it at the topic, partition and offset of these headers"
	if !slices.Equal(headers(got), want) {
		t.Errorf("headers %q, want %q", headers(got), want)
	}
	if string(whole.Value) != "value" || !slices.Equal(headers(whole), before) {
		t.Error("the whole letter was changed")
	}
}

func TestADeadLetterWithoutItsRecordHasOnlyWhatMillraceWrote(t *testing.T) {
	t.Parallel()
	whole := event.DeadLetter("dead", "ingest", record("value", "a", strings.Repeat("x", 1000), "b", ""), refusal)
	before := headers(whole)
	got := event.DeadLetterWithoutRecord(whole)
	if got.Topic != "dead" || got.Key != nil || got.Value != nil || len(got.Headers) != len(added) {
		t.Errorf("topic %s, key %q, value %q, headers %q", got.Topic, got.Key, got.Value, headers(got))
	}
	if string(whole.Key) != "key" || !slices.Equal(headers(whole), before) {
		t.Error("the whole letter was changed")
	}
}

func TestEveryErrorBecomesARefusal(t *testing.T) {
	t.Parallel()
	if got := event.AsRefusal(fmt.Errorf("wrapped: %w", refusal)); got != refusal {
		t.Errorf("got %v", got)
	}
	if got := event.AsRefusal(errors.New("text")); got.Code != strictjson.InvalidJSON || got.Rule != "text" {
		t.Errorf("got %v", got)
	}
}
