package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/rights"
)

// ErrNotAcknowledged means that Kafka has not acknowledged an event. The event may be in the topic
// all the same.
var ErrNotAcknowledged = errors.New("not acknowledged by Kafka")

// Requests publishes requests and cancels to topic export-requests. It needs nothing but Kafka, so
// that a command can file a request while ClickHouse and the object store are down.
type Requests struct {
	Producer    *kgo.Client
	TopicPrefix string
	Source      string        // the CloudEvents source, such as millrace/request
	Timeout     time.Duration // for Kafka to acknowledge an event
}

// File publishes a request, given as its JSON, and returns when Kafka has acknowledged it.
// ErrNotAcknowledged: the same request may be filed again.
func (r *Requests) File(ctx context.Context, id export.ID, document []byte) error {
	_, err := r.publish(ctx, id, r.event(export.TypeRequested, document))
	return err
}

// Cancel publishes a cancel, and returns when Kafka has acknowledged it. It does not look whether
// the export exists.
func (r *Requests) Cancel(ctx context.Context, id export.ID, by string) error {
	data, err := json.Marshal(export.Cancel{ID: id, RequestedBy: by})
	if err != nil {
		return err
	}
	_, err = r.publish(ctx, id, r.event(export.TypeCancelled, data))
	return err
}

func (r *Requests) event(eventType string, data []byte) event.Event {
	return event.Event{ID: uuid.NewString(), Source: r.Source, Type: eventType, Time: time.Now(), Data: data}
}

// publish returns the record as it is in the topic.
func (r *Requests) publish(ctx context.Context, id export.ID, e event.Event) (*kgo.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	topic := r.TopicPrefix + event.TopicExportRequests
	acknowledged := make(chan error, 1)
	record := e.Record(topic, id.Key())
	r.Producer.Produce(ctx, record, func(_ *kgo.Record, err error) { acknowledged <- err })
	select {
	case err := <-acknowledged:
		if err != nil {
			return nil, fmt.Errorf("export %s: write to topic %s: %w: %w", id, topic, ErrNotAcknowledged,
				kafka.Lacking(err, kafka.On(topic, rights.Write)))
		}
		return record, nil
	case <-ctx.Done(): // the client takes seconds to notice
		return nil, fmt.Errorf("export %s: write to topic %s: %w: %w", id, topic, ErrNotAcknowledged, ctx.Err())
	}
}
