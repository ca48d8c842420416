package stage

import (
	"encoding/json"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// Message is an event that a stage sends.
type Message struct {
	Type    string // CloudEvents type
	ID      string // the same for the same event, however often it is sent
	Source  string
	Subject string
	Time    time.Time
	Trace   string // W3C traceparent, or ""
	Data    any    // of a type that json.Marshal takes
}

// Record returns the message as a record of a topic, named with its prefix.
func (m Message) Record(topic string, key []byte) *kgo.Record {
	data, err := json.Marshal(m.Data)
	if err != nil {
		panic(err) // the types are plain
	}
	return event.Event{
		ID: m.ID, Source: m.Source, Type: m.Type, Subject: m.Subject, Time: m.Time, TraceParent: m.Trace, Data: data,
	}.Record(topic, key)
}

// Decode reads the data of a record whose event has the given type. The error is a *strictjson.Refusal.
func Decode[T any](r *kgo.Record, eventType string) (*T, error) {
	e, err := event.Decode(r)
	if err != nil {
		return nil, err
	}
	if e.Type != eventType {
		return nil, &strictjson.Refusal{Code: strictjson.UnknownType, Pointer: "/type", Rule: "must be " + eventType}
	}
	if err := strictjson.Check(e.Data); err != nil {
		return nil, err
	}
	doc := new(T)
	if err := json.Unmarshal(e.Data, doc); err != nil {
		return nil, &strictjson.Refusal{Code: strictjson.WrongType, Rule: "is not the data of " + eventType}
	}
	return doc, nil
}
