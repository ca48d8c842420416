package targets_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/evaluation"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/pipeline/strictjson"
	"github.com/millrace/millrace/sinks/fragment"
)

// What must hold, whatever a producer sends in its documents and texts:
//   - nothing panics, even where a document is no JSON;
//   - where ingest would have taken all of it, no target fails, and each record is one line of
//     valid JSON;
//   - a record that has columns can be written as every format of its target;
//   - where messages are no JSON, each target of fine_tuning says so.
func FuzzTargets(f *testing.F) {
	const call = `{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}}]}`
	f.Add(`{"question":"Hi"}`, `{"answer":"Yes?"}`, formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage, call,
		formattest.ToolResult("c", "1"), formattest.YesMessage, formattest.HiMessage), "["+formattest.ToolF+"]",
		`{"q":"{{a}}","a":[1E400]}`, "Say {{q}} {a}")
	f.Add("{ \"goal\" :\n1 , \"file\":\"file://{{x}}{%\" }", `{"a":"x","b":"\u00e9"}`,
		`[{"role":"user","content":[{"type":"text","text":"a"},"b",{"type":"image_url"}]}]`, `null`,
		`{"output":"o","output_":null,"":{}}`, "{{q}}{{q }}{{}}")
	f.Add(`{}`, `{"answer":" "}`, `[]`, ``, `{}`, "")
	f.Add(`{"a"`, `[1,]`, `[{"role":"user"`, `[] []`, `{"\x":1}`, "{{{a}}}")
	f.Add(`{}`, `{}`, `[00`, `[1,`, `{}`, "")
	f.Add(``, `"a`, `nope`, `"\`, `{"a":"\ud800"}`, "\xff{{a}}")
	type target struct {
		purpose string
		*format.Target
		format.Formatter
	}
	var all []target
	for purpose, t := range formattest.EveryTarget() {
		formatter, err := targets.New(purpose, t.Name, fuzzedOptions(purpose, t))
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, target{purpose, t, formatter})
	}
	f.Fuzz(func(t *testing.T, inputs, outputs, messages, tools, variables, template string) {
		taken := acceptable(inputs, '{') && acceptable(outputs, '{') && acceptable(messages, '[') && acceptable(tools, '[') &&
			acceptable(variables, '{') && utf8.ValidString(template)
		rows := map[bool][]*record.Row{}
		for _, node := range []bool{false, true} {
			for _, rating := range []string{record.RatedDown, record.RatedUp} {
				rows[node] = append(rows[node], fuzzedRow(node, rating, inputs, outputs, messages, tools, variables, template))
			}
		}
		for _, target := range all {
			check := func(record []byte) {
				if !taken {
					return // what is copied only is no JSON either
				}
				if !json.Valid(record) || bytes.ContainsAny(record, "\n\r") {
					t.Fatalf("%s/%s: no line of JSON: %q", target.purpose, target.Name, record)
				}
				if target.Columns() != nil {
					encode(t, target.purpose, target.Target, record)
				}
			}
			var failed error
			for _, row := range rows[formattest.NodesFor(target.purpose) != nil] {
				var err error
				switch f := target.Formatter.(type) {
				case format.RowFormatter:
					var record []byte
					var drop string
					if record, drop, err = f.Append(nil, row); err == nil && drop == "" {
						check(record)
					}
				case format.GroupFormatter:
					_, err = f.Add(row)
				}
				if err != nil {
					failed = err
				}
			}
			if f, group := target.Formatter.(format.GroupFormatter); group {
				if err := f.Flush(func(record []byte, _ ...format.Source) error { check(record); return nil }, func(string, int) {},
					func(string) {}); err != nil {
					t.Fatal(err)
				}
			}
			if failed != nil && taken {
				t.Fatalf("%s/%s: %v", target.purpose, target.Name, failed)
			}
			if failed == nil && target.purpose == format.FineTuning && messages != "" && !json.Valid([]byte(messages)) {
				t.Fatalf("%s: no error for %q", target.Name, messages)
			}
		}
	})
}

// acceptable says whether ingest takes a document: nothing, null, or JSON that begins so.
func acceptable(doc string, begin byte) bool {
	return doc == "" || strictjson.Check([]byte(doc)) == nil && !record.IsOtherKind(begin, []byte(doc))
}

// fuzzedRow is a rated run or node run that has these documents, with a node run that has them too.
func fuzzedRow(node bool, rating, inputs, outputs, messages, tools, variables, template string) *record.Row {
	e := record.Execution{
		AppVersion: []byte("v1"), Status: []byte("succeeded"), Inputs: []byte(inputs), Outputs: []byte(outputs),
		Messages: []byte(messages), Tools: []byte(tools),
		InputGroup: []byte("00112233445566778899aabbccddeeff"),
	}
	n := record.Node{
		NodeRunID: []byte("n"), NodeID: []byte("node"), NodeType: []byte("llm"), PromptTemplate: []byte(template),
		PromptVariables: []byte(variables),
		Parameters:      []record.Pair{{Key: []byte("p"), Value: []byte("1")}},
		Chunks:          []record.Chunk{{Text: []byte("chunk")}}, Execution: e,
	}
	tool := n
	tool.NodeType = []byte("tool")
	row := formattest.Rated(&record.Row{
		WorkspaceID: []byte("w"), RunID: []byte("r-" + rating), AppID: []byte("a"), Source: []byte("recipe"), Execution: e,
		SystemInputs: []byte(inputs),
		Reference:    []byte("reference"), Nodes: []record.Node{tool, n}, Group: []byte("g"),
		Comparison: record.Comparison{RunsInGroup: 1, Rank: 1, HasPrevious: true, PreviousAnswer: []byte(outputs)},
	}, rating)
	row.Answer = []byte("the answer of " + rating)
	if node {
		row.Node, row.Nodes = &n, nil
	}
	return row
}

// fuzzedOptions are those of a target that has none without.
func fuzzedOptions(purpose string, target *format.Target) map[string]any {
	if target.Name == evaluation.KariniCSV && purpose == format.NodeEvaluation {
		return evaluation.KariniOptions(nil, []string{"q", "a", "output"}, nil)
	}
	return nil
}

// encode writes a record in every format of its target.
func encode(t *testing.T, purpose string, target *format.Target, record []byte) {
	t.Helper()
	for _, format := range target.Formats {
		if !slices.Contains([]string{fragment.CSV, fragment.Parquet}, format) {
			continue
		}
		e, err := targets.NewEncoder(purpose, target.Name, format, fragment.Uncompressed, fuzzedOptions(purpose, target), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Open(io.Discard); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(e.Append(record), e.Close()); err != nil {
			t.Fatalf("%s/%s as %s: %v: %s", purpose, target.Name, format, err, record)
		}
	}
}
