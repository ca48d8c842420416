package files

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/sinks/bucket"
)

var findStart = time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)

// linesOf is a file of lines, the first of which is about the run that started so many minutes after findStart,
// and each other one a minute later.
type linesOf struct {
	key   string
	kind  export.FileKind
	after int
	lines []string
}

// writeObjects leaves an export with these files in the bucket.
func writeObjects(t *testing.T, b *bucket.Bucket, r export.Request, objects ...linesOf) *Dataset {
	t.Helper()
	r.ID, r.Source, r.AppID, r.Format, r.Compression = exportID, "copilot", export.Apps{"a"}, "jsonl", "none"
	f := folder.Folder{Bucket: b, ID: exportID}
	plan := createPlan(t, f, &r)
	w := &export.WindowManifest{ID: exportID, Attempt: "abc", CreatedAt: plan.RequestedAt}
	for _, o := range objects {
		text := strings.Join(o.lines, "\n") + "\n"
		put(t, b, f.Key(o.key), []byte(text))
		at := findStart.Add(time.Duration(o.after) * time.Minute)
		w.Files = append(w.Files, export.File{Key: o.key, Kind: o.kind, Split: "train", Records: int64(len(o.lines)),
			Bytes: int64(len(text)), SHA256: export.HashText([]byte(text)), MinStartedAt: at,
			MaxStartedAt: at.Add(time.Duration(len(o.lines)-1) * time.Minute)})
	}
	if _, err := f.CreateWindow(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	m := export.NewManifest(plan, export.StatusSucceeded, nil, []*export.WindowManifest{w}, "results/0/1",
		plan.RequestedAt)
	if _, _, err := f.CreateManifest(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return open(t, b)
}

// sought is run r-N, which started N minutes after findStart.
func sought(n int) *SoughtRun {
	return &SoughtRun{ID: fmt.Sprintf("r-%d", n), StartedAt: findStart.Add(time.Duration(n) * time.Minute)}
}

// lines formats numbers.
func lines(format string, from, to int) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf(format, i))
	}
	return all
}

func TestTheRecordOfARunIsFoundWhereverItsTargetNamesTheRun(t *testing.T) {
	t.Parallel()
	dataset := export.Request{Purpose: export.ExportDataset, Target: export.Canonical}
	for name, c := range map[string]struct {
		request export.Request
		record  string // of a number
	}{
		"canonical": {dataset, `{"id":"x","run_id":"r-%d","metadata":{"run_id":"r-1"}}`},
		"langsmith": {export.Request{Purpose: export.RecipeEvaluation, Target: "langsmith"},
			`{"id":"x","inputs":{"run_id":"r-1"},"metadata":{"run_id":"r-%d"}}`},
		"deepeval": {export.Request{Purpose: export.RecipeEvaluation, Target: "deepeval"},
			`{"input":"\"run_id\":\"r-1\"","additional_metadata":{"run_id":"r-%d"}}`},
		"mlflow":  {export.Request{Purpose: export.RecipeEvaluation, Target: "mlflow"}, `{"inputs":{},"tags":{"run_id":"r-%d"}}`},
		"evals":   {export.Request{Purpose: export.RecipeEvaluation, Target: "openai_evals"}, `{"item":{"id":"x","metadata":{"run_id":"r-%d"}}}`},
		"columns": {dataset, `{"run_id":"r-%d"}`},
	} {
		d := writeObjects(t, openBucket(t, "mem"), c.request,
			linesOf{"data/train-00000-00000-abc.jsonl", export.Data, 0, lines(c.record, 0, 4)},
			linesOf{"data/train-00000-00001-abc.jsonl", export.Data, 4, lines(c.record, 4, 9)})
		left := int64(1 << 20)
		for i := range 12 {
			want := int64(i + 1)
			if i >= 9 {
				want = 0
			}
			if at, err := d.FindRun(t.Context(), sought(i), &left); at != want || err != nil {
				t.Errorf("%s: run %d is record %d, want %d: %v", name, i, at, want, err)
			}
		}
		if read := 1<<20 - left; read > 9*400 {
			t.Errorf("%s: %d bytes were read for 9 runs: not only the files of their times", name, read)
		}
	}
}

