package folder

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/strictjson"
)

func fill(t *testing.T, f Folder, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := f.Bucket.Create(t.Context(), f.Key(name), nil); err != nil {
			t.Fatal(err)
		}
	}
}

func left(t *testing.T, f Folder) (names []string) {
	t.Helper()
	objects, err := f.Bucket.List(t.Context(), f.Key(""))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		names = append(names, f.name(o))
	}
	return names
}

func TestASweepKeepsListedFilesAndAllDocuments(t *testing.T) {
	t.Parallel()
	f := open(t)
	fill(t, f, "README.md", "__meta__/a", "__meta__/b", "data/a", "data/b", "manifest.json", "plan.json",
		"windows/00000.json", "windows/00012.json")
	other := Folder{Bucket: f.Bucket, ID: export.ID{WorkspaceID: "acme", ExportID: "e10"}}
	fill(t, other, "data/c")
	if err := f.Sweep(t.Context(), []export.File{{Key: "data/a"}, {Key: "__meta__/b"}}); err != nil {
		t.Fatal(err)
	}
	if got, want := left(t, f), []string{"__meta__/b", "data/a", "manifest.json", "plan.json", "windows/00000.json",
		"windows/00012.json"}; !slices.Equal(got, want) {
		t.Errorf("left are %v", got)
	}
	if got := left(t, other); !slices.Equal(got, []string{"data/c"}) {
		t.Errorf("of another export %v", got)
	}
	if windows, err := f.Windows(t.Context()); err != nil || !slices.Equal(windows, []int{0, 12}) {
		t.Errorf("windows %v, %v", windows, err)
	}
}

// Clean keeps the files of the manifest and all documents, deletes all other files, and does so
// only after the end of the export.
func TestCleaningKeepsTheFilesOfTheManifest(t *testing.T) {
	t.Parallel()
	f := open(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	statuses := []export.Status{export.StatusSucceeded, export.StatusFailed, export.StatusCancelled}
	for n := range 60 {
		f.ID.ExportID = fmt.Sprint("random-", n)
		m := &export.Manifest{Status: statuses[random.IntN(3)], ID: f.ID}
		var names, want []string // want has the objects that remain after the end
		add := func(stays bool, format string, args ...any) {
			name := fmt.Sprintf(format, args...)
			names = append(names, name)
			if stays {
				want = append(want, name)
			}
		}
		ended, deleted, files := random.IntN(4) > 0, random.IntN(4) == 0, 0
		file := func(kind export.FileKind, format string, args ...any) {
			listed := m.Status == export.StatusSucceeded && random.IntN(2) == 0
			if listed {
				m.Files = append(m.Files, export.File{Key: fmt.Sprintf(format, args...), Kind: kind})
			}
			add(listed && !deleted, format, args...)
			files++
		}
		for i := range random.IntN(12) {
			file(export.Data, "data/train-%05d-%05d-%x.jsonl", random.IntN(3), i, random.Uint32())
		}
		for i := range random.IntN(4) {
			file(export.Lineage, "__meta__/lineage-%05d-%x.jsonl", i, random.Uint32())
		}
		if random.IntN(2) == 0 {
			file(export.Card, "README.md")
		}
		add(true, "plan.json")
		for i := range random.IntN(3) {
			add(true, "windows/%05d.json", i)
		}
		if deleted {
			add(true, "deleted.json")
		}
		fill(t, f, names...)
		if !ended {
			want = slices.Clone(names)
		} else if _, _, err := f.CreateManifest(t.Context(), m); err != nil {
			t.Fatal(err)
		} else {
			want = append(want, "manifest.json")
			names = append(names, "manifest.json")
		}
		for i, removes := range []int{len(names) - len(want), 0} { // the second call removes nothing
			removed, err := f.Clean(t.Context())
			if err != nil || removed != removes {
				t.Errorf("export %d, round %d: removed %d, want %d, %v", n, i, removed, removes, err)
			}
		}
		slices.Sort(want)
		if got := left(t, f); !slices.Equal(got, want) {
			t.Errorf("export %d, ended %t, deleted %t, %s: left are %v, want %v of %v", n, ended, deleted, m.Status, got, want,
				names)
		}
	}
}

func TestAnInvalidManifestDeletesNothing(t *testing.T) {
	t.Parallel()
	f := open(t)
	for i, m := range []any{
		struct{}{}, export.Manifest{ID: f.ID,
			Status: export.StatusRunning}, export.Manifest{Status: export.StatusSucceeded}, "text", nil,
	} {
		f.ID.ExportID = fmt.Sprint("e", i)
		fill(t, f, "data/a")
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Bucket.Create(t.Context(), f.Key(export.ManifestName), text); err != nil {
			t.Fatal(err)
		}
		if n, err := f.Clean(t.Context()); n != 0 || !errors.As(err, new(*strictjson.Refusal)) {
			t.Errorf("manifest %s: removed %d, %v", text, n, err)
		}
		if got := left(t, f); !slices.Equal(got, []string{"data/a", "manifest.json"}) {
			t.Errorf("manifest %s: left are %v", text, got)
		}
	}
}

func TestTheFirstCardStays(t *testing.T) {
	t.Parallel()
	f := open(t)
	for _, text := range []string{"first", "first", "second"} {
		there, err := f.CreateSidecar(t.Context(), export.CardName, []byte(text))
		if err != nil || string(there) != "first" {
			t.Errorf("after %q there is %q, %v", text, there, err)
		}
	}
}

func TestWindowsAreReadInTheGivenOrder(t *testing.T) {
	t.Parallel()
	f := open(t)
	var numbers []int
	for i := range 100 {
		numbers = append(numbers, 99-i)
		if _, err := f.CreateWindow(t.Context(), &export.WindowManifest{ID: f.ID, Window: i, Rows: int64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	windows, err := f.ReadWindows(t.Context(), numbers)
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range windows {
		if w.Window != numbers[i] || w.Rows != int64(numbers[i]) {
			t.Errorf("window %d is that of %d rows", w.Window, w.Rows)
		}
	}
	if _, err := f.ReadWindows(t.Context(), []int{1, 100}); err == nil {
		t.Error("a window that is missing was read")
	}
}
