package chatlog_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/pipeline/chatlog"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/strictjson"
)

var base = time.Date(2026, 1, 31, 12, 0, 0, 123_456_789, time.UTC)

func converter() *chatlog.Converter {
	return &chatlog.Converter{Workspace: "acme", App: "helper", Base: base}
}

// convert returns the run of a line as ingest decodes it.
func convert(t *testing.T, line string) *runs.Run {
	t.Helper()
	converted, err := converter().Convert([]byte(line), 7)
	if err != nil {
		t.Fatalf("%v: %.300s", err, line)
	}
	run := decode(t, converted.Data)
	if run.RunID != converted.RunID || !run.StartedAt.Equal(converted.StartedAt) {
		t.Fatalf("run %s of %s, but %s of %s in the data", converted.RunID, converted.StartedAt, run.RunID, run.StartedAt)
	}
	return run
}

func decode(t *testing.T, data []byte) *runs.Run {
	t.Helper()
	var d runs.Decoder
	e, err := d.Decode(runs.TypeRun, data, "", time.Time{})
	if err != nil {
		t.Fatalf("%v: %.300s", err, data)
	}
	return e.(*runs.Run)
}

func TestALineIsARun(t *testing.T) {
	t.Parallel()
	run := convert(t,
		`{"id": "chat-1", "model": "m-1", "created": 1767600004, "user": "u-1", "session_id": "s-1",
		"metadata": {"region": "eu"},
		"messages": [ {"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is \"due\"?"},
		{"role": "assistant", "content": null, "tool_calls": [{"id": "c"}]},
		{"role": "tool", "tool_call_id": "c", "content": "12"}, {"role": "assistant", "content": "12 €"},
		{"role": "user", "content": "Thanks"} ],
		"tools": [ {"type": "function"} ], "parallel_tool_calls": false}`)
	want := runs.Run{
		WorkspaceID: "acme", RunID: run.RunID, Source: "copilot", AppID: "helper", RequestID: "chat-1", SessionID: "s-1",
		UserID: "u-1", Model: "m-1", Status: "succeeded",
		StartedAt: time.Unix(1767600004, 0).UTC(), UpdatedAt: time.Unix(1767600004, 0).UTC(), Question: `What is "due"?`,
		Answer: "12 €",
		Messages: `[{"role":"system","content":"Be brief."},{"role":"user","content":"What is \"due\"?"}` +
			`,{"role":"assistant","content":null,"tool_calls":[{"id":"c"}]},` +
			`{"role":"tool","tool_call_id":"c","content":"12"},{"role":"assistant","content":"12 €"},{"role":"user",` +
			`"content":"Thanks"}]`,
		Tools: `[{"type":"function"}]`, Metadata: []runs.Pair{{Key: "region", Value: "eu"}},
	}
	if got, want := fmt.Sprintf("%+v", *run), fmt.Sprintf("%+v", want); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestQuestionAndAnswer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, messages, question, answer string }{
		{"the first of a user and the last of the assistant",
			`{"role":"user","content":"q1"},{"role":"assistant","content":"a1"},{"role":"user","content":"q2"}` +
				`,{"role":"assistant","content":"a2"}`, "q1", "a2"},
		{"parts",
			`{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"u"}}` +
				`,{"text":"b","type":"text"}]}`, "a\nb", ""},
		{"parts of no text",
			`{"role":"user","content":[{"type":"image_url"},{"type":"input_audio","text":7}]},{"role":"user","content":"q"}`,
			"q", ""},
		{"a part without a type", `{"role":"user","content":[{"text":"q"}]}`, "q", ""},
		{"an empty text is none",
			`{"role":"user","content":""},{"role":"user","content":"q"},{"role":"assistant","content":"a"}` +
				`,{"role":"assistant","content":""}`, "q", "a"},
		{"content absent or null",
			`{"role":"user"},{"role":"assistant","content":null,"tool_calls":[]},{"role":"tool","content":"x"}`, "", ""},
		{"roles before the content or after it", `{"content":"q","role":"user"},{"role":"assistant","content":"a"}`, "q",
			"a"},
		{"a refusal is an answer", `{"role":"user","content":"q"},{"role":"assistant","content":"a"},` +
			`{"role":"assistant","content":null,"refusal":"no"}`, "q", "no"},
		{"a refusal in parts", `{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"refusal","refusal":"no"}]}`,
			"", "a\nno"},
		{"a spoken answer", `{"role":"assistant","content":null,"refusal":null,"audio":{"id":"x","transcript":"a"}}`, "", "a"},
		{"a sound of which nothing is known", `{"role":"assistant","content":"a","audio":{"id":"x"}}`, "", "a"},
		{"no user", `{"role":"developer","content":"x"},{"role":"function","name":"f","content":"y"}`, "", ""},
		{"odd text", `{"role":"user","content":"\u0041\ud83d\ude00\u2028\"\\ ${x}"}`, "A😀\u2028\"\\ ${x}", ""},
		{"a text as long as one may be", `{"role":"user","content":"` + strings.Repeat("x", strictjson.MaxString) + `"}`,
			strings.Repeat("x", strictjson.MaxString), ""},
	} {
		run := convert(t, `{"messages":[`+test.messages+`]}`)
		if run.Question != test.question || run.Answer != test.answer {
			t.Errorf("%s: question %.100q, answer %.100q", test.name, run.Question, run.Answer)
		}
		if run.Messages != "["+test.messages+"]" {
			t.Errorf("%s: messages %.300s", test.name, run.Messages)
		}
	}
}

