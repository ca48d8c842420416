package event_test

import (
	"bufio"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// recordTime is the timestamp of the tests' records.
var recordTime = time.Date(2026, 1, 31, 12, 0, 0, 123_000_000, time.UTC)

// record returns a record with headers in pairs of key and value.
func record(value string, headers ...string) *kgo.Record {
	r := &kgo.Record{Topic: "t", Partition: 3, Offset: 17, Timestamp: recordTime, Key: []byte("key"), Value: []byte(value)}
	for i := 0; i < len(headers); i += 2 {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: headers[i], Value: []byte(headers[i+1])})
	}
	return r
}

const (
	data     = `{"run_id":"r1"}`
	envelope = `{"specversion":"1.0","id":"1","source":"/s","type":"T","time":"2026-01-31T10:00:00Z",` +
		`"subject":"sub","traceparent":"00-1",` +
		`"datacontenttype":"application/json","dataschema":"urn:x","ext":1,"flag":true,"data":` + data + `}`
)

// want is an event of type T with every attribute. The cases change it.
var want = event.Event{
	ID: "1", Source: "/s", Type: "T", Subject: "sub", Time: time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC),
	TraceParent: "00-1", Data: []byte(data),
}

// bareWant is a bare event of type T.
var bareWant = event.Event{ID: "t/3/17", Type: "T", Time: recordTime}

func edit(e event.Event, f func(*event.Event)) event.Event {
	f(&e)
	return e
}

func structured(e event.Event) event.Event { e.Pointer = "/data"; return e }

func withData(e event.Event, data string) event.Event { e.Data = []byte(data); return e }

var binaryHeaders = []string{
	"ce_specversion", "1.0", "ce_id", "1", "ce_source", "/s", "ce_type", "T", "ce_time", "2026-01-31T10:00:00Z",
	"ce_subject", "sub",
	"ce_traceparent", "00-1", "ce_dataschema", "urn:x", "ce_ext", "1", "content-type", "application/json",
}

// replace changes one header's value; "" drops the header.
func replace(headers []string, key, value string) []string {
	var list []string
	for i := 0; i < len(headers); i += 2 {
		if headers[i] != key {
			list = append(list, headers[i], headers[i+1])
		}
	}
	if value != "" {
		list = append(list, key, value)
	}
	return list
}

