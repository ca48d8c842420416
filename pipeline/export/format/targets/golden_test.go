package targets_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/sinks/fragment"
)

// goldenApps are the apps of the sample whose runs the golden files hold: one copilot and one
// recipe.
var goldenApps = []string{"airline-helpdesk", "knowledge-answer"}

// goldenRecords is the number of records of a target in a golden file: few enough to be read.
const goldenRecords = 12

func TestGoldenRecordsOfEveryTarget(t *testing.T) {
	t.Parallel()
	h := formattest.SampleHistory(t, 150)
	for purpose, target := range formattest.EveryTarget() {
		t.Run(purpose+"/"+target.Name, func(t *testing.T) {
			t.Parallel()
			got := formattest.StreamHistory(t, purpose, target.Name, nil, h, goldenApps...)
			if len(got.Records) == 0 {
				t.Fatalf("no record: dropped %v", got.Dropped)
			}
			formattest.Golden(t, purpose+"_"+target.Name+".jsonl",
				append(bytes.Join(got.Records[:min(goldenRecords, len(got.Records))], []byte("\n")), '\n'))
		})
	}
}

// Records have the keys that their target declares, and the declared types. The commands that load
// them rely on it.
func TestRecordsHaveTheDeclaredKeys(t *testing.T) {
	t.Parallel()
	h := formattest.SampleHistory(t, 150)
	for purpose, target := range formattest.EveryTarget() {
		if target.Keys == nil {
			continue
		}
		encoder, err := fragment.NewEncoder(fragment.CSV, fragment.Uncompressed, fragment.Settings{Columns: target.Keys})
		if err == nil {
			err = encoder.Open(io.Discard)
		}
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for _, record := range formattest.StreamHistory(t, purpose, target.Name, nil, h, goldenApps...).Records {
			if err := encoder.Append(record); err != nil {
				t.Fatalf("%s/%s: %v: %s", purpose, target.Name, err, record)
			}
			var members map[string]json.RawMessage
			if err := json.Unmarshal(record, &members); err != nil {
				t.Fatal(err)
			}
			for name := range members {
				found[name] = true
			}
		}
		for _, c := range target.Keys {
			if !found[c.Name] && !slices.Contains([]string{"split", "tools", "source_run_id"}, c.Name) {
				t.Errorf("%s/%s: no record has %s", purpose, target.Name, c.Name)
			}
		}
	}
}

// The example of a target is the shortest of its first golden records, so that it can be read.
func TestGoldenExamplesAreRecordsOfTheirTargets(t *testing.T) {
	t.Parallel()
	h := formattest.SampleHistory(t, 150)
	var got []byte
	for purpose, target := range formattest.EveryTarget() {
		records := formattest.StreamHistory(t, purpose, target.Name, nil, h, goldenApps...).Records
		example := slices.MinFunc(records[:min(goldenRecords, len(records))],
			func(a, b []byte) int { return len(a) - len(b) })
		line, err := json.Marshal(map[string]string{"purpose": purpose, "target": target.Name, "example": string(example)})
		if err != nil {
			t.Fatal(err)
		}
		got = append(append(got, line...), '\n')
	}
	if *formattest.Update {
		if err := os.WriteFile("examples.jsonl", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("examples.jsonl")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("examples.jsonl is not what the targets write, %v; make golden", err)
	}
}

// Every target has the texts that users read.
func TestEveryTargetIsDescribed(t *testing.T) {
	t.Parallel()
	for purpose, target := range formattest.EveryTarget() {
		if target.Reader == "" || target.Shape == "" || len(target.Formats) == 0 || target.Load != "" &&
			!strings.Contains(target.Load, "{file}") && !strings.Contains(target.Load, "{dir}") {
			t.Errorf("%s/%s: %+v", purpose, target.Name, target)
		}
		for _, text := range slices.Concat([]string{target.Reader, target.Shape, target.Load}, target.Rules) {
			if strings.ContainsAny(text, "\n\t") {
				t.Errorf("%s/%s: %q has a line break", purpose, target.Name, text)
			}
		}
		text := targets.Describe(purpose, target.Name)
		for _, part := range []string{"# " + target.Name + " for " + purpose, target.Shape, target.Reader} {
			if !strings.Contains(text, part) {
				t.Errorf("%s/%s: %q is not described", purpose, target.Name, part)
			}
		}
	}
}
