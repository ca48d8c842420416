package ingest_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/ingest"
)

const mebibyte = 1 << 20

// poison is a record that must become a dead letter, and its code.
type poison struct {
	name, code string
	record     *kgo.Record
}

// bare returns a record that has only a value.
func bare(value string) *kgo.Record { return &kgo.Record{Value: []byte(value)} }

// withHeaders returns a record with a value, and headers in pairs of key and value.
func withHeaders(value string, headers ...string) *kgo.Record {
	r := bare(value)
	for i := 0; i < len(headers); i += 2 {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: headers[i], Value: []byte(headers[i+1])})
	}
	return r
}

// edited returns the record of a valid event in which one text is replaced.
func edited(event, old, new string) *kgo.Record {
	if !strings.Contains(event, old) {
		panic(old)
	}
	return bare(strings.Replace(event, old, new, 1))
}

const (
	goodRun = `{"type":"dev.millrace.run.v1","workspace_id":"acme","run_id":"ID","source":"recipe","app_id":"a1",` +
		`"started_at":"2026-01-31T10:00:00Z","updated_at":"2026-01-31T10:00:00Z","status":"succeeded","question":"Q"}`
	goodNode = `{"type":"dev.millrace.node.v1","workspace_id":"acme","run_id":"r1","node_run_id":"ID",` +
		`"source":"recipe","app_id":"a1","node_id":"solve",` +
		`"started_at":"2026-01-31T10:00:00Z","updated_at":"2026-01-31T10:00:00Z","status":"succeeded","sequence":1}`
	goodFeedback = `{"type":"dev.millrace.feedback.v1","workspace_id":"acme","run_id":"r1","feedback_id":"ID",` +
		`"rating":"thumbsUp","updated_at":"2026-01-31T10:00:00Z"}`
)

func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func envelope(data string) string {
	return `{"specversion":"1.0","id":"1","source":"/s","type":"dev.millrace.run.v1","data":` + data + `}`
}

// latest is the latest updated_at that ingest takes in the test: a day after its clock, which is ahead
// of the real one.
var latest = time.Date(2099, 12, 31, 23, 59, 59, 999_999_000, time.UTC)

