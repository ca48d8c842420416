package purposes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/export"
)

// readerTool runs a script of .ci/npm or .ci/readers and returns what it prints. Without the
// packages the test is skipped, and fails where CI=true.
func readerTool(t *testing.T, script string, args ...string) []byte {
	t.Helper()
	path := filepath.Join(e2etest.Root(t), ".ci", filepath.FromSlash(script))
	if _, err := os.Stat(filepath.Join(filepath.Dir(path), "node_modules")); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the readers must be there where CI=true: %v; make test fetches them", err)
		}
		t.Skipf("no readers: %v; make test fetches them", err)
	}
	cmd := exec.Command("node", append([]string{path}, args...)...)
	cmd.Env = append(os.Environ(), "PROMPTFOO_DISABLE_TELEMETRY=1", "PROMPTFOO_DISABLE_UPDATE=1",
		"PROMPTFOO_CONFIG_DIR="+t.TempDir(), "LOG_LEVEL=error")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v: %.2000s", script, args, err, stderr.Bytes())
	}
	return out
}

// dataFiles are the paths of an export's data files.
func dataFiles(t *testing.T, c *export.Completion) (paths []string) {
	t.Helper()
	var m export.Manifest
	e2etest.Decode(t, e2etest.ReadObject(t, c, export.ManifestName), &m)
	uri, err := url.Parse(c.ManifestURI)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range m.Files {
		if f.Kind == export.Data {
			paths = append(paths, filepath.Join(filepath.Dir(uri.Path), filepath.FromSlash(f.Key)))
		}
	}
	return paths
}

// What the tools themselves read of files as they are: promptfoo's loader and templates, the types
// of OpenAI's client, hyparquet, and DuckDB by the command of the completion. The sample has texts
// that look like templates, quotes and code.
func TestTheToolsThatTargetsNameReadTheirFilesUnmodified(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSampleSite(t, 900)
	batch := e2etest.NewBatch(t, s)
	ask := func(id, source, app string, fields object) {
		r := object{"export_id": id, "workspace_id": "default", "source": source, "app_id": app,
			"selection": object{"limit": 10_000}}
		for key, value := range fields {
			r[key] = value
		}
		batch.File(t, r)
	}
	ask("promptfoo", "recipe", "knowledge-answer", object{"purpose": "recipe_evaluation", "target": "promptfoo",
		"options": object{"assert": "icontains"}})
	ask("chat", "copilot", "airline-helpdesk", object{"purpose": "fine_tuning", "options": object{"dedupe": false}})
	ask("chat-nodes", "copilot", "airline-helpdesk", object{"purpose": "fine_tuning", "nodes": []string{"compose_answer"}})
	ask("preferences", "copilot", "airline-helpdesk", object{"purpose": "fine_tuning", "target": "openai_dpo",
		"options": object{"pairs_per_input": 3}})
	columnar := map[string]object{
		"dataset": {"purpose": "export_dataset", "options": object{"with_nodes": true}},
		"recipe":  {"purpose": "recipe_evaluation"},
		"node":    {"purpose": "node_evaluation", "nodes": []string{"retrieve", "generate"}},
		"tuning":  {"purpose": "node_optimization", "nodes": []string{"generate"}},
	}
	for id, fields := range columnar {
		for _, format := range []string{"parquet", "jsonl", "csv"} {
			fields["format"] = format
			ask(id+"-"+format, "recipe", "knowledge-answer", fields)
		}
	}
	ended := batch.Wait(t)
	of := func(id string) *export.Completion {
		c := ended[export.ID{WorkspaceID: "default", ExportID: id}]
		if c.Status != export.StatusSucceeded || c.Records == 0 {
			t.Fatalf("%s: %s, %d records, dropped %v, %+v", id, c.Status, c.Records, c.Dropped, c.Failure())
		}
		return &c
	}
	t.Run("promptfoo", func(t *testing.T) { promptfooReads(t, s, of("promptfoo")) })
	t.Run("OpenAI's types", func(t *testing.T) {
		for id, kind := range map[string]string{"chat": "Chat", "chat-nodes": "Chat", "preferences": "Preference"} {
			openAIReads(t, of(id), kind)
		}
	})
	for id := range columnar {
		t.Run("columns of "+id, func(t *testing.T) { columnsAreRead(t, of(id+"-parquet"), of(id+"-jsonl"), of(id+"-csv")) })
	}
}

