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
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/sinks/bucket"
)

// eventSource is the CloudEvents source of what servers publish.
const eventSource = "millrace/serve"

// ErrNotAcknowledged says that Kafka has not acknowledged an event, which may be there or not.
var ErrNotAcknowledged = errors.New("not acknowledged by Kafka")

// File files a request with Kafka, and returns the export when Kafka has it. Document is the request's JSON, of which
// request is what [export.ParseRequest] returned; traceParent is the W3C trace context of who asks, or "". ErrConflict where the id is that
// of another request; the same request again is the same export. After ErrNotAcknowledged the request may be filed or not: the same one may
// be filed again.
func (e *Exports) File(ctx context.Context, request *export.Request, document []byte, traceParent string) (*Export, error) {
	hash := request.Hash()
	there, err := e.conflicts(ctx, request.ID, hash)
	if err != nil {
		return nil, err
	}
	if there {
		return e.Get(ctx, request.ID)
	}
	ev := event.Event{
		ID: uuid.NewString(), Source: eventSource, Type: export.TypeRequested, Time: time.Now(), TraceParent: traceParent, Data: document,
	}
	r, err := e.publish(ctx, request.ID, ev)
	if err != nil {
		return nil, err
	}
	// Of two that file different requests under one id at the same time, the first in the topic wins, as it does for plan.
	wait, cancel := context.WithTimeout(ctx, e.cfg.Timeout/3)
	defer cancel()
	if err := e.tail.reach(wait, map[kafka.Partition]int64{{Topic: r.Topic, ID: r.Partition}: r.Offset + 1}); err != nil {
		e.board.requested(&ev)
	}
	if _, err := e.conflicts(ctx, request.ID, hash); err != nil {
		return nil, err
	}
	return e.Get(ctx, request.ID)
}

// conflicts says whether a request was filed before: ErrConflict if that was another one.
func (e *Exports) conflicts(ctx context.Context, id export.ID, hash string) (there bool, err error) {
	p, err := folder.Folder{Bucket: e.bucket, ID: id}.Plan(ctx)
	switch {
	case err == nil && p.Hash != hash && (p.Request == nil || p.Request.Hash() != hash):
		return true, ErrConflict
	case err == nil:
		return true, nil
	case !errors.Is(err, bucket.ErrNotFound):
		return false, err
	}
	k := e.board.state(id)
	if k.onlyFiled && k.hash != hash {
		return true, ErrConflict
	}
	return k.onlyFiled, nil
}

// publish sends an event about an export to topic export-requests, as any other producer would.
func (e *Exports) publish(ctx context.Context, id export.ID, ev event.Event) (*kgo.Record, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.Timeout) // who hangs up has asked all the same
	defer cancel()
	topic := e.cfg.TopicPrefix + event.TopicExportRequests
	answer := make(chan error, 1)
	r := ev.Record(topic, id.Key())
	e.cfg.Producer.Produce(ctx, r, func(_ *kgo.Record, err error) { answer <- err })
	select {
	case err := <-answer:
		if err == nil {
			return r, nil
		}
		return nil, fmt.Errorf("%w: topic %s: %w", ErrNotAcknowledged, topic, err)
	case <-ctx.Done(): // the client takes seconds to notice
		return nil, fmt.Errorf("%w: topic %s: %w", ErrNotAcknowledged, topic, ctx.Err())
	}
}

// Cancel asks that a running export end, and returns how it is now. ErrNotFound; ErrEnded where it ended otherwise before.
func (e *Exports) Cancel(ctx context.Context, id export.ID, by string) (*Export, error) {
	x, err := e.Get(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case x.Status == export.StatusCancelled:
		return x, nil
	case x.Status.Final():
		return x, fmt.Errorf("%w: %s", ErrEnded, x.Status)
	}
	data, err := json.Marshal(export.Cancel{ID: id, RequestedBy: by})
	if err != nil {
		return nil, err
	}
	if _, err := e.publish(ctx, id, event.Event{ID: uuid.NewString(), Source: eventSource, Type: export.TypeCancelled, Time: time.Now(), Data: data}); err != nil {
		return nil, err
	}
	return x, nil
}

// Delete deletes the files of an export that has ended, any number of times. ErrNotFound, or dataset.ErrRunning.
func (e *Exports) Delete(ctx context.Context, id export.ID, by string) error {
	d, err := e.Dataset(ctx, id)
	if err != nil {
		return err
	}
	return d.Delete(context.WithoutCancel(ctx), by)
}
