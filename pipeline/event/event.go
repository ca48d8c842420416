// Package event reads and writes CloudEvents 1.0 as Kafka records.
//
//	event.go        Event, from a record and to a record
//	limits.go       the sizes of events and strings, and of the records of topics
//	deadletter.go   dead letters: refused records, and why they were refused
//	topics.go       the topics of the contract
//
// It reads the binary mode (attributes in ce_* headers), the structured mode (a JSON envelope) and
// bare JSON, which is the data with its type beside its keys. It writes the binary mode. The rules
// are those of the Kafka protocol binding,
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md,
// and of the JSON format,
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md.
package event

import (
	"encoding/base64"
	"mime"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/jsonscan"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// Event is a CloudEvent whose data is JSON.
type Event struct {
	ID      string // default: topic/partition/offset of its record
	Source  string
	Type    string // "" where a bare object has none
	Subject string
	Time    time.Time // default: the record's timestamp
	// TraceParent is the W3C trace context, from the header or the attribute of that name.
	TraceParent string
	// Data is the JSON document. After Decode it is a slice of the record's value, unless it came
	// as base64.
	Data []byte
	// Pointer is the JSON pointer of Data in the record's value: "", "/data" or "/data_base64".
	Pointer string
}

// Decode reads the event of a record, with the limits of the contract. It checks Data only as far as
// it has to in order to read a structured or bare record. The error is a *strictjson.Refusal.
func Decode(r *kgo.Record) (Event, error) { return Limits{}.Decode(r) }

// Decode reads the event of a record, as [Decode] does.
func (l Limits) Decode(r *kgo.Record) (Event, error) {
	e, err := l.decode(r)
	if e.ID == "" {
		e.ID = r.Topic + "/" + strconv.Itoa(int(r.Partition)) + "/" + strconv.FormatInt(r.Offset, 10)
	}
	return e, err
}

func (l Limits) decode(r *kgo.Record) (Event, error) {
	e := Event{Time: r.Timestamp.UTC().Truncate(time.Microsecond)}
	if err := l.CheckValue(int64(len(r.Value))); err != nil {
		return e, err
	}
	value := jsonscan.TrimByteOrderMark(stripConfluent(r.Value))
	var contentType string
	for _, h := range r.Headers {
		switch h.Key {
		case "content-type":
			contentType = string(h.Value)
		case "traceparent":
			e.TraceParent = string(h.Value)
		}
	}
	media := mediaType(contentType)
	switch {
	case media == "application/cloudevents" || media == "application/cloudevents+json":
		return e.structured(value, l)
	case strings.HasPrefix(media, "application/cloudevents"):
		return e, &strictjson.Refusal{
			Code: strictjson.UnknownType,
			Rule: "content-type must be application/cloudevents+json: other formats of CloudEvents and batches are not read " +
				"from Kafka",
		}
	}
	for _, h := range r.Headers {
		if name, ok := strings.CutPrefix(h.Key, "ce_"); ok {
			if err := e.attribute("header ce_", name, string(h.Value)); err != nil {
				return e, err
			}
		}
	}
	if e.Type == "" { // bare, even if its headers have other attributes
		return e.bare(value, l)
	}
	if err := requireJSON(media, "header content-type"); err != nil {
		return e, err
	}
	e.Data = value
	return e, nil
}

// stripConfluent removes the prefix of Confluent's wire format: a zero byte and a schema id of 4
// bytes.
func stripConfluent(value []byte) []byte {
	if len(value) >= 5 && value[0] == 0 {
		return value[5:]
	}
	return value
}

func (e Event) structured(value []byte, l Limits) (Event, error) {
	r := strictjson.Reader{MaxString: l.String, Borrow: true}
	r.Reset(value, "", strictjson.MaxDepth+1) // the envelope is one level
	err := r.Object(func(key string) error {
		switch {
		case r.Kind() == strictjson.Null: // counts as absent
			return r.Skip()
		case key == "data" || key == "data_base64":
			return e.data(&r, key, l)
		case r.Kind() != strictjson.String && !isAttribute(key): // extensions may be numbers and booleans
			return r.Skip()
		}
		text, err := r.Text()
		if err != nil {
			return err
		}
		if key == "datacontenttype" {
			return requireJSON(mediaType(text), "/datacontenttype")
		}
		return e.attribute("/", key, strings.Clone(text)) // the event may outlive its record
	})
	if err == nil {
		err = r.End()
	}
	if err != nil {
		return e, err
	}
	if e.Data == nil {
		return e, &strictjson.Refusal{Code: strictjson.MissingField, Pointer: "/data", Rule: "is required"}
	}
	return e, nil
}

// data reads the data of an envelope: JSON under the key data, or JSON in base64 under the key
// data_base64.
func (e *Event) data(r *strictjson.Reader, key string, l Limits) (err error) {
	if e.Data != nil {
		return r.Refuse(strictjson.DuplicateKey, "an event has data or data_base64, not both")
	}
	e.Pointer = "/" + key
	if key == "data" {
		e.Data, err = r.Span()
		return err
	}
	r.MaxString = l.MaxValue() // it is a document, and no text
	encoded, err := r.Text()
	r.MaxString = l.String
	if err != nil {
		return err
	}
	if e.Data, err = base64.StdEncoding.DecodeString(encoded); err != nil {
		return r.Refuse(strictjson.WrongType, "must be base64 (RFC 4648)")
	}
	return nil
}

// bare reads a JSON object that is the data, with its type beside the data's keys. An object with a
// specversion is a structured event whose content-type is missing.
func (e Event) bare(value []byte, l Limits) (Event, error) {
	r := strictjson.Reader{MaxString: l.String, Borrow: true}
	r.Reset(value, "", strictjson.MaxDepth+1)
	envelope := false
	err := r.Object(func(key string) (err error) {
		switch key {
		case "specversion":
			envelope = true
		case "type":
			if r.Kind() != strictjson.Null {
				text, err := r.Text()
				e.Type = strings.Clone(text)
				return err
			}
		case "data_base64": // of a structured event: it is a document, and no text
			r.MaxString = l.MaxValue()
			defer func() { r.MaxString = l.String }()
		}
		return r.Skip()
	})
	if err == nil {
		err = r.End()
	}
	if err != nil {
		return e, err
	}
	if envelope {
		return e.structured(value, l)
	}
	e.Data = value
	return e, nil
}

func isAttribute(name string) bool {
	switch name {
	case "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "traceparent":
		return true
	}
	return false
}

// attribute sets an attribute of the event. The prefix and the name are its place in the record.
func (e *Event) attribute(prefix, name, value string) error {
	refuse := func(code strictjson.Code, rule string) error {
		return &strictjson.Refusal{Code: code, Pointer: prefix + name, Rule: rule}
	}
	switch name {
	case "specversion":
		if value != "1.0" {
			return refuse(strictjson.UnknownType, "must be 1.0")
		}
	case "id":
		e.ID = value
	case "source":
		e.Source = value
	case "type":
		e.Type = value
	case "subject":
		e.Subject = value
	case "traceparent":
		if e.TraceParent == "" { // the header wins over the attribute
			e.TraceParent = value
		}
	case "time":
		t, rule, inRange := runs.ParseTimestamp(value) // CloudEvents allow any offset from UTC
		switch {
		case rule != "" && inRange:
			return refuse(strictjson.WrongType, rule)
		case rule != "":
			return refuse(strictjson.OutOfRange, rule)
		}
		e.Time = t.Truncate(time.Microsecond)
	}
	return nil
}

// mediaType returns the media type of a content-type header, without parameters.
func mediaType(contentType string) string {
	if contentType == "application/json" { // as nearly every record has
		return contentType
	}
	media, _, _ := mime.ParseMediaType(contentType)
	return media
}

func requireJSON(media, place string) error {
	if media == "" || media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json") {
		return nil
	}
	return &strictjson.Refusal{Code: strictjson.UnknownType, Pointer: place, Rule: "must be application/json"}
}

// Record returns the event as a record in binary mode.
func (e Event) Record(topic string, key []byte) *kgo.Record {
	headers := make([]kgo.RecordHeader, 0, 8)
	add := func(key, value string) {
		if value != "" {
			headers = append(headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
		}
	}
	add("ce_specversion", "1.0")
	add("ce_id", e.ID)
	add("ce_source", e.Source)
	add("ce_type", e.Type)
	add("ce_subject", e.Subject)
	if !e.Time.IsZero() {
		add("ce_time", e.Time.UTC().Format(time.RFC3339Nano))
	}
	add("content-type", "application/json")
	add("traceparent", e.TraceParent)
	return &kgo.Record{Topic: topic, Key: key, Value: e.Data, Headers: headers}
}
