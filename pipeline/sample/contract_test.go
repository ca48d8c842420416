package sample

import (
	"bytes"
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// The fields of the contract. A path goes through arrays; "*" is any key.
var contractFields = map[string]string{
	TypeRun: `workspace_id run_id source app_id started_at status app_name app_version request_id session_id user_id model
		trace_id trigger ended_at question answer reference inputs system_inputs outputs messages messages.role
		messages.content messages.tool_calls messages.tool_calls.id messages.tool_calls.type messages.tool_calls.function.name
		messages.tool_calls.function.arguments messages.tool_call_id messages.name tools tools.type tools.function.name
		tools.function.parameters error error.type error.message files files.file_id files.name files.uri files.content_type
		files.size_bytes files.direction usage.input_tokens usage.output_tokens cost_usd metadata.* updated_at`,
	TypeNode: `workspace_id run_id node_run_id source app_id app_version node_id node_name node_type parent_node_run_id
		sequence started_at ended_at status inputs outputs error error.type error.message prompt.template prompt.variables.*
		messages.role messages.content messages.tool_calls.id messages.tool_calls.type messages.tool_calls.function.name
		messages.tool_calls.function.arguments messages.tool_call_id messages.name tools.type tools.function.name
		tools.function.parameters model parameters.* chunks.chunk_id chunks.text
		chunks.score chunks.source_uri chunks.title chunks.sent_to_llm chunks.used_in_answer files.file_id files.name
		files.uri files.content_type files.size_bytes files.direction usage.input_tokens usage.output_tokens cost_usd
		metadata.* updated_at`,
	TypeFeedback: `workspace_id run_id feedback_id kind rating score comment tags corrected_answer node_id created_by created_at
		updated_at`,
}

// Fields that an event of the type must have.
var required = map[string]string{
	TypeRun:      "workspace_id run_id source app_id started_at status updated_at",
	TypeNode:     "workspace_id run_id node_run_id source app_id node_id started_at status updated_at",
	TypeFeedback: "workspace_id run_id feedback_id updated_at",
}

// Objects with keys that the producer chooses.
var free = map[string]bool{
	"inputs": true, "system_inputs": true, "outputs": true, "metadata": true, "parameters": true, "prompt.variables": true,
	"tools.function.parameters": true,
}

// messages.content parts and tool definitions' descriptions are OpenAI's, not ours.
var openAI = regexp.MustCompile(
	`^(messages\.content\.(type|text|image_url(\.url)?)|tools\.function(\.description)?|messages\.tool_calls\.function)$`)

func walk(path string, v any, visit func(path string, v any)) {
	switch v := v.(type) {
	case map[string]any:
		for k, member := range v {
			p := k
			if path != "" {
				p = path + "." + k
			}
			if free[path] {
				visit(path+".*", member)
				continue
			}
			visit(p, member)
			walk(p, member, visit)
		}
	case []any:
		for _, element := range v {
			walk(path, element, visit)
		}
	}
}

func TestEveryFieldOfTheContractOccursAndNoOther(t *testing.T) {
	seen := map[string]map[string]bool{TypeRun: {}, TypeNode: {}, TypeFeedback: {}}
	for _, e := range sample(t) {
		walk("", e.data, func(path string, v any) {
			if v != nil {
				seen[e.Type][path] = true
			}
		})
		for _, field := range strings.Fields(required[e.Type]) {
			if e.str(field) == "" {
				t.Errorf("%s has no %s", e.ID, field)
			}
		}
		if _, scored := e.data["score"]; e.Type == TypeFeedback && !scored && e.str("rating") == "" {
			t.Errorf("%s has neither rating nor score", e.ID)
		}
	}
	for typ, fields := range contractFields {
		known := map[string]bool{}
		for _, field := range strings.Fields(fields) {
			for parent := field; parent != ""; parent = parent[:max(0, strings.LastIndexByte(parent, '.'))] {
				known[parent] = true
			}
			if !seen[typ][field] {
				t.Errorf("%s: %s never occurs", typ, field)
			}
		}
		for path := range seen[typ] {
			if !known[path] && !openAI.MatchString(path) && !free[strings.TrimSuffix(path, ".*")] {
				t.Errorf("%s: %s is not in the contract", typ, path)
			}
		}
	}
}

func TestEveryIDMatches(t *testing.T) {
	id := regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}$`)
	fields := strings.Fields(`workspace_id run_id node_run_id parent_node_run_id feedback_id app_id node_id request_id
		session_id user_id trace_id created_by`)
	for _, e := range sample(t) {
		if !id.MatchString(e.ID) || e.SpecVersion != "1.0" || e.DataContentType != "application/json" ||
			!strings.HasPrefix(e.Source, "/") {
			t.Errorf("attributes of %s", e.ID)
		}
		for _, field := range fields {
			if v, ok := e.data[field]; ok && !id.MatchString(e.str(field)) {
				t.Errorf("%s: %s is %v", e.ID, field, v)
			}
		}
		walk("", e.data, func(path string, v any) {
			if s, _ := v.(string); strings.HasSuffix(path, "_id") && !id.MatchString(s) {
				t.Errorf("%s: %s is %v", e.ID, path, v)
			}
		})
	}
}

func TestTypedFieldsHaveTheirTypes(t *testing.T) {
	enums := map[string]string{
		"source": "copilot recipe", "status": "running succeeded failed cancelled", "rating": "thumbsUp thumbsDown",
		"files.direction": "input output",
	}
	for _, e := range sample(t) {
		walk("", e.data, func(path string, v any) {
			switch want, s := enums[path], ""; {
			case want != "":
				if s, _ = v.(string); !strings.Contains(" "+want+" ", " "+s+" ") || s == "" {
					t.Errorf("%s: %s is %v", e.ID, path, v)
				}
			case strings.HasSuffix(path, "_at"):
				if s, _ = v.(string); s < "2025-12-01" || s > "2026-02" {
					t.Errorf("%s: %s is %v", e.ID, path, v)
				}
				instant(t, s)
			case path == "metadata.*":
				if _, ok := v.(string); !ok {
					t.Errorf("%s: %s is %v", e.ID, path, v)
				}
			case strings.HasPrefix(path, "usage.") || path == "sequence" || path == "files.size_bytes":
				if n, ok := v.(float64); !ok || n < 0 || n != float64(int64(n)) {
					t.Errorf("%s: %s is %v", e.ID, path, v)
				}
			case path == "chunks.score" || path == "score":
				if n, ok := v.(float64); !ok || n < 0 || n > 1 {
					t.Errorf("%s: %s is %v", e.ID, path, v)
				}
			}
		})
	}
}

func TestEveryLineIsOneValidDocumentWithoutDuplicateKeys(t *testing.T) {
	for _, e := range sample(t) {
		if bytes.Count(e.line, []byte("\n")) != 1 || !bytes.HasSuffix(e.line, []byte("}\n")) {
			t.Fatalf("%s is not one line", e.ID)
		}
		if !utf8.Valid(e.line) || bytes.Contains(e.line, []byte(`\u0000`)) {
			t.Fatalf("%s holds what ingest refuses", e.ID)
		}
		if key := duplicateKey(t, json.NewDecoder(bytes.NewReader(e.line))); key != "" {
			t.Fatalf("%s: key %q twice", e.ID, key)
		}
	}
}

// duplicateKey reads one document and returns a key that an object has twice.
func duplicateKey(t *testing.T, d *json.Decoder) string {
	t.Helper()
	var open []map[string]bool // nil for an array
	wantKey := false
	for {
		token, err := d.Token()
		if err == io.EOF {
			return ""
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token {
		case json.Delim('{'):
			open, wantKey = append(open, map[string]bool{}), true
			continue
		case json.Delim('['):
			open, wantKey = append(open, nil), false
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		default:
			if wantKey {
				keys := open[len(open)-1]
				if keys[token.(string)] {
					return token.(string)
				}
				keys[token.(string)], wantKey = true, false
				continue
			}
		}
		wantKey = len(open) > 0 && open[len(open)-1] != nil
	}
}

func TestTheDuplicateKeyFinderFindsThem(t *testing.T) {
	for doc, want := range map[string]string{
		`{"a":1,"b":{"a":2},"c":[{"a":1},{"a":1}]}`: "", `{"a":1,"a":2}`: "a", `[{"x":[1,{"y":1,"z":{},"y":[]}]}]`: "y",
	} {
		if got := duplicateKey(t, json.NewDecoder(strings.NewReader(doc))); got != want {
			t.Errorf("%s: %q", doc, got)
		}
	}
}

func TestStartedAtOfAnIdentityNeverChanges(t *testing.T) {
	first := map[string]string{}
	for _, e := range sample(t) {
		at, seen := first[e.key()]
		if !seen {
			first[e.key()] = e.str("started_at") + e.str("created_at")
		} else if at != e.str("started_at")+e.str("created_at") {
			t.Errorf("%s started at %s and at %s", e.ID, at, e.str("started_at"))
		}
	}
}

func TestTimesAreInOrder(t *testing.T) {
	for _, e := range sample(t) {
		start, end := e.str("started_at"), e.str("ended_at")
		if start != "" && (end != "" && end < start || e.str("updated_at") < max(start, end)) {
			t.Errorf("%s: started %s, ended %s, updated %s", e.ID, start, end, e.str("updated_at"))
		}
		if final := e.Type != TypeFeedback && e.str("status") != running; final != (end != "") {
			t.Errorf("%s: status %s, ended %q", e.ID, e.str("status"), end)
		}
	}
}

func TestEscapingIsUndoneByEncodingJSON(t *testing.T) {
	var all []rune
	for r := rune(0); r <= utf8.MaxRune; r += 1 + r>>9 {
		if utf8.ValidRune(r) {
			all = append(all, r)
		}
	}
	want := string(all)
	for _, ascii := range []bool{false, true} {
		line := append(appendEscaped([]byte{'"'}, want, ascii), '"')
		if fromBytes := append(appendEscaped([]byte{'"'}, []byte(want), ascii), '"'); !bytes.Equal(line, fromBytes) {
			t.Errorf("ascii %v: a string and bytes differ", ascii)
		}
		var got string
		if err := json.Unmarshal(line, &got); err != nil || got != want {
			t.Errorf("ascii %v: %v", ascii, err)
		}
		if ascii && bytes.ContainsFunc(line, func(r rune) bool { return r >= utf8.RuneSelf }) {
			t.Error("not ASCII")
		}
	}
}

func TestDecimalsArePlainNumbers(t *testing.T) {
	for want, got := range map[string][]byte{
		"0.5": appendDecimal(nil, 500, 3), "12": appendDecimal(nil, 12_000, 3), "0.000007": appendDecimal(nil, 7, 6),
		"-1.25": appendDecimal(nil, -125, 2), "0": appendDecimal(nil, 0, 3), "3": appendDecimal(nil, 3, 0),
	} {
		if string(got) != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