const chat = `"messages":[{"role":"user","content":"q"}]`

func TestTheTimeOfALine(t *testing.T) {
	t.Parallel()
	byNumber := base.Truncate(time.Millisecond).Add(7 * time.Millisecond)
	for _, test := range []struct {
		fields string
		want   time.Time
	}{
		{``, byNumber},
		{`"created":null,`, byNumber},
		{`"created":1767600004,`, time.UnixMilli(1767600004000)},
		{`"created":1767600004.6085,`, time.UnixMilli(1767600004609)},
		{`"created":1767600004608,`, time.UnixMilli(1767600004608)},
		{`"created":1.767600004e9,`, time.UnixMilli(1767600004000)},
		{`"created":0,`, time.UnixMilli(0)},
		{`"created":7258118399,`, time.UnixMilli(7258118399000)},
		{`"created_at":"2026-01-05T08:00:04.6089Z",`, time.UnixMilli(1767600004608)},
		{`"timestamp":"2026-01-05T10:00:04+02:00",`, time.UnixMilli(1767600004000)},
		{`"timestamp":1,"created_at":2,"created":3,`, time.UnixMilli(3000)},
		{`"timestamp":1,"created_at":2,"created":null,`, time.UnixMilli(2000)},
	} {
		if run := convert(t, `{`+test.fields+chat+`}`); !run.StartedAt.Equal(test.want) || !run.UpdatedAt.Equal(test.want) {
			t.Errorf("%s: started at %s, updated at %s", test.fields, run.StartedAt, run.UpdatedAt)
		}
	}
}