// poisons returns at least two kinds of records for every code that ingest uses.
func poisons() []poison {
	run := func(old, new string) *kgo.Record { return edited(goodRun, old, new) }
	node := func(old, new string) *kgo.Record { return edited(goodNode, old, new) }
	feedback := func(old, new string) *kgo.Record { return edited(goodFeedback, old, new) }
	question := func(json string) *kgo.Record { return run(`"Q"`, json) }
	binary := []string{"ce_specversion", "1.0", "ce_id", "1", "ce_source", "/s", "ce_type", "dev.millrace.run.v1"}
	future := run(`"updated_at":"2026-01-31T10:00:00Z",`, "")
	future.Timestamp = time.Date(2230, 1, 1, 0, 0, 0, 0, time.UTC) // the default of the run's version
	return []poison{
		{"an empty value", "invalid_json", bare("")},
		{"a tombstone", "invalid_json", &kgo.Record{}},
		{"text", "invalid_json", bare("hello")},
		{"half an event", "invalid_json", bare(goodRun[:len(goodRun)-20])},
		{"a comma too many", "invalid_json", run(`"Q"}`, `"Q",}`)},
		{"two events", "invalid_json", bare(goodRun + "\n" + goodRun)},
		{"NaN", "invalid_json", run(`"Q"`, `"Q","cost_usd":NaN`)},
		{"a leading zero", "invalid_json", run(`"Q"`, `"Q","cost_usd":01`)},
		{"a byte order mark inside", "invalid_json", bare(goodRun[:1] + "\ufeff" + goodRun[1:])},
		{"a newline in a text", "invalid_json", question("\"a\nb\"")},
		{"an unknown escape", "invalid_json", question(`"\x41"`)},
		{"only Confluent's prefix", "invalid_json", bare("\x00\x00\x00\x00\x07")},
		{"binary of nothing", "invalid_json", withHeaders("", binary...)},
		{"another encoding", "invalid_json", bare("\xff\xfe{\x00}\x00")},

		{"a byte that is no UTF-8", "invalid_utf8", question("\"\xff\"")},
		{"a cut character", "invalid_utf8", question("\"\xc3\"")},
		{"an overlong character", "invalid_utf8", question("\"\xc0\xaf\"")},
		{"half a surrogate pair", "invalid_utf8", question(`"\ud83d"`)},
		{"a key that is no UTF-8", "invalid_utf8", run(`"Q"`, "\"Q\",\"inputs\":{\"\xff\":1}")},

		{"a field twice", "duplicate_key", run(`"Q"`, `"Q","question":"Q"`)},
		{"a key twice deep inside", "duplicate_key", run(`"Q"`, `"Q","inputs":{"a":{"b":1,"b":1}}`)},
		{"a key twice, once in escapes", "duplicate_key", run(`"Q"`, `"Q","metadata":{"a":"1","\u0061":"1"}`)},
		{"an attribute twice", "duplicate_key", bare(strings.Replace(envelope(goodRun), `"id":"1"`, `"id":"1","id":"1"`, 1))},
		{"data twice", "duplicate_key", bare(strings.Replace(envelope(goodRun), `"id":"1"`, `"data_base64":"e30="`, 1))},

		{"another version of the type", "unknown_type", run("run.v1", "run.v2")},
		{"a type of another topic", "unknown_type", run("run.v1", "export.requested.v1")},
		{"another version of CloudEvents", "unknown_type", withHeaders(goodRun, "ce_specversion", "0.3", "ce_type",
			"dev.millrace.run.v1")},
		{"a batch", "unknown_type", withHeaders("["+envelope(goodRun)+"]", "content-type",
			"application/cloudevents-batch+json; charset=utf-8")},
		{"another format", "unknown_type", withHeaders("Obj\x01", append(binary, "content-type", "application/avro")...)},

		{"no type", "missing_field", run(`"type":"dev.millrace.run.v1",`, "")},
		{"no run", "missing_field", run(`"run_id":"ID",`, "")},
		{"no status", "missing_field", run(`"succeeded"`, "null")},
		{"no node", "missing_field", node(`"node_id":"solve",`, "")},
		{"no verdict", "missing_field", feedback(`"rating":"thumbsUp",`, "")},
		{"no data", "missing_field", bare(`{"specversion":"1.0","type":"dev.millrace.run.v1"}`)},
		{"no role", "missing_field", run(`"Q"`, `"Q","messages":[{"content":"hi"}]`)},

		{"an array", "wrong_type", bare("[" + goodRun + "]")},
		{"a number in place of a text", "wrong_type", question("7")},
		{"an unknown status", "wrong_type", run("succeeded", "done")},
		{"a time of another kind", "wrong_type", run(`"2026-01-31T10:00:00Z"`, `1769853600`)},
		{"a local time", "wrong_type", run(`10:00:00Z`, `10:00:00+02:00`)},
		{"inputs that are a text", "wrong_type", run(`"Q"`, `"Q","inputs":"{}"`)},
		{"metadata that is a number", "wrong_type", run(`"Q"`, `"Q","metadata":{"a":1}`)},
		{"a sequence with a fraction", "wrong_type", node(`"sequence":1`, `"sequence":1.5`)},
		{"bad base64", "wrong_type", bare(`{"specversion":"1.0","type":"dev.millrace.run.v1","data_base64":"%"}`)},

		{"before 1970", "out_of_range", run("2026-01-31T10:00:00Z", "1969-12-31T23:59:59.999Z")},
		{"after 2199", "out_of_range", run("2026-01-31T10:00:00Z", "2200-01-01T00:00:00Z")},
		{"one more than int64", "out_of_range", node(`"sequence":1`, `"sequence":9223372036854775808`)},
		{"one less than int64", "out_of_range", node(`"sequence":1`, `"sequence":-9223372036854775809`)},
		{"a cost without end", "out_of_range", run(`"Q"`, `"Q","cost_usd":1e400`)},
		{"an event after 2199", "out_of_range", withHeaders(goodRun, append(binary, "ce_time", "2200-01-01T00:00:00Z")...)},
		{"a clock that is far ahead", "out_of_range", future},

		{"a snapshot from the future", "clock_skew", run(`"updated_at":"2026-01-31T10:00:00Z"`,
			`"updated_at":"`+latest.Add(time.Microsecond).Format(time.RFC3339Nano)+`"`)},
		{"a node run from the next century", "clock_skew", node(`"updated_at":"2026-01-31T10:00:00Z"`,
			`"updated_at":"2126-01-31T10:00:00Z"`)},
		{"a verdict without updated_at", "clock_skew", withHeaders(strings.Replace(goodFeedback,
			`"updated_at":"2026-01-31T10:00:00Z"`, `"comment":""`, 1), "ce_specversion", "1.0", "ce_id", "1",
			"ce_source", "/s", "ce_type", "dev.millrace.feedback.v1", "ce_time", "2199-12-31T23:59:59Z")},

		{"an id of 129 characters", "bad_id", run("ID", strings.Repeat("x", 129))},
		{"an id that is a path", "bad_id", run("ID", "../other")},
		{"an empty id", "bad_id", run("ID", "")},
		{"a workspace of 64 characters", "bad_id", run("acme", strings.Repeat("x", 64))},
		{"a workspace with a capital", "bad_id", run("acme", "Acme")},
		{"a parent with a space", "bad_id", node(`"sequence":1`, `"parent_node_run_id":"a b"`)},

		{"a text over the limit", "too_large", question(`"` + strings.Repeat("x", mebibyte+1) + `"`)},
		{"a text over the limit deep inside", "too_large", run(`"Q"`, `"Q","inputs":{"a":["`+strings.Repeat("x", mebibyte+1)+
			`"]}`)},
		{"a value over the limit", "too_large", bare(goodRun + strings.Repeat(" ", limits.Value+1-len(goodRun)))},
		{"a value that no letter holds", "too_large", bare(goodRun + noise(12*mebibyte))},
		{"another, with headers", "too_large", withHeaders(noise(12*mebibyte), "a", "1",
			"millrace_error_detail", "mine")},
		{"a header that no letter holds", "too_large", withHeaders(noise(12*mebibyte), "a",
			noise(12*mebibyte))},

		{"depth 65", "too_deep", run(`"Q"`, `"Q","inputs":{"a":`+nested(63)+`}`)},
		{"depth 65 in an unknown field", "too_deep", run(`"Q"`, `"Q","mood":`+nested(64))},
		{"depth 10,000", "too_deep", bare(nested(10_000))},

		{"a NUL in a text", "nul_character", question(`"a\u0000b"`)},
		{"a NUL in a key", "nul_character", run(`"Q"`, `"Q","metadata":{"\u0000":""}`)},
		{"a NUL in a document", "nul_character", run(`"Q"`, `"Q","outputs":{"a":["\u0000"]}`)},

		{"a run ClickHouse refuses", "row_refused", question(`"refuse me"`)},
		{"another run ClickHouse refuses", "row_refused", withHeaders(strings.Replace(goodRun, `"Q"`, `"refuse me"`, 1),
			append(binary, "traceparent", "00-1")...)},
		{"a node run ClickHouse refuses", "row_refused", node(`"sequence":1`, `"sequence":-1`)},
		{"a feedback ClickHouse refuses", "row_refused", feedback(`"rating"`, `"comment":"refuse me","rating"`)},
	}
}

