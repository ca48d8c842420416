package folder_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/strictjson"
	"github.com/millrace/millrace/sinks/bucket"
)

// A document that no Millrace writes is refused before it is decoded.
func TestADocumentThatWouldFillTheMemoryIsRefused(t *testing.T) {
	root := t.TempDir()
	b, err := bucket.Open(t.Context(), "file://"+root)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for id, text := range map[string]string{
		"large":  "{}",
		"files":  `{"files":[{}` + strings.Repeat(",{}", 600_000) + `]}`,
		"values": `{"warnings":[0` + strings.Repeat(",0", 5_000_000) + `]}`,
	} {
		f := folder.Folder{Bucket: b, ID: export.ID{WorkspaceID: "acme", ExportID: id}}
		key := f.Key(export.ManifestName)
		if err := b.Create(t.Context(), key, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if id == "large" { // without taking room on the disk
			if err := os.Truncate(filepath.Join(root, filepath.FromSlash(key)), bucket.MaxRead+1); err != nil {
				t.Fatal(err)
			}
		}
		_, _, err := f.Manifest(t.Context())
		var refusal *strictjson.Refusal
		if !errors.As(err, &refusal) || !strings.Contains(refusal.Rule, "was changed") {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// An export of a hundred million records, 150 a file, has so many files, and one with a record a file has
// them sooner.
func TestAManifestOfManyFilesIsRead(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: 667,000 files are work for one goroutine only")
	}
	b, err := bucket.Open(t.Context(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	f := folder.Folder{Bucket: b, ID: export.ID{WorkspaceID: "acme", ExportID: "many"}}
	m := &export.Manifest{Files: make([]export.File, 667_000)}
	for i := range m.Files {
		m.Files[i] = export.File{Key: export.DataName("train", i/200, i%200, "abcdefgh", "jsonl"), Kind: export.Data,
			Split: "train", Window: i / 200, Records: 150, Bytes: 200_000, SHA256: strings.Repeat("0", 64)}
	}
	if _, _, err := f.CreateManifest(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got, _, err := f.Manifest(t.Context())
	if err != nil || len(got.Files) != len(m.Files) {
		t.Error(err)
	}
}