// promptfooReads loads an export as promptfoo does: every question is rendered as it was asked.
func promptfooReads(t *testing.T, s *e2etest.Site, c *export.Completion) {
	t.Helper()
	questions, templates := 0, 0
	for _, path := range dataFiles(t, c) {
		rendered := strings.Split(strings.TrimSpace(string(readerTool(t, "readers/promptfoo.mjs", path, "{{question}}"))),
			"\n")
		lines := e2etest.ReadLines(t, path)
		if len(rendered) != len(lines) {
			t.Fatalf("promptfoo has %d tests of %d lines", len(rendered), len(lines))
		}
		for i, line := range lines {
			var test struct {
				Metadata struct {
					RunID string `json:"run_id"`
				}
			}
			e2etest.Decode(t, []byte(line), &test)
			var got, want string
			e2etest.Decode(t, []byte(rendered[i]), &got)
			if err := s.Conn.QueryRow(t.Context(), "SELECT question FROM runs_latest WHERE run_id = $1", test.Metadata.RunID).
				Scan(&want); err != nil {
				t.Fatal(err)
			}
			if strings.TrimSpace(got) != strings.TrimSpace(want) { // it trims its prompts
				t.Errorf("run %s: promptfoo sends %q, asked was %q", test.Metadata.RunID, got, want)
			}
			questions++
			if strings.Contains(want, "{{") {
				templates++
			}
		}
	}
	if int64(questions) != c.Records || templates == 0 {
		t.Errorf("%d of %d tests, %d with something like a template", questions, c.Records, templates)
	}
}

// openAIReads holds every line against the types of OpenAI's client, which know no other keys.
func openAIReads(t *testing.T, c *export.Completion, kind string) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(readerTool(t, "readers/openai.mjs", kind)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("openai.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("openai.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(object{"messages": []any{object{"role": "user"}}}); err == nil {
		t.Error("the schema takes a message without content")
	}
	for _, path := range dataFiles(t, c) {
		for i, line := range e2etest.ReadLines(t, path) {
			record, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
			if err == nil {
				err = schema.Validate(record)
			}
			if err != nil {
				t.Fatalf("%s, line %d: %v\n%.500s", c.ExportID, i+1, err, line)
			}
		}
	}
}

// columnsAreRead reads the same records as Parquet with hyparquet, and all formats with the
// commands that the completions give for DuckDB.
func columnsAreRead(t *testing.T, parquet, jsonl, csv *export.Completion) {
	t.Helper()
	var want, ids []string
	for _, r := range e2etest.RecordsOf(t, jsonl) {
		want = append(want, r["id"].(string))
	}
	for _, path := range dataFiles(t, parquet) {
		for line := range bytes.Lines(readerTool(t, "npm/hyparquet.mjs", path)) {
			var row struct{ ID string }
			e2etest.Decode(t, line, &row)
			ids = append(ids, row.ID)
		}
	}
	if !slices.Equal(ids, want) {
		t.Errorf("hyparquet reads %d records, want %d", len(ids), len(want))
	}
	for _, c := range []*export.Completion{parquet, jsonl, csv} {
		sql, ok := strings.CutPrefix(c.LoadWith, `duckdb -c "`)
		if !ok {
			t.Errorf("%s: load_with is %s", c.ExportID, c.LoadWith)
			continue
		}
		sql = strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\$`, "$").Replace(strings.TrimSuffix(sql, `"`))
		from := strings.LastIndex(sql, "FROM read_")
		var row struct{ N, IDs json.Number }
		e2etest.Decode(t, readerTool(t, "npm/duckdb", "-c", sql[:from]+
			"SELECT count(*)::INT AS n, count(DISTINCT id)::INT AS ids "+
			sql[from:]), &row)
		if n := fmt.Sprint(len(want)); row.N.String() != n || row.IDs.String() != n {
			t.Errorf("%s: DuckDB reads %s records with %s ids, want %s", c.ExportID, row.N, row.IDs, n)
		}
	}
}
