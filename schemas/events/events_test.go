package events

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func TestTheTypesAreThoseOfTheContract(t *testing.T) {
	var want []string
	for _, c := range contracts {
		want = append(want, c.eventType)
	}
	slices.Sort(want)
	if got := Types(); !slices.Equal(got, want) {
		t.Errorf("Types() = %v, want %v", got, want)
	}
	for _, name := range []string{"", "dev.millrace.run.v2", "../events/dev.millrace.run.v1"} {
		if _, ok := Schema(name); ok {
			t.Errorf("Schema(%q) has a schema", name)
		}
	}
	if _, err := FS.Open("asyncapi.yaml"); err != nil {
		t.Error(err)
	}
}

func TestSchemasAreValid(t *testing.T) {
	for _, name := range Types() {
		doc := schemaDoc(t, name)
		if got, want := doc["$id"], "urn:millrace:schema:"+name; got != want {
			t.Errorf("%s: $id %v, want %s", name, got, want)
		}
		if got, want := doc["$schema"], "https://json-schema.org/draft/2020-12/schema"; got != want {
			t.Errorf("%s: $schema %v, want %s", name, got, want)
		}
		compiled(t, name) // checks it against the meta-schema
	}
}

// Validators ignore keywords that JSON Schema does not know. So a typo would lose a rule.
func TestSchemasHaveOnlyKnownKeywords(t *testing.T) {
	known := strings.Fields(`$schema $id $ref $defs title description type enum const pattern format default examples
		minLength maxLength minimum maximum items minItems maxItems properties required additionalProperties propertyNames
		maxProperties allOf anyOf oneOf not if then`)
	for _, name := range Types() {
		subschemas(schemaDoc(t, name), "", func(at string, schema map[string]any) {
			for word := range schema {
				if !slices.Contains(known, word) {
					t.Errorf("%s%s: keyword %q", name, at, word)
				}
			}
		})
	}
}

func TestEveryPropertyHasADescription(t *testing.T) {
	for _, name := range Types() {
		doc := schemaDoc(t, name)
		check := func(at string, schema map[string]any) {
			if text, _ := schema["description"].(string); len(text) < 5 {
				t.Errorf("%s%s: no description", name, at)
			}
		}
		check("", doc)
		defs := doc["$defs"].(map[string]any)
		for def, schema := range defs {
			check("/$defs/"+def, schema.(map[string]any))
		}
		for at, schema := range properties(t, doc) {
			if !strings.HasSuffix(at, "[]") {
				check("/"+at, schema)
			}
		}
	}
}

// Each file stands alone, so that any tool can use it. It repeats the definitions that it needs.
func TestSharedDefinitionsAreEqual(t *testing.T) {
	first := map[string]any{}
	for _, name := range Types() {
		doc := schemaDoc(t, name)
		for def, schema := range doc["$defs"].(map[string]any) {
			if other, ok := first[def]; ok && !reflect.DeepEqual(other, schema) {
				t.Errorf("%s: $defs/%s differs from another file's", name, def)
			}
			first[def] = schema
			ref, text := `"#/$defs/`+def+`"`, mustSchema(t, name)
			if !bytes.Contains(text, []byte(ref)) {
				t.Errorf("%s: nothing refers to $defs/%s", name, def)
			}
		}
	}
	for def, schema := range first {
		plain, ok := first[strings.TrimPrefix(def, "optional_")].(map[string]any)
		if !ok || !strings.HasPrefix(def, "optional_") || def == "optional_node_ids" {
			continue
		}
		want, got := maps.Clone(plain), maps.Clone(schema.(map[string]any))
		want["type"] = []any{plain["type"], "null"}
		for _, m := range []map[string]any{want, got} {
			delete(m, "title")
			delete(m, "description")
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("$defs/%s is not the definition without optional_, or null", def)
		}
	}
}

func TestSchemasHaveTheFieldsOfTheContract(t *testing.T) {
	for _, c := range contracts {
		got := slices.Sorted(maps.Keys(properties(t, schemaDoc(t, c.eventType))))
		var want []string
		for _, f := range c.table(t) {
			want = append(want, f.path)
		}
		slices.Sort(want)
		for _, path := range want {
			if !slices.Contains(got, path) {
				t.Errorf("%s: the schema does not have %s", c.eventType, path)
			}
		}
		for _, path := range got {
			if !slices.Contains(want, path) {
				t.Errorf("%s: the contract does not have %s", c.eventType, path)
			}
		}
	}
}

func TestExamplesAreValidAndUseEveryField(t *testing.T) {
	for _, c := range contracts {
		schema := compiled(t, c.eventType)
		docs := c.documents(t)
		for i, doc := range docs {
			if err := schema.Validate(doc); err != nil {
				t.Errorf("%s, variant %d: %v", c.eventType, i, err)
			}
		}
		for _, f := range c.table(t) {
			if i := slices.IndexFunc(docs, func(doc any) bool { return find(doc, f.path) != nil }); i < 0 {
				t.Errorf("%s: the example does not have %s", c.eventType, f.path)
			}
		}
	}
}

func TestTheExampleOfACompletionAddsUp(t *testing.T) {
	var doc struct {
		RowsPlanned int            `json:"rows_planned"`
		RowsUsed    int            `json:"rows_used"`
		Vanished    int            `json:"vanished"`
		Dropped     map[string]int `json:"dropped"`
	}
	if err := json.Unmarshal(readFile(t, "dev.millrace.export.completed.v1.example.json"), &doc); err != nil {
		t.Fatal(err)
	}
	sum := doc.RowsUsed + doc.Vanished
	for _, n := range doc.Dropped {
		sum += n
	}
	if sum != doc.RowsPlanned {
		t.Errorf("rows_used + dropped + vanished = %d, rows_planned is %d", sum, doc.RowsPlanned)
	}
}

// The real events are not part of the project; the test skips where they are missing.
func TestRealEventsAreValid(t *testing.T) {
	dir := filepath.Join(moduleRoot(t), "..", "shared", "data")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		t.Skip("no folder ../shared/data beside the module")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.events.jsonl.gz"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no *.events.jsonl.gz in %s (%v)", dir, err)
	}
	schemas := map[string]*jsonschema.Schema{}
	for _, name := range Types() {
		schemas[name] = compiled(t, name)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			realEvents(t, file, schemas)
		})
	}
}

func realEvents(t *testing.T, file string, schemas map[string]*jsonschema.Schema) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 9<<20)
	n := 0
	for lines.Scan() {
		n++
		var event struct {
			Type string
			Data json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatalf("event %d: %v", n, err)
		}
		schema := schemas[event.Type]
		if schema == nil {
			t.Fatalf("event %d: no schema for type %q", n, event.Type)
		}
		if err := schema.Validate(parse(t, event.Data)); err != nil {
			t.Fatalf("event %d: %v", n, err)
		}
	}
	if err := lines.Err(); err != nil || n == 0 {
		t.Fatalf("after %d events: %v", n, err)
	}
}
