package card_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/card"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// completionOf returns the completion of an export with the request's fields and the files, in the
// folder dir.
func completionOf(t *testing.T, fields, dir string, files []export.File) *export.Completion {
	t.Helper()
	p, m := cardOf(t, fields)
	m.Files = files
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	c, err := export.NewCompletion(p, text, dir+export.ManifestName, card.LoadWith)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A target's reader takes one local file: the only file of a local folder, or the file into which a
// download joins the fragments.
func TestTargetsAreLoadedIntoTheirReaders(t *testing.T) {
	t.Parallel()
	const ragas = `"purpose":"recipe_evaluation","target":"ragas"`
	load := func(fields string) string {
		var r struct{ Purpose, Target string }
		if err := json.Unmarshal([]byte("{"+fields+"}"), &r); err != nil {
			t.Fatal(err)
		}
		target, err := targets.Find(r.Purpose, r.Target)
		if err != nil || target.Load == "" {
			t.Fatal(err, target)
		}
		return target.Load
	}
	in := func(file string) string {
		return strings.NewReplacer("{file}", file, "{dir}", ".").Replace(load(ragas))
	}
	const download = "millrace exports download e1 --workspace acme && cd e1 && "
	for name, c := range map[string]struct {
		dir   string
		files []export.File
		want  string
	}{
		"one file": {"file:///data/it's%20here/", list("train", 1, 10), `cd '/data/it'\''s here/' && ` +
			in("data/train-00000-00000-a1b2c3d4.jsonl")},
		"several files":      {"file:///data/", list("train", 2, 10), download + in("train.jsonl")},
		"in an object store": {"s3://bucket/prefix/", list("train", 1, 10), download + in("train.jsonl")},
		"splits, of which the first": {"s3://bucket/", append(list("test", 1, 10), list("train", 1, 10)...), download +
			in("train.jsonl")},
		"nothing": {"file:///data/", nil, ""},
	} {
		if got := completionOf(t, ragas, c.dir, c.files).LoadWith; got != c.want {
			t.Errorf("%s: %s\nwant %s", name, got, c.want)
		}
	}
	if got := completionOf(t, `"format":"jsonl"`, "file:///data/", list("train", 1, 10)).LoadWith; !strings.HasPrefix(got,
		"duckdb -c ") {
		t.Errorf("canonical records are loaded with %s", got)
	}
}

// The number of records is checked against the vendor's limits, and warnings of windows are summed
// up.
func TestWarningsSumUpAndCheckTheNumberOfRecords(t *testing.T) {
	t.Parallel()
	for fields, want := range map[string]string{
		`"purpose":"fine_tuning"`: "thumbs_down_included 3, trimmed_tail 5, " +
			"too_few_records 9",
		`"purpose":"fine_tuning","target":"bedrock_conversation"`: "thumbs_down_included 3, trimmed_tail 5",
		`"purpose":"fine_tuning","target":"bedrock_distillation"`: "thumbs_down_included 3, trimmed_tail 5, " +
			"too_few_records 9",
		`"purpose":"fine_tuning","target":"bedrock_conversation","name":"many"`: "thumbs_down_included 3, trimmed_tail 5, " +
			"too_many_records 20009",
		`"purpose":"recipe_evaluation"`: "thumbs_down_included 3, trimmed_tail 5",
	} {
		p, _ := cardOf(t, fields)
		windows := []*export.WindowManifest{
			{Rows: 5, RowsUsed: 5, Records: 5, Warnings: map[string]int64{"trimmed_tail": 2}},
			{Rows: 4, RowsUsed: 4, Records: 4, Warnings: map[string]int64{"trimmed_tail": 3, "thumbs_down_included": 3}},
		}
		if p.Request.Name == "many" {
			windows = append(windows, &export.WindowManifest{Rows: 20_000, RowsUsed: 20_000, Records: 20_000})
		}
		m := export.NewManifest(p, export.StatusSucceeded, nil, windows, "", time.Time{})
		var got []string
		for _, w := range m.Warnings {
			number, err := json.Marshal(w.Count)
			if err != nil || w.Message == "" {
				t.Fatal(w, err)
			}
			got = append(got, w.Code+" "+string(number))
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("%s: %s, want %s", fields, text, want)
		}
	}
}