func TestEveryModeOfCloudEventsIsRead(t *testing.T) {
	t.Parallel()
	confluent := "\x00\x00\x00\x01\x02"
	ce := func(media string) []string { return []string{"content-type", media} }
	for _, c := range []struct {
		name   string
		record *kgo.Record
		want   event.Event
	}{
		{"binary", record(data, binaryHeaders...), want},
		{"binary without optional attributes", record(data, "ce_specversion", "1.0", "ce_id", "1", "ce_source", "/s",
			"ce_type", "T"),
			withData(event.Event{ID: "1", Source: "/s", Type: "T", Time: recordTime}, data)},
		{"binary with only a type", record(data, "ce_type", "T"), withData(bareWant, data)},
		{"binary with an empty id", record(data, append(replace(binaryHeaders, "ce_id", ""), "ce_id", "")...),
			edit(want, func(e *event.Event) { e.ID = "t/3/17" })},
		{"binary with a charset", record(data, replace(binaryHeaders, "content-type", "application/json; charset=utf-8")...),
			want},
		{"binary with a media type in capitals", record(data, replace(binaryHeaders, "content-type",
			"Application/JSON;Charset=\"UTF-8\"")...), want},
		{"binary with text/json", record(data, replace(binaryHeaders, "content-type", "text/json")...), want},
		{"binary with a +json type", record(data, replace(binaryHeaders, "content-type", "application/vnd.acme.run+json")...),
			want},
		{"binary without a content type", record(data, replace(binaryHeaders, "content-type", "")...), want},
		{"binary with Confluent's prefix", record(confluent+data, binaryHeaders...), want},
		{"binary, the time with an offset", record(data, replace(binaryHeaders, "ce_time",
			"2026-01-31T12:00:00.0000009+02:00")...), want},
		{"binary, its data with a type of its own", record(`{"type":"other"}`, binaryHeaders...),
			withData(want, `{"type":"other"}`)},
		{"binary, its data not looked at", record("\xff", binaryHeaders...), withData(want, "\xff")},
		{"binary of nothing", record("", binaryHeaders...), withData(want, "")},
		{"binary, with a header of the trace", record(data, append([]string{"traceparent", "00-2"}, binaryHeaders...)...),
			edit(want, func(e *event.Event) { e.TraceParent = "00-2" })},

		{"structured", record(envelope, ce("application/cloudevents+json")...), structured(want)},
		{"structured with a charset", record(envelope, ce("application/cloudevents+json; charset=UTF-8")...),
			structured(want)},
		{"structured without a format", record(envelope, ce("application/cloudevents")...), structured(want)},
		{"structured without a content type", record(envelope), structured(want)},
		{"structured as application/json", record(envelope, ce("application/json")...), structured(want)},
		{"structured with Confluent's prefix", record(confluent+envelope, ce("application/cloudevents+json")...),
			structured(want)},
		{"structured without a content type, with Confluent's prefix", record(confluent + envelope), structured(want)},
		{"structured, with copies of attributes as headers", record(envelope, "content-type", "application/cloudevents+json",
			"ce_type", "X", "ce_id", "9"), structured(want)},
		{"structured with nulls", record(
			`{"specversion":"1.0","id":null,"source":null,"type":"T","subject":null,"time":null,"datacontenttype":null,` +
				`"ext":null,"data_base64":null,"data":` + data + `}`),
			structured(withData(bareWant, data))},
		{"structured with base64", record(`{"specversion":"1.0","type":"T","data_base64":"` +
			base64.StdEncoding.EncodeToString([]byte(data)) + `"}`),
			edit(withData(bareWant, data), func(e *event.Event) { e.Pointer = "/data_base64" })},
		{"structured with base64 beside a null", record(`{"specversion":"1.0","type":"T","data":null,"data_base64":"e30="}`),
			edit(withData(bareWant, "{}"), func(e *event.Event) { e.Pointer = "/data_base64" })},
		{"structured, extensions of every type",
			record(`{"specversion":"1.0","type":"T","s":"x","n":1.5,"b":false,"o":{"a":[1]},"data":{}}`),
			structured(withData(bareWant, "{}"))},
		{"structured, the data any JSON", record(`{"specversion":"1.0","type":"T","data": [1] }`),
			structured(withData(bareWant, "[1]"))},
		{"structured, a type in escapes", record(`{"specversion":"1.0","\u0074ype":"\u0054","data":{}}`),
			structured(withData(bareWant, "{}"))},
		{"structured without a type", record(`{"specversion":"1.0","data":{}}`),
			structured(withData(edit(bareWant, func(e *event.Event) { e.Type = "" }), "{}"))},
		{"structured, with a header of the trace", record(envelope, "traceparent", "00-2"),
			structured(edit(want, func(e *event.Event) { e.TraceParent = "00-2" }))},

		{"bare", record(`{"type":"T","run_id":"r1"}`), withData(bareWant, `{"type":"T","run_id":"r1"}`)},
		{"bare as application/json", record(`{"type":"T"}`, ce("application/json")...), withData(bareWant, `{"type":"T"}`)},
		{"bare without a type", record(data), withData(edit(bareWant, func(e *event.Event) { e.Type = "" }), data)},
		{"bare with a type of null", record(`{"type":null}`), withData(edit(bareWant, func(e *event.Event) { e.Type = "" }),
			`{"type":null}`)},
		{"bare with Confluent's prefix", record(confluent + `{"type":"T"}`), withData(bareWant, `{"type":"T"}`)},
		{"bare with a header of the trace", record(`{"type":"T"}`, "traceparent", "00-2"),
			withData(edit(bareWant, func(e *event.Event) { e.TraceParent = "00-2" }), `{"type":"T"}`)},
		{"bare with attributes as headers", record(`{"type":"T"}`, "ce_id", "9", "ce_time", "2026-01-31T10:00:00Z"),
			withData(edit(bareWant, func(e *event.Event) { e.ID, e.Time = "9", want.Time }), `{"type":"T"}`)},
		{"bare with a type deep inside", record(`{"a":{"type":"X","specversion":"1.0"}}`),
			withData(edit(bareWant, func(e *event.Event) { e.Type = "" }), `{"a":{"type":"X","specversion":"1.0"}}`)},
		{"binary with a byte order mark", record("\ufeff"+data, binaryHeaders...), want},
		{"bare with a byte order mark", record("\ufeff{\"type\":\"T\"}"), withData(bareWant, `{"type":"T"}`)},
		{"bare with a newline, as kcat sends it", record("{\"type\":\"T\"}\n"), withData(bareWant, "{\"type\":\"T\"}\n")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := event.Decode(c.record)
			if err != nil {
				t.Fatal(err)
			}
			if string(got.Data) != string(c.want.Data) {
				t.Errorf("data %q, want %q", got.Data, c.want.Data)
			}
			got.Data, c.want.Data = nil, nil
			if !got.Time.Equal(c.want.Time) || got.Time.Location() != time.UTC {
				t.Errorf("time %v, want %v", got.Time, c.want.Time)
			}
			got.Time, c.want.Time = time.Time{}, time.Time{}
			if !equal(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func equal(a, b event.Event) bool {
	return a.ID == b.ID && a.Source == b.Source && a.Type == b.Type && a.Subject == b.Subject &&
		a.TraceParent == b.TraceParent && a.Pointer == b.Pointer
}

func TestARecordThatIsNoEventIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		record  *kgo.Record
		code    strictjson.Code
		pointer string
	}{
		{"a batch", record(`[]`, "content-type", "application/cloudevents-batch+json"), strictjson.UnknownType, ""},
		{"a batch with a charset", record(`[]`, "content-type", "application/cloudevents-batch+json; charset=utf-8"),
			strictjson.UnknownType, ""},
		{"another format", record(``, "content-type", "application/cloudevents+avro"), strictjson.UnknownType, ""},
		{"binary of another version", record(data, replace(binaryHeaders, "ce_specversion", "0.3")...),
			strictjson.UnknownType, "header ce_specversion"},
		{"binary of another media type", record(data, replace(binaryHeaders, "content-type", "application/avro")...),
			strictjson.UnknownType, "header content-type"},
		{"binary with a bad time", record(data, replace(binaryHeaders, "ce_time", "yesterday")...), strictjson.WrongType,
			"header ce_time"},
		{"binary before 1970", record(data, replace(binaryHeaders, "ce_time", "1969-12-31T23:59:59.999Z")...),
			strictjson.OutOfRange, "header ce_time"},
		{"binary after 2199", record(data, replace(binaryHeaders, "ce_time", "2199-12-31T23:59:59-00:01")...),
			strictjson.OutOfRange, "header ce_time"},
		{"structured of another version", record(strings.Replace(envelope, "1.0", "2.0", 1)), strictjson.UnknownType,
			"/specversion"},
		{"structured, the version a number", record(strings.Replace(envelope, `"1.0"`, `1.0`, 1)), strictjson.WrongType,
			"/specversion"},
		{"structured, the type a number", record(strings.Replace(envelope, `"T"`, `7`, 1), "content-type",
			"application/cloudevents+json"), strictjson.WrongType, "/type"},
		{"structured with data of another media type", record(strings.Replace(envelope, "application/json", "text/xml", 1)),
			strictjson.UnknownType, "/datacontenttype"},
		{"structured with a bad time", record(strings.Replace(envelope, "2026-01-31T10:00:00Z", "2026", 1)),
			strictjson.WrongType, "/time"},
		{"structured without data", record(`{"specversion":"1.0","type":"T"}`), strictjson.MissingField, "/data"},
		{"structured with data of null", record(`{"specversion":"1.0","type":"T","data":null}`), strictjson.MissingField,
			"/data"},
		{"structured with data twice", record(`{"specversion":"1.0","data":{},"data_base64":"e30="}`),
			strictjson.DuplicateKey, "/data_base64"},
		{"structured with bad base64", record(`{"specversion":"1.0","data_base64":"e30"}`), strictjson.WrongType,
			"/data_base64"},
		{"structured with base64 that is a number", record(`{"specversion":"1.0","data_base64":1}`), strictjson.WrongType,
			"/data_base64"},
		{"structured with a string over 16 MiB", record(`{"specversion":"1.0","data":{"a":"` +
			strings.Repeat("x", 16<<20+1) + `"}}`), strictjson.TooLarge, "/data/a"},
		{"structured with an attribute twice", record(`{"specversion":"1.0","id":"1","id":"2","data":{}}`),
			strictjson.DuplicateKey, "/id"},
		{"structured that is no object", record(`[]`, "content-type", "application/cloudevents+json"), strictjson.WrongType,
			""},
		{"structured that goes on", record(envelope + envelope), strictjson.InvalidJSON, ""},
		{"bare that is no object", record(`[]`), strictjson.WrongType, ""},
		{"bare with a type that is a number", record(`{"type":1}`), strictjson.WrongType, "/type"},
		{"bare text", record(`hello`), strictjson.InvalidJSON, ""},
		{"bare that goes on", record(`{} {}`), strictjson.InvalidJSON, ""},
		{"nothing", record(``), strictjson.InvalidJSON, ""},
		{"a tombstone", &kgo.Record{Timestamp: recordTime}, strictjson.InvalidJSON, ""},
		{"only Confluent's prefix", record("\x00\x00\x00\x00\x01"), strictjson.InvalidJSON, ""},
		{"half of Confluent's prefix", record("\x00\x00"), strictjson.InvalidJSON, ""},
		{"more than 32 MiB", record(strings.Repeat(" ", event.MaxValue+1), binaryHeaders...), strictjson.TooLarge, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := event.Decode(c.record)
			var refusal *strictjson.Refusal
			if !errors.As(err, &refusal) || refusal.Code != c.code || refusal.Pointer != c.pointer {
				t.Errorf("got %v, want %s at %q", err, c.code, c.pointer)
			}
		})
	}
}

func TestAValueOf32MiBIsRead(t *testing.T) {
	t.Parallel()
	value := data + strings.Repeat(" ", event.MaxValue-len(data))
	got, err := event.Decode(record(value, binaryHeaders...))
	if err != nil || len(got.Data) != event.MaxValue {
		t.Errorf("got %d bytes, %v", len(got.Data), err)
	}
}

// The limits of strings do not hold for data_base64, which is a document.
func TestADocumentInBase64MayBeAsLargeAsItsEvent(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("x", 18<<20)
	encoded := base64.StdEncoding.EncodeToString([]byte(text))
	got, err := event.Decode(record(`{"specversion":"1.0","data_base64":"` + encoded + `"}`))
	if err != nil || string(got.Data) != text {
		t.Errorf("got %d bytes, %v", len(got.Data), err)
	}
}

func TestLimitsCanBeLowered(t *testing.T) {
	t.Parallel()
	l := event.Limits{Value: 1000, String: 10}
	for value, detail := range map[string]string{
		`{"type":"t","a":"0123456789"}`:            "",
		`{"type":"t","a":"0123456789x"}`:           "/a: a string may have 10 bytes; this one has 11",
		`{"type":"t"}` + strings.Repeat(" ", 1000): "a record's value may have 1000 bytes; this one has 1012",
	} {
		_, err := l.Decode(record(value))
		var refusal *strictjson.Refusal
		if detail == "" && err == nil {
			continue
		}
		if !errors.As(err, &refusal) || refusal.Code != strictjson.TooLarge || refusal.Detail() != detail {
			t.Errorf("%.40s: %v", value, err)
		}
	}
}

func TestALineIsReadWholeOrPassedOverWhole(t *testing.T) {
	t.Parallel()
	limits := event.Limits{Value: 2 << 20}
	long := strings.Repeat("x", 2<<20+1)
	r := bufio.NewReaderSize(strings.NewReader("a\n"+long+"\n\nb\r\n"+long[1:]+"\n"+long), 4096)
	want := []string{"a\n", "", "\n", "b\r\n", long[1:] + "\n", ""}
	for i, w := range want {
		line, size, err := limits.ReadLine(r, nil)
		if string(line) != w || line != nil && size != int64(len(w)-1) || line == nil && size != int64(len(long)) ||
			(err != nil) != (i == len(want)-1) {
			t.Errorf("line %d is %.20q of %d bytes, %v", i, line, size, err)
		}
	}
	if _, _, err := limits.ReadLine(r, nil); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

func TestADepthOf64IsAllowedInEveryMode(t *testing.T) {
	t.Parallel()
	deep := `{"a":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`
	for name, r := range map[string]*kgo.Record{
		"binary":     record(deep, binaryHeaders...),
		"structured": record(`{"specversion":"1.0","type":"T","data":` + deep + `}`),
		"bare":       record(strings.Replace(deep, "{", `{"type":"T",`, 1)),
	} {
		if e, err := event.Decode(r); err != nil || strictjson.Check(e.Data) != nil {
			t.Errorf("%s: %v, %v", name, err, strictjson.Check(e.Data))
		}
	}
	for name, r := range map[string]*kgo.Record{
		"structured": record(`{"specversion":"1.0","type":"T","data":[` + deep + `]}`),
		"bare":       record(`{"b":[` + deep + `]}`),
	} {
		if _, err := event.Decode(r); err == nil || !strings.HasPrefix(err.Error(), "too_deep") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnEventThatIsWrittenIsReadBack(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]event.Event{
		"everything": want,
		"the least":  {ID: "1", Type: "T", Time: recordTime, Data: []byte(`{}`)},
		"text": {ID: "é\"\n", Source: "日本", Type: "T", Subject: "😀", Time: recordTime.Add(time.Microsecond),
			Data: []byte("{ }")},
	} {
		r := e.Record("topic", []byte("k"))
		if r.Topic != "topic" || string(r.Key) != "k" {
			t.Errorf("%s: record %q of topic %s", name, r.Key, r.Topic)
		}
		headers := map[string]string{}
		for _, h := range r.Headers {
			headers[h.Key] = string(h.Value)
		}
		if headers["ce_specversion"] != "1.0" || headers["content-type"] != "application/json" {
			t.Errorf("%s: headers %v", name, headers)
		}
		r.Timestamp = recordTime
		got, err := event.Decode(r)
		if err != nil || !equal(got, e) || !got.Time.Equal(e.Time) || string(got.Data) != string(e.Data) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestADecodedEventDoesNotCopyItsData(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*kgo.Record{"binary": record(data, binaryHeaders...), "bare": record(data)} {
		got, err := event.Decode(r)
		if err != nil || &got.Data[0] != &r.Value[0] {
			t.Errorf("%s: copied (%v)", name, err)
		}
	}
}