func TestTheSameLineIsTheSameRun(t *testing.T) {
	t.Parallel()
	id := func(c *chatlog.Converter, line string, number int) string {
		run, err := c.Convert([]byte(line), number)
		if err != nil {
			t.Fatal(err)
		}
		return run.RunID
	}
	other := func(change func(*chatlog.Converter)) *chatlog.Converter { c := converter(); change(c); return c }
	named, timed := `{"id":"x","created":5,`+chat+`}`, `{"created":5,`+chat+`}`
	untimed := `{"id":"x",` + chat + `}`
	if want := uuid.NewSHA1(uuid.MustParse("8a7896eb-2be2-5ae7-91c6-c178df4a5d08"), []byte("acme/helper/id/x")).
		String(); id(converter(), named, 1) != want {
		t.Errorf("run id %s, want %s", id(converter(), named, 1), want)
	}
	for _, test := range []struct {
		name string
		a, b string
		same bool
	}{
		{"again", id(converter(), timed, 1), id(converter(), timed, 1), true},
		{"elsewhere in the log", id(converter(), timed, 1), id(converter(), timed, 2), true},
		{"in a log that has changed", id(converter(), timed, 1),
			id(other(func(c *chatlog.Converter) { c.Base = base.Add(time.Hour) }), timed, 1), true},
		{"with other white space", id(converter(), timed, 1), id(converter(), strings.ReplaceAll(timed, ":", " :\t"), 1),
			true},
		{"with another text", id(converter(), timed, 1), id(converter(), strings.Replace(timed, `"q"`, `"r"`, 1), 1), false},
		{"of an id, with another text", id(converter(), named, 1), id(converter(), strings.Replace(named, `"q"`, `"r"`, 1),
			2), true},
		{"of a number as id", id(converter(), `{"id":7,"created":1,`+chat+`}`, 1),
			id(converter(), `{"id":"7","created":1,`+chat+`}`, 1), true},
		{"of another id", id(converter(), named, 1), id(converter(), strings.Replace(named, `"x"`, `"y"`, 1), 1), false},
		{"of an empty id", id(converter(), `{"id":"","created":5,`+chat+`}`, 1),
			id(converter(), `{"id":"","created":6,`+chat+`}`, 1), false},
		{"of another app", id(converter(), named, 1), id(other(func(c *chatlog.Converter) { c.App = "other" }), named, 1),
			false},
		{"of another workspace", id(converter(), named, 1), id(other(func(c *chatlog.Converter) { c.Workspace = "other" }),
			named, 1), false},
		// A line without a time gets one from its log and its number: if they differ, started_at
		// and run_id must differ.
		{"without a time, again", id(converter(), untimed, 1), id(converter(), untimed, 1), true},
		{"without a time, elsewhere in the log", id(converter(), untimed, 1), id(converter(), untimed, 2), false},
		{"without a time, in a log that has changed", id(converter(), untimed, 1),
			id(other(func(c *chatlog.Converter) { c.Base = base.Add(time.Hour) }), untimed, 1), false},
	} {
		if (test.a == test.b) != test.same {
			t.Errorf("%s: %s and %s", test.name, test.a, test.b)
		}
	}
}

