package format

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// What must hold, whatever messages and tools are, as long as they are JSON: no panic and no error, and what is
// written is a line of JSON that the reader's schema and rules take.
func FuzzConversations(f *testing.F) {
	f.Add(chat(told("x"), hi, calling("wait", "a", "b"), result("b", "1"), result("a", ""), hi, yes, hi), "["+toolF+"]")
	f.Add(chat(hi, calls("a"), result("a", "x"), hi, calls("a"), result("a", "y"), yes), `[{"type":"function","function":{"name":"f"}}]`)
	f.Add(chat(yes, `{"role":"user","content":[{"type":"text","text":"\u0041"},{"type":"text","text":"User:"}]}`, `{"role":"assistant","content":" "}`, yes, yes), `null`)
	f.Add(`[{"role":"developer","content":null},{"role":"user","content":"a\nb"},{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"a":1E400}}}]},{"role":"tool","content":""},{"role":"assistant","content":"x"}]`, ``)
	type target struct {
		Formatter
		schema *jsonschema.Schema
		rule   func(record []byte) error
	}
	var targets []target
	for _, v := range tuningVariants {
		formatter, err := New(FineTuning, v.target, v.options)
		if err != nil {
			f.Fatal(err)
		}
		targets = append(targets, target{formatter, schemaOf(f, v.schema), tuningRules[v.schema]})
	}
	f.Fuzz(func(t *testing.T, messages, tools string) {
		for _, doc := range []string{messages, tools} {
			// Halves of surrogate pairs and NUL are refused at ingest; in text, encoding/json makes the former U+FFFD.
			var text any
			if doc != "" && (!utf8.ValidString(doc) || json.Unmarshal([]byte(doc), &text) != nil || strings.Contains(doc, `\u0000`) || strings.Contains(strings.ToLower(doc), `\ud`)) {
				t.Skip("refused at ingest")
			}
		}
		row := rated(withTools(chatRow(messages), tools), "thumbsDown")
		better := rated(withTools(chatRow(messages), tools), "thumbsUp")
		better.Messages = bytes.ReplaceAll(better.Messages, []byte("Yes?"), []byte("No"))
		for _, target := range targets {
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
			case RowFormatter:
				record, drop, err := f.Append(nil, row)
				if err != nil {
					t.Fatal(err)
				}
				if drop == "" {
					check(record)
				}
			case GroupFormatter:
				for _, row := range []*Row{row, better} {
					if _, err := f.Add(row); err != nil {
						t.Fatal(err)
					}
				}
				err := f.Flush(func(record []byte, _ ...Source) error { check(record); return nil }, func(string, int) {}, func(string) {})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
