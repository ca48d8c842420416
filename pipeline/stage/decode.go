package stage

import (
	"encoding/json"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// Decode reads the data of a record whose event has the given type. The error is a
// *strictjson.Refusal.
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