// goods returns events that are just within each limit, and one event of each mode.
func goods() []*kgo.Record {
	list := []string{goodRun, goodNode, goodFeedback, envelope(goodRun), "\x00\x00\x00\x00\x07" + goodRun, goodRun + "\n"}
	run := func(old, new string) { list = append(list, strings.Replace(goodRun, old, new, 1)) }
	run(`"Q"`, `"`+strings.Repeat("x", mebibyte)+`"`)
	run(`"Q"`, `"`+strings.Repeat(`\n`, mebibyte)+`"`)
	run(`"Q"`, `"Q","inputs":{"a":`+nested(62)+`}`)
	run(`"Q"`, `"Q","mood":`+nested(63))
	run(`"Q"`, `"Q","cost_usd":1e308`)
	run(`"Q"`, `"Q","inputs":{"n":1e400}`)
	run(`"Q"`, `"\ud83d\ude00'; DROP TABLE runs --"`)
	run("2026-01-31T10:00:00Z", "1970-01-01T00:00:00Z")
	run("2026-01-31T10:00:00Z", "2199-12-31T23:59:59.999Z")
	run(`"updated_at":"2026-01-31T10:00:00Z"`, `"updated_at":"`+latest.Format(time.RFC3339Nano)+`"`)
	run("ID", "ID"+strings.Repeat("x", 128-len("ID-00000")))
	run("acme", strings.Repeat("x", 63))
	run(goodRun, goodRun+strings.Repeat(" ", limits.Value-len(goodRun)-len("-00000")))
	list = append(list, strings.Replace(goodNode, `"sequence":1`, `"sequence":9223372036854775807`, 1),
		strings.Replace(goodFeedback, `"rating":"thumbsUp"`, `"score":-1e308`, 1))
	var records []*kgo.Record
	for _, value := range list {
		records = append(records, bare(value))
	}
	return append(records, withHeaders(goodRun, "ce_specversion", "1.0", "ce_id", "1", "ce_type", "dev.millrace.run.v1",
		"ce_time", "2026-01-31T12:00:00+02:00",
		"content-type", "application/json; charset=utf-8"))
}

