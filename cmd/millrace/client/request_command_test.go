package client

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/export"
)

// The command line that pages show for a request files that request, whatever is in it.
func TestACommandLineFilesItsRequest(t *testing.T) {
	t.Parallel()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal("a shell reads the command lines: install sh")
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for i := range 60 {
		document, err := json.MarshalIndent(someRequest(rand.New(rand.NewPCG(seed, uint64(i)))), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		line := export.CommandLine("acme", document)
		const printing = `millrace() { printf '%s\0' "$@"; case " $* " in *' -f '*) cat;; esac; }` + "\n"
		out, err := exec.Command(sh, "-c", printing+line).Output()
		if err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		args := strings.Split(string(out), "\x00")
		stdin := args[len(args)-1]
		var cli requestLine
		parseArgs(t, &cli, args[:len(args)-1])
		got, err := cli.Request.document(&app.App{Config: &app.Config{DefaultWorkspace: "other"},
			Stdin: strings.NewReader(stdin)})
		if err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if g, w := filedAs(t, got), filedAs(t, document); g != w {
			t.Errorf("%s\nfiles    %s\nnot      %s", line, g, w)
		}
	}
}

// filedAs returns a request as it is filed, with its defaults.
func filedAs(t *testing.T, fields any) string {
	t.Helper()
	all := map[string]any{}
	text, ok := fields.([]byte)
	if !ok {
		var err error
		if text, err = json.Marshal(fields); err != nil {
			t.Fatal(err)
		}
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	all["export_id"], all["workspace_id"] = "e", "acme"
	delete(all, "requested_by")
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	r, err := export.ParseRequest(text)
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if text, err = json.Marshal(r); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// someRequest returns a valid request that has a choice of all fields, with texts that shells and flags take for
// something else.
func someRequest(r *rand.Rand) map[string]any {
	text := func() string {
		all := []string{"plain", "two words", "it's", `"quoted" $HOME`, "--flag", "-1", "a=b", "a;b,c", "`x`", "*", "line\nbreak",
			"true", "7", "Grüße", "{}", "null", `back\slash`}
		return all[r.IntN(len(all))]
	}
	maybe := func(fields map[string]any, key string, value any) {
		if r.IntN(2) == 0 {
			fields[key] = value
		}
	}
	filters := map[string]any{}
	for _, key := range []string{"app_versions", "models", "triggers", "tags", "error_types"} {
		maybe(filters, key, []string{text(), text() + "2"})
	}
	maybe(filters, "text", text())
	maybe(filters, "statuses", []string{"failed", "running"})
	maybe(filters, "rating", []string{"thumbsUp", "thumbsDown", "none"}[r.IntN(3)])
	maybe(filters, "min_score", -r.Float64())
	maybe(filters, "scores", map[string]any{text(): map[string]any{"min": 0.25}, "score": map[string]any{"max": 1e-7}})
	maybe(filters, "min_latency_ms", -3)
	maybe(filters, "max_latency_ms", 1<<40)
	maybe(filters, "max_cost_usd", 1e-6)
	maybe(filters, "has_files", r.IntN(2) == 0)
	maybe(filters, "session_id", "")
	maybe(filters, "user_id", text())
	maybe(filters, "metadata", map[string]any{strings.ReplaceAll(text(), "=", ":"): text()})
	if r.IntN(10) == 0 {
		filters["metadata"] = map[string]any{"a=b": "c"}
	}
	selection := map[string]any{}
	switch r.IntN(4) {
	case 0:
		var ids []string
		for i := range 1 + r.IntN(30) {
			ids = append(ids, fmt.Sprintf("r-%d", i))
		}
		selection["run_ids"] = ids
	case 1:
		selection["sample"] = map[string]any{"size": 9, "seed": r.Int64() - r.Int64(), "by": text()}
	case 2:
		selection["limit_runs"] = 5
	default:
		selection["limit"] = 1 + r.Int64()
	}
	if selection["run_ids"] == nil {
		maybe(selection, "window", map[string]any{"by": "ingested_at", "from": "2026-11-01T00:00:00.123456Z",
			"to": "2200-01-01T00:00:00Z"})
	}
	fields := map[string]any{"purpose": "fine_tuning", "source": "copilot", "app_id": "a:b~c", "selection": selection,
		"filters": filters, "target": "openai_dpo"}
	maybe(fields, "name", text())
	maybe(fields, "nodes", []string{"a", "b"})
	maybe(fields, "compression", "zstd")
	maybe(fields, "split", map[string]any{"validation": r.Float64() / 2, "test": 0.1, "seed": r.Int64() >> r.IntN(60)})
	maybe(fields, "options", map[string]any{"only_rated": true, "pairs_per_input": 3, "system": text()})
	if r.IntN(6) == 0 {
		fields["purpose"], fields["target"] = "export_dataset", "canonical"
		delete(fields, "nodes")
		fields["options"] = map[string]any{"columns": []string{"run_id", "answer"}}
		if delete(fields, "app_id"); r.IntN(2) == 0 {
			fields["app_id"] = []string{"a", "b"}
		}
	}
	return fields
}
