package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

func asyncAPI(t *testing.T) map[string]any {
	t.Helper()
	var doc any
	if err := yaml.Unmarshal(readFile(t, "asyncapi.yaml"), &doc); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, b).(map[string]any)
}

// specification compiles a part of AsyncAPI's own JSON Schema: "" or a JSON pointer such as
// /definitions/schema.
func specification(t *testing.T, part string) *jsonschema.Schema {
	t.Helper()
	file := filepath.Join(moduleRoot(t), ".ci", "npm", "node_modules", "@asyncapi", "specs", "schemas",
		"3.0.0-without-$id.json")
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		const reason = "AsyncAPI's schemas are not installed: npm ci --prefix .ci/npm"
		if os.Getenv("CI") == "true" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	if err != nil {
		t.Fatal(err)
	}
	const url = "urn:asyncapi:3.0.0"
	c := jsonschema.NewCompiler()
	if err := c.AddResource(url, parse(t, b)); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(url + "#" + part)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestAsyncAPIIsValid(t *testing.T) {
	schema := specification(t, "")
	if err := schema.Validate(asyncAPI(t)); err != nil {
		t.Error(err)
	}
	for _, patch := range []string{
		`{"info": {"title": null}}`,
		`{"topics": {}}`,
		`{"channels": {"runs": {"bindings": {"kafka": {"retention": 7}}}}}`,
		`{"operations": {"ingestRuns": {"action": "consume"}}}`,
	} {
		var p any
		if err := json.Unmarshal([]byte(patch), &p); err != nil {
			t.Fatal(err)
		}
		if schema.Validate(merge(asyncAPI(t), p)) == nil {
			t.Errorf("valid with %s", patch)
		}
	}
}

// AsyncAPI reads payloads in its own superset of JSON Schema draft-07.
func TestEventSchemasAreAsyncAPISchemas(t *testing.T) {
	schema := specification(t, "/definitions/schema")
	for _, name := range Types() {
		if err := schema.Validate(schemaDoc(t, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAsyncAPIReferencesResolve(t *testing.T) {
	doc := asyncAPI(t)
	seen := 0
	var walk func(v any, at string)
	walk = func(v any, at string) {
		switch v := v.(type) {
		case []any:
			for i, element := range v {
				walk(element, fmt.Sprint(at, "/", i))
			}
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				seen++
				if _, err := resolve(doc, ref); err != nil {
					t.Errorf("%s: %v", at, err)
				}
			}
			for key, value := range v {
				walk(value, at+"/"+key)
			}
		}
	}
	walk(doc, "#")
	if seen == 0 {
		t.Error("no $ref found")
	}
	for _, ref := range []string{"#/components/messages/none", "./none.schema.json"} {
		if _, err := resolve(doc, ref); err == nil {
			t.Errorf("%s resolves", ref)
		}
	}
}

// resolve follows a $ref of asyncapi.yaml: a pointer into the document, or a file beside it.
func resolve(doc map[string]any, ref string) (map[string]any, error) {
	if file, ok := strings.CutPrefix(ref, "./"); ok {
		b, err := FS.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var schema map[string]any
		return schema, json.Unmarshal(b, &schema)
	}
	pointer, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil, fmt.Errorf("%s is neither in the document nor a file beside it", ref)
	}
	v := doc
	for step := range strings.SplitSeq(pointer, "/") {
		if v = asObject(v[step]); v == nil {
			return nil, fmt.Errorf("%s: there is no %s", ref, step)
		}
	}
	return v, nil
}

// topics are the topics of the contract.
var topics = map[string]struct {
	key        string
	partitions string
	maxBytes   string
	messages   []string // event types; internal messages and dead letters have none
	internal   bool
}{
	"millrace.runs": {"`workspace_id/run_id`", "12", "33554432",
		[]string{"dev.millrace.feedback.v1", "dev.millrace.node.v1", "dev.millrace.run.v1"}, false},
	"millrace.export-requests": {"`workspace_id/export_id`", "6", "8388608",
		[]string{"dev.millrace.export.cancelled.v1", "dev.millrace.export.requested.v1"}, false},
	"millrace.export-windows": {"`workspace_id/export_id/window`", "24", "8388608", []string{""}, true},
	"millrace.export-results": {"`workspace_id/export_id`", "6", "8388608", []string{""}, true},
	"millrace.export-progress": {"`workspace_id/export_id`", "6", "8388608",
		[]string{"dev.millrace.export.progressed.v1"}, false},
	"millrace.export-completions": {"`workspace_id/export_id`", "6", "8388608",
		[]string{"dev.millrace.export.completed.v1"}, false},
	"millrace.audit":        {"`workspace_id/subject`", "3", "8388608", []string{"dev.millrace.audit.v1"}, false},
	"millrace.dead-letters": {"The record's own key.", "3", "34603008", []string{""}, false},
}

func TestChannelsAreTheTopicsOfTheContract(t *testing.T) {
	doc := asyncAPI(t)
	byAddress := map[string]map[string]any{}
	for _, channel := range asObject(doc["channels"]) {
		byAddress[channel.(map[string]any)["address"].(string)] = channel.(map[string]any)
	}
	if got, want := slices.Sorted(maps.Keys(byAddress)), slices.Sorted(maps.Keys(topics)); !slices.Equal(got, want) {
		t.Fatalf("addresses %v, want %v", got, want)
	}
	for address, want := range topics {
		channel := byAddress[address]
		kafka := asObject(asObject(channel["bindings"])["kafka"])
		config := asObject(kafka["topicConfiguration"])
		if got := fmt.Sprint(kafka["partitions"]); got != want.partitions {
			t.Errorf("%s: %s partitions", address, got)
		}
		if got := fmt.Sprint(config["max.message.bytes"]); got != want.maxBytes {
			t.Errorf("%s: max.message.bytes %s", address, got)
		}
		compacted := address == "millrace.export-completions"
		if got := fmt.Sprint(config["cleanup.policy"]); (got == "[compact]") != compacted ||
			(got == "[delete]") == compacted {
			t.Errorf("%s: cleanup.policy %s", address, got)
		}
		if _, ok := config["retention.ms"]; ok == compacted {
			t.Errorf("%s: has a retention: %v", address, ok)
		}
		if internal := strings.Contains(fmt.Sprint(channel["description"]),
			"Internal and unstable"); internal != want.internal {
			t.Errorf("%s: internal is %v", address, internal)
		}
		var names []string
		for _, ref := range asObject(channel["messages"]) {
			message := mustResolve(t, doc, ref)
			name, _ := message["name"].(string)
			names = append(names, name)
			checkMessage(t, doc, address, message, want.key)
		}
		if slices.Sort(names); !slices.Equal(names, want.messages) {
			t.Errorf("%s: messages %v, want %v", address, names, want.messages)
		}
	}
}

func checkMessage(t *testing.T, doc map[string]any, address string, message map[string]any, key string) {
	t.Helper()
	bindings := mustResolve(t, doc, message["bindings"])
	if got := asObject(asObject(bindings["kafka"])["key"])["description"]; got != key {
		t.Errorf("%s: key %v, want %s", address, got, key)
	}
	payload := mustResolve(t, doc, message["payload"])
	name, ok := message["name"].(string)
	if !ok {
		return
	}
	if got, want := payload["$id"], "urn:millrace:schema:"+name; got != want {
		t.Errorf("%s: payload of %s is %v", address, name, got)
	}
	if got := fmt.Sprint(asObject(message["headers"])["allOf"]); !strings.Contains(got, "ce_type:map[const:"+name+"]") {
		t.Errorf("%s: headers of %s are %s", address, name, got)
	}
}

func mustResolve(t *testing.T, doc map[string]any, v any) map[string]any {
	t.Helper()
	ref, ok := asObject(v)["$ref"].(string)
	if !ok {
		return asObject(v)
	}
	target, err := resolve(doc, ref)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func TestHeadersAreThoseOfTheContract(t *testing.T) {
	schemas := asObject(asObject(asyncAPI(t)["components"])["schemas"])
	for name, want := range map[string]string{
		"cloudEventHeaders": "ce_id ce_source ce_specversion ce_subject ce_time ce_type content-type traceparent",
		"deadLetterHeaders": "millrace_error millrace_error_detail millrace_offset millrace_partition millrace_stage " +
			"millrace_timestamp millrace_topic",
	} {
		headers := asObject(asObject(schemas[name])["properties"])
		if got := strings.Join(slices.Sorted(maps.Keys(headers)), " "); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		for header, schema := range headers {
			if asObject(schema)["description"] == nil {
				t.Errorf("%s: no description of %s", name, header)
			}
		}
	}
	codes := asObject(asObject(asObject(schemas["deadLetterHeaders"])["properties"])["millrace_error"])["enum"]
	const want = "[invalid_json invalid_utf8 duplicate_key unknown_type missing_field wrong_type out_of_range bad_id " +
		"too_large " +
		"too_deep nul_character clock_skew row_refused export_id_conflict unknown_export]"
	if got := fmt.Sprint(codes); got != want {
		t.Errorf("codes %s, want %s", got, want)
	}
}

// Some part of Millrace writes each topic, and some part reads it.
func TestEveryTopicHasItsOperations(t *testing.T) {
	doc := asyncAPI(t)
	got := map[string][]string{}
	for _, operation := range asObject(doc["operations"]) {
		o := asObject(operation)
		address := fmt.Sprint(mustResolve(t, doc, o["channel"])["address"])
		got[address] = append(got[address], fmt.Sprint(o["action"]))
	}
	for address := range topics {
		actions := got[address]
		if slices.Sort(actions); !slices.Equal(actions, []string{"receive", "send"}) {
			t.Errorf("%s: operations %v", address, actions)
		}
	}
}