func TestEveryPoisonIsOneDeadLetterAndEveryGoodEventIsStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.one("ALTER TABLE runs ADD CONSTRAINT picky CHECK question != 'refuse me'")
	w.one("ALTER TABLE nodes ADD CONSTRAINT picky CHECK sequence IS NULL OR sequence > 0")
	w.one("ALTER TABLE feedback ADD CONSTRAINT picky CHECK comment != 'refuse me'")

	// Valid events stand between the poisons, each with another id.
	list := poisons()
	var records []*kgo.Record
	stored := 0
	addGood := func() {
		for _, r := range goods() {
			id := fmt.Sprintf("ID-%05d", stored)
			r.Value = bytes.Replace(r.Value, []byte("ID"), []byte(id), 1)
			records = append(records, r)
			stored++
		}
	}
	addGood()
	for i, p := range list {
		p.record.Key = []byte{byte(i), 0xff, 0}
		p.record.Headers = append(p.record.Headers, kgo.RecordHeader{Key: "x", Value: []byte("\x00\xff" + p.name)},
			kgo.RecordHeader{Key: "millrace_stage", Value: []byte("forged")})
		records = append(records, p.record, edited(goodRun, "ID", fmt.Sprintf("between-%d", i)))
	}
	addGood()
	for i, r := range records {
		r.Partition = int32(i % 12)
	}
	w.produce(records...)

	s := w.start(ingest.Config{BatchRows: 50, Now: func() time.Time { return latest.Add(-event.MaxSkew) }}, "")
	w.allCommitted()
	s.stop()

	letters := map[string]*kgo.Record{}
	for _, l := range w.letters() {
		place := header(l, event.HeaderTopic) + "/" + header(l, event.HeaderPartition) + "/" + header(l, event.HeaderOffset)
		if letters[place] != nil {
			t.Errorf("two letters of %s", place)
		}
		letters[place] = l
	}
	if len(letters) != len(list) {
		t.Errorf("%d letters, want %d", len(letters), len(list))
	}
	for _, p := range list {
		l := letters[fmt.Sprintf("%s/%d/%d", runsTopic, p.record.Partition, p.record.Offset)]
		if l == nil {
			t.Errorf("%s: no letter", p.name)
			continue
		}
		checkLetter(t, p, l)
	}
	if got, want := w.one("SELECT uniqExact(run_id, node_run_id, feedback_id) FROM (SELECT run_id, '' AS node_run_id, "+
		"'' AS feedback_id FROM runs_latest "+
		"UNION ALL SELECT '', node_run_id, '' FROM nodes_latest UNION ALL SELECT '', '', feedback_id FROM feedback_latest)"),
		fmt.Sprint(stored+len(list)); got != want {
		t.Errorf("%s good events are stored, want %s", got, want)
	}
	for _, q := range []string{
		"SELECT count() FROM runs WHERE length(question) = 1048576",
		"SELECT count() FROM runs WHERE started_at = toDateTime64('1970-01-01 00:00:00', 3, 'UTC')",
		"SELECT count() FROM runs WHERE length(inputs) = 6 + 2 * 62",
	} {
		if got := w.one(q); got == "0" {
			t.Errorf("%s: none", q)
		}
	}
	codes := map[string]int{}
	for _, p := range list {
		codes[p.code]++
	}
	for code, n := range codes {
		if got := s.metric("millrace_dead_letters_total", "code", code); int(got) != n {
			t.Errorf("counted %v of %s, want %d", got, code, n)
		}
		if n < 2 {
			t.Errorf("only %d kind of %s", n, code)
		}
	}
	if len(list) < 40 || len(codes) != 13 {
		t.Errorf("%d kinds of %d codes", len(list), len(codes))
	}
}

