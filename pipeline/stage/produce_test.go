package stage

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

// Kafka stores a record, answers too late, and refuses it when it comes again: the transaction is aborted. In the next one
// of the same client the record would have the same number, and before Kafka 4 that is a duplicate of what was aborted,
// which is acknowledged and not stored: the record would be lost, and its input's offset committed.
func TestARecordThatWasStoredAndThenRefusedIsNotLost(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]*kversion.Versions{"Kafka 3": kversion.V3_6_0(), "Kafka 4": kversion.V4_0_0()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := localtest.Kafka(t, kfake.MaxVersions(version), kfake.SeedTopics(1, in, out, "t."+event.TopicDeadLetters))
			produce(t, c, numbered(5)...)
			faults := c.Fault(
				kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: out, Err: kerr.RequestTimedOut},    // after storing
				kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: out, Err: kerr.UnknownServerError}, // before
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
