package runs_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/strictjson"
)

const (
	accepted   strictjson.Code = ""
	maxString                  = strictjson.MaxString
	mebibyte                   = 1 << 20
	run, node                  = runs.TypeRun, runs.TypeNode
	feedback                   = runs.TypeFeedback
	badID                      = strictjson.BadID
	wrongType                  = strictjson.WrongType
	outOfRange                 = strictjson.OutOfRange
	tooLarge                   = strictjson.TooLarge
	tooDeep                    = strictjson.TooDeep
	missing                    = strictjson.MissingField
)

func TestEveryRuleHoldsOnBothSidesOfItsLimit(t *testing.T) {
	t.Parallel()
	id := func(n int) string { return quote(strings.Repeat("x", n)) }
	for _, c := range []struct {
		name, eventType, field, value string
		code                          strictjson.Code
		pointer                       string // "" = /field
	}{
		{"an id of 1 character", run, "run_id", id(1), accepted, ""},
		{"an id of 128 characters", run, "run_id", id(128), accepted, ""},
		{"an id of 129 characters", run, "run_id", id(129), badID, ""},
		{"an empty id", run, "run_id", `""`, badID, ""},
		{"an id of every character", run, "run_id", `"0aZ._:~-"`, accepted, ""},
		{"an id with a slash", run, "run_id", `"a/b"`, badID, ""},
		{"an id with a space", run, "app_id", `"a b"`, badID, ""},
		{"an id with a letter outside ASCII", run, "app_id", `"é"`, badID, ""},
		{"an id that starts with a dot", run, "app_id", `".a"`, badID, ""},
		{"an id that is a path", run, "run_id", `".."`, badID, ""},
		{"an id with a newline at its end", run, "run_id", `"a\n"`, badID, ""},
		{"an id that is a number", run, "run_id", `7`, wrongType, ""},
		{"a node's id", node, "node_id", `"a/b"`, badID, ""},
		{"a node run's id", node, "node_run_id", `"-a"`, badID, ""},
		{"a parent's id", node, "parent_node_run_id", `"a b"`, badID, ""},
		{"a feedback's id", feedback, "feedback_id", `"_a"`, badID, ""},
		{"a feedback's node", feedback, "node_id", id(129), badID, ""},
		{"a workspace of 63 characters", run, "workspace_id", id(63), accepted, ""},
		{"a workspace of 64 characters", run, "workspace_id", id(64), badID, ""},
		{"a workspace of every character", run, "workspace_id", `"0a_-"`, accepted, ""},
		{"a workspace with a capital", run, "workspace_id", `"Acme"`, badID, ""},
		{"a workspace with a dot", run, "workspace_id", `"a.b"`, badID, ""},
		{"a workspace that starts with a hyphen", run, "workspace_id", `"-a"`, badID, ""},
		{"an empty workspace", run, "workspace_id", `""`, badID, ""},

		{"as many files as there may be", run, "files", many(`{}`, runs.MaxElements), accepted, ""},
		{"more files than there may be", run, "files", many(`{}`, runs.MaxElements+1), tooLarge,
			fmt.Sprint("/files/", runs.MaxElements)},
		{"more chunks than there may be", node, "chunks", many(`{}`, runs.MaxElements+1), tooLarge,
			fmt.Sprint("/chunks/", runs.MaxElements)},
		{"more tags than there may be", feedback, "tags", many(`""`, runs.MaxElements+1), tooLarge,
			fmt.Sprint("/tags/", runs.MaxElements)},

		{"the first millisecond", run, "started_at", `"1970-01-01T00:00:00Z"`, accepted, ""},
		{"the millisecond before it", run, "started_at", `"1969-12-31T23:59:59.999Z"`, outOfRange, ""},
		{"the last millisecond", run, "started_at", `"2199-12-31T23:59:59.999Z"`, accepted, ""},
		{"the last nanosecond", run, "started_at", `"2199-12-31T23:59:59.999999999Z"`, accepted, ""},
		{"the moment after it", run, "started_at", `"2200-01-01T00:00:00Z"`, outOfRange, ""},
		{"an update before 1970", run, "updated_at", `"1969-12-31T23:59:59.999999Z"`, outOfRange, ""},
		{"the latest update", run, "updated_at", `"2197-01-01T00:00:00Z"`, accepted, ""},
		{"an update after the latest", run, "updated_at", `"2197-01-01T00:00:00.000001Z"`, strictjson.ClockSkew, ""},
		{"a node's update after the latest", node, "updated_at", `"2199-12-31T23:59:59Z"`, strictjson.ClockSkew, ""},
		{"a feedback's update after the latest", feedback, "updated_at", `"2199-12-31T23:59:59Z"`, strictjson.ClockSkew, ""},
		{"an end after the latest update", node, "ended_at", `"2199-12-31T23:59:59Z"`, accepted, ""},
		{"an end after 2199", node, "ended_at", `"9999-12-31T23:59:59Z"`, outOfRange, ""},
		{"the year 0", feedback, "created_at", `"0000-01-01T00:00:00Z"`, outOfRange, ""},
		{"an offset of zero", run, "started_at", `"2026-01-31T10:00:00.123+00:00"`, accepted, ""},
		{"another offset", run, "started_at", `"2026-01-31T10:00:00+01:00"`, wrongType, ""},
		{"an offset that ends in 00:00", run, "started_at", `"2026-01-31T10:00:00-10:00"`, wrongType, ""},
		{"no offset", run, "started_at", `"2026-01-31T10:00:00"`, wrongType, ""},
		{"a date", run, "started_at", `"2026-01-31"`, wrongType, ""},
		{"a space for the T", run, "started_at", `"2026-01-31 10:00:00Z"`, wrongType, ""},
		{"an hour of one digit", run, "started_at", `"2026-01-31T1:00:00Z"`, wrongType, ""},
		{"a comma before the fraction", run, "started_at", `"2026-01-31T10:00:00,5Z"`, wrongType, ""},
		{"a day that is not in the month", run, "started_at", `"2026-02-29T10:00:00Z"`, wrongType, ""},
		{"the 29th of a leap year", run, "started_at", `"2028-02-29T10:00:00Z"`, accepted, ""},
		{"a Unix time", run, "started_at", `1769853600`, wrongType, ""},
		{"an empty time", run, "started_at", `""`, wrongType, ""},

		{"int64's greatest", node, "sequence", `9223372036854775807`, accepted, ""},
		{"one more", node, "sequence", `9223372036854775808`, outOfRange, ""},
		{"int64's least", node, "sequence", `-9223372036854775808`, accepted, ""},
		{"one less", node, "sequence", `-9223372036854775809`, outOfRange, ""},
		{"an integer with a point", node, "sequence", `5.0`, accepted, ""},
		{"an integer with an exponent", node, "sequence", `5e3`, accepted, ""},
		{"int64's greatest with a point", node, "sequence", `9223372036854775807.0`, accepted, ""},
		{"one more with a point", node, "sequence", `9223372036854775808.0`, outOfRange, ""},
		{"a fraction", node, "sequence", `5.5`, wrongType, ""},
		{"a fraction that a float would lose", node, "sequence", `1.00000000000000000001`, wrongType, ""},
		{"a fraction too small for a float", node, "sequence", `1e-400`, wrongType, ""},
		{"an integer too large for a float", node, "sequence", `1e400`, outOfRange, ""},
		{"an exponent too large for anything", node, "sequence", `1e99999999999999999999`, outOfRange, ""},
		{"zero, however it is written", node, "sequence", `-0.0e99999999999999999999`, accepted, ""},
		{"an integer in quotes", node, "sequence", `"5"`, wrongType, ""},
		{"tokens", run, "usage", `{"input_tokens":9223372036854775808}`, outOfRange, "/usage/input_tokens"},
		{"a file's size", run, "files", `[{},{"size_bytes":1e19}]`, outOfRange, "/files/1/size_bytes"},

		{"the greatest cost", run, "cost_usd", `1e308`, accepted, ""},
		{"a cost too great", run, "cost_usd", `1e400`, outOfRange, ""},
		{"a cost too small to tell from zero", run, "cost_usd", `1e-400`, accepted, ""},
		{"a cost in quotes", run, "cost_usd", `"1"`, wrongType, ""},
		{"a score too great", feedback, "score", `-1e309`, outOfRange, ""},
		{"a chunk's score too great", node, "chunks", `[{"score":1e309}]`, outOfRange, "/chunks/0/score"},

		{"a text of 16 MiB", run, "question", quote(strings.Repeat("x", maxString)), accepted, ""},
		{"a text of one byte more", run, "question", quote(strings.Repeat("x", maxString+1)), tooLarge, ""},
		{"a text of 16 MiB in escapes", run, "answer", `"` + strings.Repeat(`\n`, maxString) + `"`, accepted, ""},
		{"a text of 16 MiB in fewer characters", run, "answer", quote(strings.Repeat("é", maxString/2)), accepted, ""},
		{"a text of 16 MiB and a byte in fewer", run, "answer", quote(strings.Repeat("é", maxString/2) + "x"), tooLarge, ""},
		{"16 MiB deep inside", run, "inputs", `{"a":[` + quote(strings.Repeat("x", maxString)) + `]}`, accepted, ""},
		{"more than 16 MiB deep inside", run, "inputs", `{"a":[` + quote(strings.Repeat("x", maxString+1)) + `]}`, tooLarge,
			"/inputs/a/0"},
		{"a tag of more than 16 MiB", feedback, "tags", `["",` + quote(strings.Repeat("x", maxString+1)) + `]`, tooLarge,
			"/tags/1"},

		{"depth 64", run, "inputs", `{"a":` + nested(62) + `}`, accepted, ""},
		{"depth 65", run, "inputs", `{"a":` + nested(63) + `}`, tooDeep, "/inputs/a" + strings.Repeat("/0", 62)},
		{"depth 65 in a field nobody knows", run, "mood", nested(64), tooDeep, "/mood" + strings.Repeat("/0", 63)},
		{"depth 64 in a field nobody knows", run, "mood", nested(63), accepted, ""},

		{"a source", run, "source", `"copilot"`, accepted, ""},
		{"a source nobody knows", run, "source", `"Copilot"`, wrongType, ""},
		{"a status nobody knows", run, "status", `"done"`, wrongType, ""},
		{"a status that is a number", node, "status", `1`, wrongType, ""},
		{"a kind nobody knows", feedback, "kind", `"robot"`, wrongType, ""},
		{"a reserved name", feedback, "name", `"rating"`, outOfRange, ""},
		{"a rating nobody knows", feedback, "rating", `"thumbsup"`, wrongType, ""},
		{"a direction nobody knows", run, "files", `[{"direction":"in"}]`, wrongType, "/files/0/direction"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.pointer == "" {
				c.pointer = "/" + c.field
			}
			_, err := decode(c.eventType, minimal[c.eventType].with(c.field, c.value).String())
			checkRefusal(t, err, c.code, c.pointer)
		})
	}
}

