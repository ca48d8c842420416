package loaders

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// The runs of the data set. Their fragments have two records each, so that a value may be absent in
// the first fragment only, in the last only, or always. All runs have the same question and inputs,
// and all node runs the same inputs, so that evaluations have them in the same order.
const (
	runsInAll     = 6
	runsAFragment = 2
)

// hostile are texts that readers like to take for something else.
var hostile = []string{"NA", "null", "None", "1e400", "-0.0", "0017", "1.10", "1234567890123456789", "true", "nan",
	"100000000000000000000000000000", "2026-10-05", "a \"b\", c\r\nd\u2028e", "=1+1", "'#c", " 7 ", "[]", "{}"}

// numbers is a document of numbers that readers like to change.
const numbers = `{"order":100000000000000000000000000000,"id":1234567890123456789,"far":1e400,"zero":-0.0,` +
	`"half":0.10,"text":"0017","at":"2026-10-05","none":null,"list":[1,"1",null]}`

// ids of the runs.
var ids = [runsInAll]string{"0017", "17", "1e400", "1.10", "1.1", "1234567890123456789"}

// at says where a value is there.
type at func(row int) bool

func always(int) bool        { return true }
func laterOnly(row int) bool { return row >= runsAFragment }
func firstOnly(row int) bool { return row < runsInAll-runsAFragment }

// fields are the members of an event as JSON texts, each with where it is there.
type fields []struct {
	name string
	at   at
	text func(row int) string
}

// line returns the event of a row.
func (f fields) line(kind string, row int) string {
	b := []byte(`{"type":"dev.millrace.` + kind + `.v1","workspace_id":"default","run_id":"` + ids[row] + `"`)
	for _, field := range f {
		if field.at(row) {
			b = fmt.Appendf(b, `,%q:%s`, field.name, field.text(row))
		}
	}
	return string(append(b, '}', '\n'))
}

// same returns the same JSON text for each row.
func same(text string) func(int) string { return func(int) string { return text } }

// quoted returns another hostile text for each row.
func quoted(t *testing.T, first int) func(int) string {
	return func(row int) string { return e2etest.JSONText(t, hostile[(first+row)%len(hostile)]) }
}

func moment(seconds int) string {
	return `"` + time.Date(2026, 10, 5, 8, 0, seconds, 250e6, time.UTC).Format(time.RFC3339Nano) + `"`
}

// events returns the lines of the runs, their node runs and their feedback.
func events(t *testing.T) string {
	t.Helper()
	shapes := func(row int) string {
		return []string{`{"v":1}`, `{"v":"one"}`, `{"v":[1,null]}`, `{"w":{"v":1e400}}`, `{"v":-0.0}`, numbers}[row]
	}
	// A list of messages, of which the text is a date in every row.
	messages := `[{"role":"user","content":"2026-10-05"},{"role":"assistant","content":"2026-10-05T08:00:00Z"}]`
	files := `[{"file_id":"0017","name":"NA","uri":"s3://b/1.10","size_bytes":9007199254740993,"direction":"input"},{"name":"2026-10-05"}]`
	common := fields{
		{"source", always, same(`"recipe"`)},
		{"app_id", always, same(`"loaders"`)},
		{"app_version", always, same(`"2026-10-05"`)},
		{"status", always, same(`"succeeded"`)},
		{"started_at", always, func(row int) string { return moment(row) }},
		{"inputs", always, same(numbers)},
		{"outputs", firstOnly, shapes},
		{"messages", always, same(messages)}, // input groups depend on them
		{"error", laterOnly, func(row int) string { return `{"type":"1.10","message":` + quoted(t, 3)(row) + `}` }},
		{"files", firstOnly, same(files)},
		{"model", always, same(`"1.10"`)},
		{"usage", firstOnly, same(`{"input_tokens":9223372036854775807}`)},
		{"cost_usd", laterOnly, func(row int) string { return []string{"", "", "0.1", "0.000012345678901234", "1e-300", "0"}[row] }},
		{"metadata", laterOnly, same(`{"0017":"0017","at":"2026-10-05","none":"null"}`)},
	}
	run := append(fields{
		{"question", always, same(`"2026-10-05T08:00:00Z"`)},
		{"ended_at", laterOnly, func(row int) string { return moment(row + 1) }},
		{"answer", always, quoted(t, 0)},
		{"app_name", always, same(`"null"`)},
		{"user_id", laterOnly, func(row int) string { return fmt.Sprintf(`"123456789012345678%d"`, row) }},
		{"session_id", firstOnly, same(`"0042"`)},
		{"trace_id", laterOnly, quoted(t, 6)}, // request_id is always null
		{"reference", firstOnly, quoted(t, 10)},
		{"system_inputs", laterOnly, same(`{"today":"2026-10-05"}`)},
	}, common...)
	node := append(fields{
		{"node_run_id", always, same(`"0017"`)},
		{"node_id", always, same(`"1.10"`)},
		{"node_type", always, same(`"llm"`)},
		{"node_name", laterOnly, same(`"2026-10-05"`)},
		{"sequence", firstOnly, same("7")},
		{"prompt", firstOnly, same(`{"template":"0017 {{order}}","variables":` + numbers + `}`)},
		{"parameters", laterOnly, same(numbers)},
		{"chunks", laterOnly, func(row int) string {
			return `[{"chunk_id":"0017","text":` + quoted(t, 9)(row) + `,"score":-0.0,"sent_to_llm":true},{"text":"2026-10-05"}]`
		}},
	}, common...)
	verdict := fields{
		{"feedback_id", always, same(`"f"`)},
		{"score", always, func(row int) string { return []string{"-0.0", "0.1", "1e-300", "1"}[row] }},
		{"rating", laterOnly, same(`"thumbsUp"`)},
		{"comment", always, quoted(t, 13)},
		{"tags", laterOnly, same(`["NA","0017","2026-10-05"]`)},
		{"corrected_answer", laterOnly, same(`"2026-10-05"`)},
		{"updated_at", always, same(moment(30))},
	}
	var b strings.Builder
	for row := range runsInAll {
		b.WriteString(run.line("run", row))
		b.WriteString(node.line("node", row))
		if firstOnly(row) {
			b.WriteString(verdict.line("feedback", row))
		}
	}
	return b.String()
}
