package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// chatRow is a run that has nothing but messages.
func chatRow(messages string) *Row {
	row := emptyRow()
	row.Status, row.Messages, row.InputGroup = b("succeeded"), b(messages), b("00112233445566778899aabbccddeeff")
	row.Group = row.InputGroup
	return row
}

// with changes a row.
func with(row *Row, change func(row *Row)) *Row {
	change(row)
	return row
}

// llmNode is a run of a node of a model.
func llmNode(change func(row *Row, n *Node)) *Row {
	row := emptyRow()
	row.Node = &Node{NodeRunID: b("n-1"), NodeID: b("solve"), NodeType: b("llm"), Execution: Execution{Status: b("succeeded")}}
	change(row, row.Node)
	return row
}

func rated(row *Row, rating string) *Row {
	row.HasFeedback, row.Feedback.Rating = true, b(rating)
	return row
}

func corrected(row *Row, text string) *Row {
	row.HasFeedback, row.Feedback.CorrectedAnswer = true, b(text)
	return row
}

// tuned is a row and what becomes of it: a record, or the reason that begins with "drop ".
type tuned struct {
	name string
	row  *Row
	want string
}

// checkTuned sends each row through a target, twice so that nothing of a row is left for the next.
func checkTuned(t *testing.T, target string, options map[string]any, tests []tuned) {
	t.Helper()
	all, err := Find(FineTuning, target)
	if err != nil {
		t.Fatal(err)
	}
	f := newRowFormatter(t, FineTuning, target, options)
	for _, test := range slices.Concat(tests, tests) {
		got, drop, err := f.Append([]byte("before"), test.row)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		got, found := bytes.CutPrefix(got, []byte("before"))
		if !found {
			t.Fatalf("%s: the buffer was not extended: %s", test.name, got)
		}
		if drop != "" {
			if len(got) > 0 {
				t.Errorf("%s: dropped as %s, and yet wrote %s", test.name, drop, got)
			}
			if !slices.ContainsFunc(all.Drops, func(d Drop) bool { return d.Reason == drop }) {
				t.Errorf("%s: %s is no reason that the target tells of", test.name, drop)
			}
			got = []byte("drop " + drop)
		} else if !json.Valid(got) || bytes.ContainsAny(got, "\r\n\t") {
			t.Errorf("%s: not a line of JSON: %q", test.name, got)
		}
		if string(got) != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, got, test.want)
		}
	}
}

// Messages in short.
const (
	hi  = `{"role":"user","content":"Hi"}`
	yes = `{"role":"assistant","content":"Yes?"}`
)

func chat(messages ...string) string { return "[" + strings.Join(messages, ",") + "]" }

func user(text string) string { return fmt.Sprintf(`{"role":"user","content":%q}`, text) }
func said(text string) string { return fmt.Sprintf(`{"role":"assistant","content":%q}`, text) }
func told(text string) string { return fmt.Sprintf(`{"role":"system","content":%q}`, text) }

// calls is a message of the assistant that calls f once for each id.
func calls(ids ...string) string { return calling("", ids...) }

// calling says something beside the calls.
func calling(text string, ids ...string) string {
	var all []string
	for _, id := range ids {
		all = append(all, fmt.Sprintf(`{"id":%q,"type":"function","function":{"name":"f","arguments":"{}"}}`, id))
	}
	if text != "" {
		text = fmt.Sprintf(`"content":%q,`, text)
	}
	return `{"role":"assistant",` + text + `"tool_calls":[` + strings.Join(all, ",") + `]}`
}

func result(id, text string) string {
	return fmt.Sprintf(`{"role":"tool","tool_call_id":%q,"content":%q}`, id, text)
}

const toolF = `{"type":"function","function":{"name":"f","description":"does","parameters":{"type":"object","properties":{}}}}`

func withTools(row *Row, tools string) *Row {
	row.Tools = b(tools)
	return row
}