func TestRequiredFieldsAreMissedByName(t *testing.T) {
	t.Parallel()
	for eventType, o := range minimal {
		for field := range o {
			for _, value := range []string{"", "null"} {
				_, err := decode(eventType, o.with(field, value).String())
				if eventType == feedback && field == "rating" {
					checkRefusal(t, err, missing, "/rating") // or a score, a comment, a corrected answer
					continue
				}
				checkRefusal(t, err, missing, "/"+field)
			}
		}
	}
	_, err := decode(feedback, minimal[feedback].with("rating", "").with("score", "0").String())
	checkRefusal(t, err, accepted, "")
}

func TestEveryFieldRefusesEveryOtherType(t *testing.T) {
	t.Parallel()
	kinds := map[string]string{"object": `{}`, "array": `[]`, "string": `"x"`, "number": `1`, "boolean": `true`}
	kind := func(value string) string {
		value = strings.TrimSpace(value)
		switch value[0] {
		case '{':
			return "object"
		case '[':
			return "array"
		case '"':
			return "string"
		}
		return "number"
	}
	for eventType, o := range full {
		for field, value := range o {
			for k, other := range kinds {
				if k == kind(value) {
					continue
				}
				_, err := decode(eventType, o.with(field, other).String())
				checkRefusal(t, err, wrongType, "/"+field)
			}
			for _, invalid := range []string{"", "nul", "tru", "NaN", "+1", "'x'"} {
				_, err := decode(eventType, strings.Replace(o.with(field, `"@"`).String(), `"@"`, invalid, 1))
				if err == nil || !strings.HasPrefix(err.Error(), string(strictjson.InvalidJSON)) {
					t.Errorf("%s with %s: got %v", field, invalid, err)
				}
			}
		}
	}
}

