package stage

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

// Kafka stores a record, answers too late, and refuses the record when the client repeats it: the
// transaction is aborted. In the next transaction of the same client the record would have the same
// number. Kafka before version 4 would take it for a duplicate of the aborted record: it would
// acknowledge the record and not store it. The record would be lost, and the offset of its input
// committed.
func TestARecordThatWasStoredAndThenRefusedIsNotLost(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]*kversion.Versions{"Kafka 3": kversion.V3_6_0(), "Kafka 4": kversion.V4_0_0()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := localtest.Kafka(t, kfake.MaxVersions(version), kfake.SeedTopics(1, in, out, "t."+event.TopicDeadLetters))
			produce(t, c, numbered(5)...)
			faults := c.Fault(
				// after Kafka stored the record
				kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: out, Err: kerr.RequestTimedOut},
				// before it stored the record
				kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: out, Err: kerr.UnknownServerError},
			)
			start(t, New(config(t, c), copyTo(out)))
			if got := values(read(t, reader(t, c, out), 5)); !slices.Equal(got, values(numbered(5))) {
				t.Errorf("got %v", got)
			}
			if faults.Hits() != 2 {
				t.Errorf("%d faults, want 2", faults.Hits())
			}
		})
	}
}

func TestAStageThatMayNotWriteItsResultsStopsAndSaysWhatToGrant(t *testing.T) {
	t.Parallel()
	c := localtest.Kafka(t, kfake.SeedTopics(1, in, out, "t."+event.TopicDeadLetters))
	produce(t, c, numbered(1)...)
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: out, Err: kerr.TopicAuthorizationFailed})
	err := New(config(t, c), copyTo(out)).Run(t.Context())
	if !errors.Is(err, kafka.ErrAccess) || !strings.Contains(err.Error(), "WRITE") || !strings.Contains(err.Error(), out) {
		t.Errorf("the stage ended with %v", err)
	}
}
