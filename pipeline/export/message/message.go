// Package message builds the Kafka records that the stages of exports send. A record that is sent
// again has the same id.
package message

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
)

// largeHeader marks the copy of a request that plan has handed over.
const largeHeader = "millrace-large"

// Large returns the record that hands a large request over to those who plan such: a copy of its record.
func Large(id export.ID, r *kgo.Record) *kgo.Record {
	headers := append(slices.Clone(r.Headers), kgo.RecordHeader{Key: largeHeader, Value: []byte("1")})
	return &kgo.Record{Topic: r.Topic, Key: id.Key(), Value: r.Value, Headers: headers, Timestamp: r.Timestamp}
}

// IsLarge reports whether a record was made by [Large].
func IsLarge(r *kgo.Record) bool {
	return slices.ContainsFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == largeHeader })
}

// Window returns the record that asks extract for a window.
func Window(topicPrefix string, p *export.Plan, window int) *kgo.Record {
	return record(topicPrefix, p, message{
		topic: event.TopicExportWindows, key: p.WindowKey(window), kind: export.TypeWindow,
		id:   fmt.Sprintf("%s/window/%d", p.ID, window),
		data: export.Window{ID: p.ID, Window: window, Direct: p.Snapshot == ""},
	})
}

// Result returns the record that tells seal the outcome of a window or of the whole export.
func Result(topicPrefix string, p *export.Plan, result export.Result) *kgo.Record {
	result.ID = p.ID
	return record(topicPrefix, p, message{
		topic: event.TopicExportResults, key: p.Key(), kind: export.TypeResult,
		id: fmt.Sprintf("%s/%s/%d", p.ID, result.Kind, result.Window), data: result,
	})
}

// Progress returns the record of a progress event.
func Progress(topicPrefix string, p *export.Plan, progress *export.Progress) *kgo.Record {
	return record(topicPrefix, p, message{
		topic: event.TopicExportProgress, key: p.Key(), kind: export.TypeProgressed, at: progress.UpdatedAt,
		id: fmt.Sprintf("%s/%s/%d", p.ID, progress.Status, progress.WindowsDone), data: progress,
	})
}

// Notice returns the record of a partial progress event.
func Notice(topicPrefix string, notice *export.Progress, traceParent string) *kgo.Record {
	p := &export.Plan{ID: notice.ID, TraceParent: traceParent}
	id := p.String() + "/cancelling"
	if r := notice.Retrying; r != nil {
		id = fmt.Sprintf("%s/retrying/%s/%d", p.ID, r.Stage, notice.UpdatedAt.UnixMilli())
	}
	return record(topicPrefix, p, message{
		topic: event.TopicExportProgress, key: p.Key(), kind: export.TypeProgressed, at: notice.UpdatedAt,
		id: id, data: notice,
	})
}

// Completion returns the record of a completion event.
func Completion(topicPrefix string, p *export.Plan, c *export.Completion) *kgo.Record {
	return record(topicPrefix, p, message{
		topic: event.TopicExportCompletions, key: p.Key(), kind: export.TypeCompleted, at: *c.CompletedAt,
		id: p.CompletionID(), data: c,
	})
}

// Audit returns the record of an entry of the trail about an export.
func Audit(topicPrefix string, p *export.Plan, e audit.Entry) *kgo.Record {
	e.WorkspaceID, e.ExportID = p.WorkspaceID, p.ExportID
	return e.Record(topicPrefix, export.EventSource)
}

type message struct {
	topic    string
	key      []byte
	kind, id string
	at       time.Time
	data     any
}

func record(topicPrefix string, p *export.Plan, m message) *kgo.Record {
	data, err := json.Marshal(m.data)
	if err != nil {
		panic(err) // the types are plain
	}
	return event.Event{
		ID: m.id, Source: export.EventSource, Type: m.kind, Subject: p.ID.String(), Time: m.at,
		TraceParent: p.TraceParent, Data: data,
	}.Record(topicPrefix+m.topic, m.key)
}