func TestFieldsOfFieldsAreChecked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, eventType, field, value string
		code                          strictjson.Code
		pointer                       string
	}{
		{"an error's type", run, "error", `{"type":1}`, wrongType, "/error/type"},
		{"an error's message", run, "error", `{"message":[]}`, wrongType, "/error/message"},
		{"a file that is a string", run, "files", `["s3://b/k"]`, wrongType, "/files/0"},
		{"a file that is null", run, "files", `[null]`, wrongType, "/files/0"},
		{"a file's name", run, "files", `[{"name":1}]`, wrongType, "/files/0/name"},
		{"a metadata value that is a number", run, "metadata", `{"a":"b","n/~":1}`, wrongType, "/metadata/n~1~0"},
		{"a metadata value that is null", run, "metadata", `{"a":null}`, wrongType, "/metadata/a"},
		{"a tag that is null", feedback, "tags", `["a",null]`, wrongType, "/tags/1"},
		{"a prompt's template", node, "prompt", `{"template":{}}`, wrongType, "/prompt/template"},
		{"a prompt's variables", node, "prompt", `{"variables":[]}`, wrongType, "/prompt/variables"},
		{"a chunk that is an array", node, "chunks", `[[]]`, wrongType, "/chunks/0"},
		{"a chunk's flag", node, "chunks", `[{"sent_to_llm":"true"}]`, wrongType, "/chunks/0/sent_to_llm"},
		{"a chunk's other flag", node, "chunks", `[{"used_in_answer":1}]`, wrongType, "/chunks/0/used_in_answer"},
		{"usage that is a fraction", run, "usage", `{"output_tokens":0.5}`, wrongType, "/usage/output_tokens"},
		{"a message that is a string", run, "messages", `["hi"]`, wrongType, "/messages/0"},
		{"a message without a role", run, "messages", `[{"role":"user"},{"content":"hi"}]`, missing, "/messages/1/role"},
		{"a role that is null", run, "messages", `[{"role":null}]`, wrongType, "/messages/0/role"},
		{"any role", run, "messages", `[{"role":"developer"}]`, accepted, ""},
		{"content that is a number", run, "messages", `[{"role":"user","content":1}]`, wrongType, "/messages/0/content"},
		{"content that is an object", run, "messages", `[{"role":"user","content":{}}]`, wrongType, "/messages/0/content"},
		{"a part that is a string", run, "messages", `[{"role":"user","content":["hi"]}]`, wrongType,
			"/messages/0/content/0"},
		{"no parts", run, "messages", `[{"role":"user","content":[]}]`, accepted, ""},
		{"tool calls that are an object", node, "messages", `[{"role":"assistant","tool_calls":{}}]`, wrongType,
			"/messages/0/tool_calls"},
		{"a tool call that is a string", node, "messages", `[{"role":"assistant","tool_calls":["f"]}]`, wrongType,
			"/messages/0/tool_calls/0"},
		{"a tool call's id that is a number", node, "messages", `[{"role":"tool","tool_call_id":1}]`, wrongType,
			"/messages/0/tool_call_id"},
		{"a name that is a number", node, "messages", `[{"role":"tool","name":1}]`, wrongType, "/messages/0/name"},
		{"a tool that is a string", run, "tools", `["f"]`, wrongType, "/tools/0"},
		{"a tool that is null", run, "tools", `[null]`, wrongType, "/tools/0"},
		{"a key twice in a document", run, "inputs", `{"a":{"b":1,"b":1}}`, strictjson.DuplicateKey, "/inputs/a/b"},
		{"a key twice in the metadata", run, "metadata", `{"a":"1","\u0061":"1"}`, strictjson.DuplicateKey, "/metadata/a"},
		{"a NUL in a text", run, "question", `"a\u0000"`, strictjson.NulCharacter, "/question"},
		{"a NUL in a document", run, "outputs", `{"a":["\u0000"]}`, strictjson.NulCharacter, "/outputs/a/0"},
		{"a NUL in a field nobody knows", run, "mood", `"\u0000"`, strictjson.NulCharacter, "/mood"},
		{"half a surrogate pair", run, "answer", `"\ud83d"`, strictjson.InvalidUTF8, "/answer"},
		{"bytes that are no UTF-8", run, "answer", "\"\xff\"", strictjson.InvalidUTF8, "/answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := decode(c.eventType, minimal[c.eventType].with(c.field, c.value).String())
			checkRefusal(t, err, c.code, c.pointer)
		})
	}
}

