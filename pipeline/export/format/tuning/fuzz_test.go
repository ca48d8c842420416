package tuning_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// For all messages and tools that are JSON: there is no panic and no error, and each written line
// is JSON that satisfies the reader's schema and rules.
func FuzzConversations(f *testing.F) {
	f.Add(formattest.Chat(formattest.SystemSays("x"), formattest.HiMessage, calling("wait", "a", "b"),
		formattest.ToolResult("b", "1"), formattest.ToolResult("a", ""), formattest.HiMessage, formattest.YesMessage,
		formattest.HiMessage), "["+formattest.ToolF+"]")
	f.Add(formattest.Chat(formattest.HiMessage, calls("a"), formattest.ToolResult("a", "x"), formattest.HiMessage,
		calls("a"), formattest.ToolResult("a", "y"), formattest.YesMessage), `[{"type":"function","function":{"name":"f"}}]`)
	f.Add(formattest.Chat(formattest.YesMessage,
		`{"role":"user","content":[{"type":"text","text":"\u0041"},{"type":"text","text":"User:"}]}`,
		`{"role":"assistant","content":" "}`, formattest.YesMessage, formattest.YesMessage), `null`)
	f.Add(
		`[{"role":"developer","content":null},{"role":"user","content":"a\nb"},{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"a":1E400}}}]},{"role":"tool","content":""},{"role":"assistant","content":"x"}]`, ``)
	type target struct {
		format.Formatter
		schema *jsonschema.Schema
		rule   func(record []byte) error
	}
	var all []target
	for _, v := range tuningVariants {
		formatter, err := targets.New(format.FineTuning, v.target, v.options)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, target{formatter, schemaOf(f, v.schema), tuningRules[v.schema]})
	}
	f.Fuzz(func(t *testing.T, messages, tools string) {
		for _, doc := range []string{messages, tools} {
			// Halves of surrogate pairs and NUL are refused at ingest; in text, encoding/json makes
			// the former U+FFFD.
			var text any
			if doc != "" && (!utf8.ValidString(doc) || json.Unmarshal([]byte(doc), &text) != nil ||
				strings.Contains(doc, `\u0000`) || strings.Contains(strings.ToLower(doc), `\ud`)) {
				t.Skip("refused at ingest")
			}
		}
		row := formattest.Rated(withTools(formattest.ChatRow(messages), tools), "thumbsDown")
		better := formattest.Rated(withTools(formattest.ChatRow(messages), tools), "thumbsUp")
		better.Messages = bytes.ReplaceAll(better.Messages, []byte("Yes?"), []byte("No"))
		for _, target := range all {
			check := func(record []byte) {
				if bytes.ContainsAny(record, "\n\r\t") {
					t.Fatalf("no line: %q", record)
				}
				doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(record))
				if err == nil {
					err = target.schema.Validate(doc)
				}
				if err == nil {
					err = target.rule(record)
				}
				if err != nil {
					t.Fatalf("%v\n%s", err, record)
				}
			}
			switch f := target.Formatter.(type) {
			case format.RowFormatter:
				record, drop, err := f.Append(nil, row)
				if err != nil {
					t.Fatal(err)
				}
				if drop == "" {
					check(record)
				}
			case format.GroupFormatter:
				for _, row := range []*record.Row{row, better} {
					if _, err := f.Add(row); err != nil {
						t.Fatal(err)
					}
				}
				err := f.Flush(func(record []byte, _ ...format.Source) error { check(record); return nil }, func(string, int) {},
					func(string) {})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