func TestBadLinesNameTheFieldAndTheRule(t *testing.T) {
	t.Parallel()
	message := func(m string) string { return `{"messages":[{"role":"user","content":"q"},` + m + `]}` }
	half := strings.Repeat("x", strictjson.MaxString/2)
	for _, test := range []struct {
		name, line string
		code       strictjson.Code
		pointer    string
		rule       string // part of it
	}{
		{"not JSON", `{"messages":[}`, strictjson.InvalidJSON, "/messages/0", "not JSON"},
		{"not UTF-8", "{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}", strictjson.InvalidUTF8,
			"/messages/0/content", "UTF-8"},
		{"cut off", `{"messages":[{"role":"user","content":"q"}`, strictjson.InvalidJSON, "/messages", "end of the document"},
		{"more after it", `{` + chat + `} {}`, strictjson.InvalidJSON, "", "the end"},
		{"empty", ``, strictjson.InvalidJSON, "", "an object"},
		{"an array", `[]`, strictjson.WrongType, "", "must be an object"},
		{"a key twice", `{"id":"a","id":"b",` + chat + `}`, strictjson.DuplicateKey, "/id", "twice"},
		{"no messages", `{"id":"a"}`, strictjson.MissingField, "/messages", "is required"},
		{"a run event", `{"specversion":"1.0","data":{}}`, strictjson.MissingField, "/messages", "without --as"},
		{"messages null", `{"messages":null}`, strictjson.MissingField, "/messages", "is required"},
		{"no message", `{"messages":[]}`, strictjson.MissingField, "/messages", "must have a message"},
		{"messages that are a text", `{"messages":"hi"}`, strictjson.WrongType, "/messages", "must be an array"},
		{"a message that is a text", message(`"hi"`), strictjson.WrongType, "/messages/1", "must be an object"},
		{"no role", message(`{"content":"a"}`), strictjson.MissingField, "/messages/1/role", "one of system"},
		{"an unknown role", message(`{"role":"bot","content":"a"}`), strictjson.WrongType, "/messages/1/role", "assistant"},
		{"a role that is null", message(`{"role":null}`), strictjson.WrongType, "/messages/1/role", "must be a string"},
		{"content that is a number", message(`{"role":"user","content":1E400}`), strictjson.WrongType, "/messages/1/content",
			"must be a string, an array of parts or null, not a number"},
		{"content that is an object", message(`{"role":"user","content":{"text":"a"}}`), strictjson.WrongType,
			"/messages/1/content", "not an object"},
		{"a part that is a text", message(`{"role":"user","content":["a"]}`), strictjson.WrongType, "/messages/1/content/0",
			"must be an object"},
		{"a text part without a text", message(`{"role":"user","content":[{"type":"text"}]}`), strictjson.WrongType,
			"/messages/1/content/0/text", "must be a string"},
		{"a text that is none", message(`{"role":"user","content":[{"type":"text","text":{"value":"a"}}]}`),
			strictjson.WrongType, "/messages/1/content/0/text", "must be a string"},
		{"tool calls that are none", message(`{"role":"assistant","tool_calls":{}}`), strictjson.WrongType,
			"/messages/1/tool_calls", "must be an array"},
		{"a tool call that is none", message(`{"role":"assistant","tool_calls":["f"]}`), strictjson.WrongType,
			"/messages/1/tool_calls/0", "must be an object"},
		{"a tool_call_id that is a number", message(`{"role":"tool","tool_call_id":1}`), strictjson.WrongType,
			"/messages/1/tool_call_id", "must be a string"},
		{"tools that are none", `{"tools":{},` + chat + `}`, strictjson.WrongType, "/tools", "must be an array"},
		{"metadata that is a number", `{"metadata":{"a":1},` + chat + `}`, strictjson.WrongType, "/metadata/a",
			"must be a string"},
		{"an id that is an object", `{"id":{},` + chat + `}`, strictjson.WrongType, "/id", "must be a string"},
		{"a model that is a number", `{"model":4,` + chat + `}`, strictjson.WrongType, "/model", "must be a string"},
		{"a time that is none", `{"created":"yesterday",` + chat + `}`, strictjson.WrongType, "/created", "RFC 3339"},
		{"a time that is true", `{"created_at":true,` + chat + `}`, strictjson.WrongType, "/created_at", "seconds"},
		{"a time before 1970", `{"timestamp":-1,` + chat + `}`, strictjson.OutOfRange, "/timestamp", "1970"},
		{"a time after 2199", `{"created":7258118400,` + chat + `}`, strictjson.OutOfRange, "/created", "2199"},
		{"a time beyond all", `{"created":1E400,` + chat + `}`, strictjson.OutOfRange, "/created", "2199"},
		{"a text time after 2199", `{"created":"2200-01-01T00:00:00Z",` + chat + `}`, strictjson.OutOfRange, "/created",
			"2199"},
		{"a NUL", message(`{"role":"user","content":"\u0000"}`), strictjson.NulCharacter, "/messages/1/content", "U+0000"},
		{"half a surrogate pair", message(`{"role":"user","content":"\ud800"}`), strictjson.InvalidUTF8,
			"/messages/1/content", "pair"},
		{"a text that is too long", message(`{"role":"user","content":"` + half + half + `x"}`), strictjson.TooLarge,
			"/messages/1/content", "16777216"},
		{"parts that are too long together", `{"messages":[{"role":"user","content":[{"type":"text","text":"` + half +
			`"},{"type":"text","text":"` + half + `"}]}]}`, strictjson.TooLarge, "/messages", "together"},
		{"too deep", `{"x":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `,` + chat + `}`, strictjson.TooDeep, "",
			"64"},
	} {
		run, err := converter().Convert([]byte(test.line), 1)
		var refusal *strictjson.Refusal
		if !errors.As(err, &refusal) || run.Data != nil {
			t.Errorf("%s: %v, %.100s", test.name, err, run.Data)
			continue
		}
		if refusal.Code != test.code || refusal.Pointer != test.pointer && test.code != strictjson.TooDeep ||
			!strings.Contains(refusal.Rule, test.rule) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestALineWithoutATimeNeedsALogWithOne(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		base time.Time
		code strictjson.Code
	}{{time.Time{}, strictjson.MissingField}, {time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC), strictjson.OutOfRange},
		{time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC), strictjson.OutOfRange}} {
		c := &chatlog.Converter{Workspace: "acme", App: "helper", Base: test.base}
		_, err := c.Convert([]byte(`{`+chat+`}`), 1)
		var refusal *strictjson.Refusal
		if !errors.As(err, &refusal) || refusal.Code != test.code || refusal.Pointer != "/created" {
			t.Errorf("%s: %v", test.base, err)
		}
		if _, err := c.Convert([]byte(`{"created":5,`+chat+`}`), 1); err != nil {
			t.Errorf("%s: %v", test.base, err)
		}
	}
}

// FuzzConvert checks that, whatever the line:
//
//   - converting does not panic;
//   - an error is a refusal with a code and a rule;
//   - a run is one that the contract allows, has no line break, and is the same each time.
func FuzzConvert(f *testing.F) {
	for _, line := range []string{
		`{` + chat + `}`,
		`{"id":"a","model":"m","created":1767600004,"user":"u","session_id":"s","metadata":{"a":"b"},` +
			`"tools":[{"type":"function"}],` + chat + `}`,
		`{"messages":[{"role":"assistant","content":[{"type":"text","text":"a"}],"tool_calls":[{"id":"c"}]}` +
			`,{"role":"tool","tool_call_id":"c","content":null}]}`,
		`{"timestamp":"2026-01-05T10:00:04+02:00","created_at":1e300,` + chat + `}`, `{"id":1E400, "created": 0.0005, ` +
			chat + ` }`, "{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}",
	} {
		f.Add([]byte(line), 1)
	}
	f.Fuzz(func(t *testing.T, line []byte, number int) {
		number &= 1<<30 - 1
		run, err := converter().Convert(line, number)
		if err != nil {
			var refusal *strictjson.Refusal
			if !errors.As(err, &refusal) || refusal.Code == "" || refusal.Rule == "" {
				t.Fatalf("not a refusal: %#v", err)
			}
			if refusal.Code == strictjson.InvalidJSON && json.Valid(line) {
				t.Fatalf("valid JSON is called invalid: %v", err)
			}
			return
		}
		decoded := decode(t, run.Data)
		if decoded.RunID != run.RunID || !decoded.StartedAt.Equal(run.StartedAt) || decoded.Messages == "" ||
			strings.ContainsAny(string(run.Data), "\n\r") {
			t.Fatalf("%s, %s: %s", run.RunID, run.StartedAt, run.Data)
		}
		if again, err := converter().Convert(line, number); err != nil || string(again.Data) != string(run.Data) {
			t.Fatalf("%s is %s the next time, %v", run.Data, again.Data, err)
		}
	})
}

func BenchmarkConvert(b *testing.B) {
	line := []byte(`{"id":"chat-1","created":1767600004,"messages":[` +
		strings.Repeat(
			`{"role":"user","content":"What is the checked baggage allowance on ZS 532 from Montr\u00e9al to Cairo?"}`+
				`,{"role":"assistant","content":"One bag of up to 23 kg."},`, 10) +
		`{"role":"user","content":"Thanks"}]}`)
	c := converter()
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Convert(line, 1); err != nil {
			b.Fatal(err)
		}
	}
}