func TestARecordWithoutARunIsFoundByItsOwnID(t *testing.T) {
	t.Parallel()
	// UUIDv5(b0759858-e76b-5bf2-83cd-2b119a052fbf, "acme/r-2//export_dataset/answer_insights")
	const id = "c9846595-137f-51d5-9fb6-34d7e1a75c8b"
	d := writeObjects(t, openBucket(t, "mem"), export.Request{Purpose: export.ExportDataset, Target: "answer_insights"},
		linesOf{"data/train-00000-00000-abc.jsonl", export.Data, 0, []string{`{"_id":"a"}`, `{"_id":"b"}`, `{"_id":"` + id + `"}`}})
	left := int64(1 << 20)
	for i, want := range []int64{0, 0, 3} {
		if at, err := d.FindRun(t.Context(), sought(i), &left); at != want || err != nil {
			t.Errorf("run %d is record %d, want %d: %v", i, at, want, err)
		}
	}
}

func TestARunIsFoundByTheLineage(t *testing.T) {
	t.Parallel()
	const file = "data/train-00000-0000%d-abc.jsonl"
	line := `{"file":"` + fmt.Sprintf(file, 1) + `","line":%[1]d,"id":"x","run_id":"r-%[1]d","node_run_id":null,"app_version":null,` +
		`"score":null,"rating":null,"started_at":"2026-11-01T08:00:00Z","metadata":{"run_id":"r-9"}}`
	d := writeObjects(t, openBucket(t, "mem"), export.Request{Purpose: export.FineTuning, Target: "openai_chat"},
		linesOf{fmt.Sprintf(file, 0), export.Data, 0, lines(`{"messages":%d}`, 0, 5)},
		linesOf{fmt.Sprintf(file, 1), export.Data, 0, lines(`{"messages":%d}`, 0, 10)},
		linesOf{"__meta__/lineage-00000-abc.jsonl", export.Lineage, 0, append(lines(line, 1, 9), fmt.Sprintf(line, 10))})
	left := int64(1 << 20)
	for i, want := range map[int]int64{0: 0, 1: 6, 8: 13, 9: 0} {
		if at, err := d.FindRun(t.Context(), sought(i), &left); at != want || err != nil {
			t.Errorf("run %d is record %d, want %d: %v", i, at, want, err)
		}
	}
}

func TestWhatCannotBeSeenOfARunIsSaid(t *testing.T) {
	t.Parallel()
	const key = "data/train-00000-00000-abc.jsonl"
	unnamed := writeObjects(t, openBucket(t, "mem"), export.Request{Purpose: export.RecipeEvaluation, Target: "ragas"},
		linesOf{key, export.Data, 0, lines(`{"user_input":"%d","response":"\"run_id\":\"r-1\""}`, 0, 4)})
	nodes := writeObjects(t, openBucket(t, "mem"), export.Request{Purpose: export.NodeEvaluation, Target: export.Canonical,
		Nodes: []string{"n"}}, linesOf{key, export.Data, 2, lines(`{"id":"x%d"}`, 0, 2)})
	named := writeObjects(t, openBucket(t, "mem"), export.Request{Purpose: export.ExportDataset, Target: export.Canonical},
		linesOf{key, export.Data, 0, lines(`{"run_id":"r-%d"}`, 0, 4)})
	none := int64(0)
	enough := int64(1 << 20)
	for name, c := range map[string]struct {
		d    *Dataset
		run  *SoughtRun
		left *int64
		want error
	}{
		"no names": {unnamed, sought(1), &enough, ErrUnnamed}, "no names, another time": {unnamed, sought(5), &enough, nil},
		"ids of node runs": {nodes, sought(1), &enough, ErrUnnamed},
		"node runs of another time": {nodes, &SoughtRun{ID: "r-1", StartedAt: findStart.Add(2 * time.Minute),
			FirstNode: findStart, LastNode: findStart.Add(time.Minute)}, &enough, nil},
		"too much": {named, sought(1), &none, ErrTooMuch},
	} {
		if at, err := c.d.FindRun(t.Context(), c.run, c.left); at != 0 || !errors.Is(err, c.want) {
			t.Errorf("%s: %d, %v", name, at, err)
		}
	}
	if err := named.Delete(t.Context(), "me"); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, named.folder.Bucket).FindRun(t.Context(), sought(1), &enough); !errors.Is(err, ErrDeleted) {
		t.Error(err)
	}
}