func TestAnEventIsOneObjectOfAKnownType(t *testing.T) {
	t.Parallel()
	least := minimal[run].String()
	for _, c := range []struct {
		name, eventType, data string
		code                  strictjson.Code
		pointer               string
	}{
		{"nothing", run, ``, strictjson.InvalidJSON, ""},
		{"an array", run, `[]`, wrongType, ""},
		{"a string", run, `"x"`, wrongType, ""},
		{"null", run, `null`, wrongType, ""},
		{"two objects", run, least + least, strictjson.InvalidJSON, ""},
		{"spaces around it", run, " \n" + least + "\r\t", accepted, ""},
		{"a field twice", run, strings.Replace(least, `{`, `{"run_id":"r2",`, 1), strictjson.DuplicateKey, "/run_id"},
		{"an unknown type", "dev.millrace.run.v2", least, strictjson.UnknownType, "/type"},
		{"no type", "", least, strictjson.UnknownType, "/type"},
		{"a type of another topic", "dev.millrace.export.requested.v1", least, strictjson.UnknownType, "/type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := decode(c.eventType, c.data)
			checkRefusal(t, err, c.code, c.pointer)
		})
	}
}

func TestAPointerStartsWhereTheDataIs(t *testing.T) {
	t.Parallel()
	var d runs.Decoder
	_, err := d.Decode(run, []byte(`{"run_id":1}`), "/data", eventTime)
	checkRefusal(t, err, wrongType, "/data/run_id")
	_, err = d.Decode(run, []byte(`{}`), "/data", eventTime)
	checkRefusal(t, err, missing, "/data/workspace_id")
}

