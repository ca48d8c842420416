package card_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/card"
	"github.com/millrace/millrace/pipeline/export/card/cardtest"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// emptyExports calls f for each purpose, target and format, with the folder of an export without
// records.
func emptyExports(t *testing.T, f func(name, dir string, readme []byte, m *export.Manifest)) {
	t.Helper()
	for _, purpose := range format.Purposes {
		for _, target := range targets.Targets(purpose) {
			for _, kind := range target.Formats {
				name := fmt.Sprintf("%s %s %s", purpose, target.Name, kind)
				fields := fmt.Sprintf(`"purpose":%q,"target":%q,"format":%q`, purpose, target.Name, kind)
				if purpose == format.FineTuning {
					fields += `,"split":{"validation":0.1}`
				}
				if purpose == format.NodeEvaluation || purpose == format.NodeOptimization {
					fields += `,"nodes":["solve"]`
				}
				p, m := cardOf(t, fields)
				readme := card.README(p, m)
				empty, err := card.Empty(p, m)
				if err != nil || len(empty) == 0 {
					t.Errorf("%s: %d bytes, %v", name, len(empty), err)
					continue
				}
				dir := t.TempDir()
				plan, err := json.Marshal(p)
				if err != nil {
					t.Fatal(err)
				}
				for file, text := range map[string][]byte{export.CardName: readme, card.EmptyName: empty, export.PlanName: plan,
					export.ManifestName: plan} {
					path := filepath.Join(dir, file)
					if os.MkdirAll(filepath.Dir(path), 0o700) != nil || os.WriteFile(path, text, 0o600) != nil {
						t.Fatal(path)
					}
				}
				f(name, dir, readme, m)
			}
		}
	}
}

func TestAnEmptyExportHasACardWithAFileOfNoRows(t *testing.T) {
	t.Parallel()
	emptyExports(t, func(name, dir string, readme []byte, m *export.Manifest) {
		h, body := parseCard(t, readme)
		var files []string
		for _, d := range h.Configs[0].DataFiles {
			files = append(files, d.Split+" "+strings.Join(d.Path, " "))
		}
		want := []string{"train __meta__/empty.parquet", "validation __meta__/empty.parquet"}
		if m.Request.Split == nil {
			want = want[:1]
		}
		if !slices.Equal(files, want) {
			t.Errorf("%s: files %q", name, files)
		}
		text, err := os.ReadFile(filepath.Join(dir, card.EmptyName))
		if err != nil {
			t.Fatal(err)
		}
		file, err := parquet.OpenFile(bytes.NewReader(text), int64(len(text)))
		if err != nil || file.NumRows() != 0 || len(file.RowGroups()) != 0 || len(file.Schema().Fields()) == 0 {
			t.Errorf("%s: %v", name, err)
		}
		if m.Format == export.CSV && len(file.Schema().Columns()) != len(file.Schema().Fields()) {
			t.Errorf("%s: the columns are nested: %s", name, file.Schema())
		}
		if !bytes.Contains(body, []byte("| `train` | 0 | 0 | 0 |")) {
			t.Errorf("%s: counts of %s", name, body)
		}
	})
}

var fence = regexp.MustCompile("(?s)```(sh|python)\n(.*?)\n```")

// counting is Python that runs the Python of cards in their folders, and prints the number of rows.
const counting = `
import json, os, sys
for line in sys.stdin:
    task = json.loads(line)
    os.chdir(task["dir"])
    names = {}
    try:
        exec(task["code"], names)
        data = names["data"]
        splits = list(data.values()) if isinstance(data, dict) else [data]
        print(sum(len(s) if hasattr(s, "__len__") else len(list(s)) for s in splits), flush=True)
    except Exception as e:
        print(repr(e)[:300], flush=True)
`

// streaming is how Hugging Face Datasets reads the card itself.
const streaming = `import os
from datasets import load_dataset

data = load_dataset(os.getcwd(), streaming=True)`

func TestEveryCommandOfAnEmptyExportReadsNoRows(t *testing.T) {
	t.Parallel()
	duckDB := cardtest.DuckDB(t)
	python := cardtest.Python(t)
	var tasks bytes.Buffer
	var names []string
	dirs := map[string]string{} // of the exports by name
	emptyExports(t, func(name, dir string, readme []byte, _ *export.Manifest) {
		dirs[name] = dir
		code := []string{streaming}
		for _, block := range fence.FindAllSubmatch(readme, -1) {
			if string(block[1]) == "python" {
				code = append(code, string(block[2]))
			}
		}
		for _, code := range code {
			task, err := json.Marshal(map[string]string{"dir": dir, "code": code})
			if err != nil {
				t.Fatal(err)
			}
			tasks.Write(append(task, '\n'))
			names = append(names, name)
		}
	})
	cmd := exec.CommandContext(t.Context(), python, "-c", counting)
	cmd.Stdin, cmd.Env = &tasks, append(os.Environ(), "HF_HOME="+t.TempDir(), "HF_HUB_OFFLINE=1")
	out, err := cmd.Output()
	answers := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || len(answers) != len(names) {
		t.Fatalf("%d answers to %d tasks, %v\n%s", len(answers), len(names), err, out)
	}
	for i, answer := range answers {
		if answer != "0" {
			t.Errorf("%s: %s", names[i], answer)
		}
	}
	for _, name := range []string{"export_dataset canonical csv", "node_evaluation canonical jsonl",
		"node_optimization dspy jsonl", "fine_tuning openai_chat jsonl"} {
		readme, err := os.ReadFile(filepath.Join(dirs[name], export.CardName))
		if err != nil {
			t.Fatal(name, err)
		}
		command := fence.FindSubmatch(readme)[2]
		out := cardtest.Load(t, duckDB, dirs[name], string(command), "SELECT 'rows: ' || count(*) AS n")
		if !strings.Contains(out, "rows: 0") {
			t.Errorf("%s: %s prints %s", name, command, out)
		}
	}
}
