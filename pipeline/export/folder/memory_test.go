package folder_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/strictjson"
	"github.com/millrace/millrace/sinks/bucket"
)

// A document that is larger than any that Millrace writes is refused before it is decoded.
func TestADocumentThatWouldFillTheMemoryIsRefused(t *testing.T) {
	b, err := bucket.Open(t.Context(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for id, text := range map[string]string{
		"large":  strings.Repeat(" ", bucket.MaxRead) + "{}",
		"files":  `{"files":[{}` + strings.Repeat(",{}", 600_000) + `]}`,
		"values": `{"warnings":[0` + strings.Repeat(",0", 5_000_000) + `]}`,
	} {
		f := folder.Folder{Bucket: b, ID: export.ID{WorkspaceID: "acme", ExportID: id}}
		if err := b.Create(t.Context(), f.Key(export.ManifestName), []byte(text)); err != nil {
			t.Fatal(err)
		}
		_, _, err := f.Manifest(t.Context())
		var refusal *strictjson.Refusal
		if !errors.As(err, &refusal) || !strings.Contains(refusal.Rule, "was changed") {
			t.Errorf("%s: %v", id, err)
		}
	}
}