func TestTheEventsTimeIsADefaultOnlyWithinTheYears(t *testing.T) {
	t.Parallel()
	for eventType, o := range minimal {
		for at, code := range map[string]strictjson.Code{
			"1969-12-31T23:59:59.999Z": outOfRange, // what a record without a timestamp has
			"1970-01-01T00:00:00Z":     accepted,
			"2199-12-31T23:59:59.999Z": accepted,
			"2200-01-01T00:00:00Z":     outOfRange,
		} {
			eventAt, err := time.Parse(time.RFC3339Nano, at)
			if err != nil {
				t.Fatal(err)
			}
			var d runs.Decoder
			_, err = d.Decode(eventType, []byte(o.String()), "", eventAt)
			checkRefusal(t, err, code, "/updated_at")
			_, err = d.Decode(eventType, []byte(o.with("updated_at", `"2026-01-31T10:00:00Z"`).String()), "", eventAt)
			checkRefusal(t, err, accepted, "")
		}
	}
}

func TestTimesOfOtherSpecificationsMayHaveAnOffset(t *testing.T) {
	t.Parallel()
	got, rule, _ := runs.ParseTimestamp("2026-01-31T10:00:00.5+02:00")
	if want := at("2026-01-31T08:00:00.5Z"); rule != "" || !got.Equal(want) || got.Location() != time.UTC {
		t.Errorf("got %v, %q", got, rule)
	}
	for s, wantInRange := range map[string]bool{"1970-01-01T00:00:00+00:01": false, "2199-12-31T23:59:59-00:01": false,
		"soon": true} {
		if _, rule, inRange := runs.ParseTimestamp(s); rule == "" || inRange != wantInRange {
			t.Errorf("%s: rule %q, in range %t", s, rule, inRange)
		}
	}
}

func TestARefusalNeverContainsAValue(t *testing.T) {
	t.Parallel()
	const canary = "CANARY"
	values := []string{
		`"` + canary + `"`, `{"` + "key" + `":"` + canary + `"}`, `["` + canary + `"]`,
		`[{"role":"` + canary + `","content":7}]`, `[{"` + "key" + `":"` + canary + `"}]`,
		`"` + canary + `\u0000"`, `"` + canary + `\ud83d"`, "\"" + canary + "\xff\"", `"` + canary + "\n\"", `"` + canary,
		canary, `"/` + canary + `"`, `7` + canary,
		quote(canary + strings.Repeat("x", mebibyte)), quote(strings.Repeat(canary, 30)), `{"type":"` + canary + `","a":` +
			nested(70) + `}`,
		`{"template":"` + canary + `","variables":"` + canary + `"}`, `{"a":"` + canary + `","a":"` + canary + `"}`,
		`{"input_tokens":"` + canary + `"}`,
	}
	refused := 0
	for eventType, o := range full {
		for field := range o {
			for _, value := range values {
				data := strings.Replace(o.with(field, `"@"`).String(), `"@"`, value, 1)
				for _, prefix := range []string{"", "/data"} {
					var d runs.Decoder
					if _, err := d.Decode(eventType, []byte(data), prefix, eventTime); err != nil {
						if refused++; strings.Contains(fmt.Sprintf("%v %+v", err, err), canary) {
							t.Errorf("%s: the refusal has the value: %v", field, err)
						}
					}
				}
			}
		}
		if _, err := decode(canary, o.String()); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("the type: %v", err)
		}
	}
	if refused < 500 {
		t.Errorf("only %d were refused: the test tests little", refused)
	}
}

// many is an array of n elements.
func many(element string, n int) string {
	return "[" + strings.TrimSuffix(strings.Repeat(element+",", n), ",") + "]"
}
