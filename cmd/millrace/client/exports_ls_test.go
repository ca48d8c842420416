package client

import (
	"bytes"
	"strings"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/live"
)

func TestAListWithoutTheBucketRepeatsNoCommandOrAddressOfAnEvent(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := &app.App{Config: &app.Config{}, Stdout: &out}
	a.Config.BucketURL = "file:///dev/null/none"
	id := export.ID{WorkspaceID: "acme", ExportID: "e"}
	list := []live.Export{{State: export.State{ID: id, Status: export.StatusSucceeded, LoadWith: "run me",
		ManifestURI: "https://example.org/follow-me"}}}
	if err := printStates(t.Context(), a, list); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "succeeded") || strings.Contains(text, "run me") ||
		strings.Contains(text, "follow-me") {
		t.Errorf("printed: %s", text)
	}
}
