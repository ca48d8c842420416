package tuning_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// with changes a row.
func with(row *record.Row, change func(row *record.Row)) *record.Row {
	change(row)
	return row
}

// llmNode is a run of a node of a model.
func llmNode(change func(row *record.Row, n *record.Node)) *record.Row {
	row := formattest.EmptyRow()
	row.Node = &record.Node{NodeRunID: []byte("n-1"), NodeID: []byte("solve"), NodeType: []byte("llm"),
		Execution: record.Execution{Status: []byte("succeeded")}}
	change(row, row.Node)
	return row
}

func corrected(row *record.Row, text string) *record.Row {
	row.HasFeedback, row.Feedback.CorrectedAnswer = true, []byte(text)
	return row
}

// tuned is a row and its result: a record, or "drop " and the reason.
type tuned struct {
	name string
	row  *record.Row
	want string
}

// checkTuned sends each row through a target twice, to check that a row leaves nothing for the next
// one.
func checkTuned(t *testing.T, target string, options map[string]any, tests []tuned) {
	t.Helper()
	all, err := targets.Find(format.FineTuning, target)
	if err != nil {
		t.Fatal(err)
	}
	f := formattest.NewRowFormatter(t, format.FineTuning, target, options)
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
			if !slices.ContainsFunc(all.Drops, func(d format.Drop) bool { return d.Reason == drop }) {
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

// calls is a message of the assistant that calls f once for each id.
func calls(ids ...string) string { return calling("", ids...) }

// calling has a text beside its calls.
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

func withTools(row *record.Row, tools string) *record.Row {
	row.Tools = []byte(tools)
	return row
}
