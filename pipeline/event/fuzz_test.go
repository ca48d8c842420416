package event_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// FuzzDecode checks that, whatever the record:
//
//   - decoding does not panic;
//   - an error is a refusal with a code and a rule, and its code is invalid_json only if the value
//     is not JSON;
//   - an event has an id and a time;
//   - the data of a structured or bare event is valid JSON unless it came as base64;
//   - the event, written in binary mode, is read back the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(data), "application/json", "T")
	f.Add([]byte(envelope), "", "")
	f.Add([]byte(envelope), "application/cloudevents+json; charset=utf-8", "")
	f.Add([]byte(`{"specversion":"1.0","data_base64":"e30=","time":"2026-01-31T10:00:00+02:00"}`), "", "")
	f.Add([]byte("\x00\x00\x00\x00\x01{\"type\":\"T\"}"), "", "")
	f.Fuzz(func(t *testing.T, value []byte, contentType, eventType string) {
		headers := []string{"content-type", contentType}
		if eventType != "" {
			headers = append(headers, "ce_type", eventType)
		}
		e, err := event.Decode(record(string(value), headers...))
		var refusal *strictjson.Refusal
		if err != nil {
			if !errors.As(err, &refusal) || refusal.Code == "" || refusal.Rule == "" {
				t.Fatalf("not a refusal: %#v", err)
			}
			if refusal.Code == strictjson.InvalidJSON && json.Valid(value) {
				t.Fatalf("valid JSON is called invalid: %v", err)
			}
			return
		}
		if e.ID == "" || e.Time.IsZero() {
			t.Fatalf("no id or no time: %+v", e)
		}
		if (e.Pointer == "/data" || e.Pointer == "" && eventType == "") && !json.Valid(e.Data) {
			t.Fatalf("the data is no JSON: %q", e.Data)
		}
		if e.Type == "" { // a bare request of an export, which is never written
			return
		}
		again := e.Record("t", nil)
		again.Timestamp = recordTime
		got, err := event.Decode(again)
		if len(e.Data) >= 5 && e.Data[0] == 0 { // a second prefix of Confluent behind the first
			return
		}
		e.Pointer = ""
		if err != nil || !equal(got, e) || !got.Time.Equal(e.Time) || string(got.Data) != string(e.Data) {
			t.Fatalf("wrote %+v, read %+v, %v", e, got, err)
		}
	})
}
