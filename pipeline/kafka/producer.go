package kafka

import (
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/runs"
)

// ProducerOptions returns the options of an idempotent producer (the default) of large compressed
// batches. It repeats a request whose new connection a broker closes unanswered, as one does that is
// killed then. The default is to give up, since it may be that the broker expects TLS. That is found
// out before: kgo.Client.Ping and the checks at the start of a role do not repeat it.
func ProducerOptions() []kgo.Opt {
	return []kgo.Opt{
		// The client compares the size before compression; the broker that of the batch as sent.
		kgo.ProducerBatchMaxBytes(event.MaxValue + batchRoom),
		kgo.ProducerLinger(5 * time.Millisecond),
		kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.NoCompression()),
		kgo.MaxBufferedBytes(64 << 20),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.AlwaysRetryEOF(),
	}
}

// Checker checks run events before they are produced, by the rules that ingest applies to them
// again. It is not safe for concurrent use.
type Checker struct {
	// Source is the CloudEvents source of events without one.
	Source  string
	Limits  event.Limits
	decoder runs.Decoder
}

// Record returns the record of a run event, given as structured or bare JSON, and what the event
// says. The record has no topic. Both refer to text, which must not change. The error is a
// *strictjson.Refusal.
func (c *Checker) Record(text []byte) (r *kgo.Record, decoded runs.Event, err error) {
	now := time.Now()
	e, err := c.Limits.Decode(&kgo.Record{Value: text, Timestamp: now})
	if err != nil {
		return nil, nil, err
	}
	c.decoder.MaxString, c.decoder.Latest, c.decoder.Borrow = c.Limits.String, c.Limits.Latest(now), true
	decoded, err = c.decoder.Decode(e.Type, e.Data, e.Pointer, e.Time)
	if err != nil {
		return nil, nil, err
	}
	if strings.HasPrefix(e.ID, "/") {
		e.ID = "" // the event has no id; Decode made one of the record's position
	}
	if e.Source == "" {
		e.Source = c.Source
	}
	return e.Record("", []byte(decoded.Workspace()+"/"+runID(decoded))), decoded, nil
}

func runID(e runs.Event) string {
	switch e := e.(type) {
	case *runs.Run:
		return e.RunID
	case *runs.Node:
		return e.RunID
	case *runs.Feedback:
		return e.RunID
	}
	return ""
}
