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