// checkLetter compares a dead letter with its record.
func checkLetter(t *testing.T, p poison, l *kgo.Record) {
	t.Helper()
	if got := header(l, event.HeaderError); got != p.code {
		t.Errorf("%s: %s (%s), want %s", p.name, got, header(l, event.HeaderDetail), p.code)
	}
	if header(l, event.HeaderDetail) == "" || header(l, event.HeaderStage) != "ingest" {
		t.Errorf("%s: headers %v", p.name, l.Headers)
	}
	if got, want := header(l, event.HeaderTimestamp), p.record.Timestamp.UTC().Format(time.RFC3339Nano); got != want {
		t.Errorf("%s: timestamp %s, want %s", p.name, got, want)
	}
	own := slices.DeleteFunc(slices.Clone(l.Headers), func(h kgo.RecordHeader) bool {
		return event.IsDeadLetterHeader(h.Key)
	})
	want := slices.DeleteFunc(slices.Clone(p.record.Headers), func(h kgo.RecordHeader) bool {
		return event.IsDeadLetterHeader(h.Key)
	})
	if len(l.Headers)-len(own) != 7 {
		t.Errorf("%s: %d headers of dead letters", p.name, len(l.Headers)-len(own))
	}
	wantKey, wantValue := p.record.Key, p.record.Value
	large := 0
	for _, h := range p.record.Headers {
		large += len(h.Value)
	}
	if len(p.record.Value) > 9*mebibyte { // the detail says where the value is
		wantValue = nil
		if !strings.Contains(header(l, event.HeaderDetail), "read it at the topic, partition and offset") {
			t.Errorf("%s: %s", p.name, header(l, event.HeaderDetail))
		}
		if large > 9*mebibyte {
			wantKey, want = nil, nil
		}
	}
	if !bytes.Equal(l.Key, wantKey) || !bytes.Equal(l.Value, wantValue) || (l.Value == nil) != (wantValue == nil) {
		t.Errorf("%s: key %q and %d bytes of value, want %q and %d", p.name, l.Key, len(l.Value), wantKey, len(wantValue))
	}
	if !slices.EqualFunc(own, want, func(a, b kgo.RecordHeader) bool {
		return a.Key == b.Key &&
			bytes.Equal(a.Value, b.Value)
	}) {
		t.Errorf("%s: another header of its own", p.name)
	}
}
