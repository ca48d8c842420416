package folder

import (
	"errors"
	"slices"
	"testing"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/strictjson"
	"github.com/millrace/millrace/sinks/bucket"
)

func open(t *testing.T) Folder {
	b, err := bucket.Open(t.Context(), "file://"+t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return Folder{Bucket: b, ID: export.ID{WorkspaceID: "acme", ExportID: "e1"}}
}

func TestTheFirstDocumentStays(t *testing.T) {
	t.Parallel()
	f := open(t)
	if _, err := f.Plan(t.Context()); !errors.Is(err, bucket.ErrNotFound) {
		t.Errorf("a plan that is not there: %v", err)
	}
	for _, hash := range []string{"first", "second"} {
		if p, err := f.CreatePlan(t.Context(), &export.Plan{ID: f.ID, Hash: hash}); err != nil || p.Hash != "first" {
			t.Errorf("created %+v, %v", p, err)
		}
	}
	if over, err := f.Ended(t.Context()); over || err != nil {
		t.Errorf("ended %v, %v", over, err)
	}
	first, text, err := f.CreateManifest(t.Context(), &export.Manifest{SealedBy: "t/0/1"})
	if err != nil {
		t.Fatal(err)
	}
	second, again, err := f.CreateManifest(t.Context(), &export.Manifest{SealedBy: "t/0/2"})
	if err != nil || second.SealedBy != first.SealedBy || !slices.Equal(text, again) {
		t.Errorf("created %s and then %s, %v", text, again, err)
	}
	if over, err := f.Ended(t.Context()); !over || err != nil {
		t.Errorf("ended %v, %v", over, err)
	}
}

func TestADocumentThatSomebodyChangedIsRefused(t *testing.T) {
	t.Parallel()
	f := open(t)
	if err := f.Bucket.Create(t.Context(), f.Key(export.PlanName), []byte("{cut")); err != nil {
		t.Fatal(err)
	}
	var plans Plans
	var refusal *strictjson.Refusal
	if _, err := plans.Of(t.Context(), f); !errors.As(err, &refusal) {
		t.Errorf("%v", err)
	}
}

func TestASweepLeavesWhatIsNamedAndAllDocuments(t *testing.T) {
	t.Parallel()
	f := open(t)
	names := []string{"__meta__/a", "__meta__/b", "data/a", "data/b", "manifest.json", "plan.json", "windows/00000.json", "windows/00012.json"}
	for _, name := range names {
		if err := f.Bucket.Create(t.Context(), f.Key(name), nil); err != nil {
			t.Fatal(err)
		}
	}
	other := Folder{Bucket: f.Bucket, ID: export.ID{WorkspaceID: "acme", ExportID: "e10"}}
	if err := f.Bucket.Create(t.Context(), other.Key("data/c"), nil); err != nil {
		t.Fatal(err)
	}
	if err := f.Sweep(t.Context(), []export.File{{Key: "data/a"}, {Key: "__meta__/b"}}); err != nil {
		t.Fatal(err)
	}
	left, err := f.list(t.Context(), "")
	if want := []string{"__meta__/b", "data/a", "manifest.json", "plan.json", "windows/00000.json", "windows/00012.json"}; err != nil || !slices.Equal(left, want) {
		t.Errorf("left are %v, %v", left, err)
	}
	if left, err := other.list(t.Context(), export.DataDir); err != nil || len(left) != 1 {
		t.Errorf("of another export %v, %v", left, err)
	}
	if windows, err := f.Windows(t.Context()); err != nil || !slices.Equal(windows, []int{0, 12}) {
		t.Errorf("windows %v, %v", windows, err)
	}
}
