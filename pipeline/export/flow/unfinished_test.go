package flow_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
)

// A workspace with too many exports at a time is refused another, and may have one as soon as the
// completion of one of them is there. Other workspaces are not refused.
func TestAWorkspaceHasALimitOfExportsThatHaveNotEnded(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.insertRuns(20)
	running := func(i int) folder.Folder {
		return folder.Folder{Bucket: f.bucket, ID: export.ID{WorkspaceID: "acme", ExportID: fmt.Sprint("running-", i)}}
	}
	for i := range export.MaxUnfinished {
		if _, err := running(i).Begin(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	ended := func(id string) *export.Completion {
		f.poll("completion", func() bool { return len(f.completions(id)) > 0 })
		c := f.completions(id)[0]
		f.verify(c)
		return c
	}
	f.start()
	f.send(request("one-too-many", limit1000))
	if c := ended("one-too-many"); c.Status != export.StatusFailed || c.ErrorCode != export.TooMany || !c.ErrorRetryable ||
		!strings.Contains(c.ErrorMessage, "100") {
		t.Errorf("%s, error %+v", c.Status, c.Failure())
	}
	f.send(strings.Replace(request("another-workspace", limit1000), `"acme"`, `"small"`, 1))
	f.poll("completion", func() bool { return len(f.completions("another-workspace")) > 0 })
	if c := f.completions("another-workspace")[0]; c.Status != export.StatusSucceeded {
		t.Errorf("another workspace: %s, error %+v", c.Status, c.Failure())
	}
	if err := running(0).End(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 3 { // each ends before the next is requested
		id := fmt.Sprint("after-", i)
		f.send(request(id, limit1000))
		if c := ended(id); c.Status != export.StatusSucceeded {
			t.Errorf("%s: %s, error %+v", id, c.Status, c.Failure())
		}
	}
	left, err := folder.Unfinished(t.Context(), f.bucket, "acme")
	if err != nil || len(left) != export.MaxUnfinished-1 {
		t.Errorf("%d exports have not ended, %v", len(left), err)
	}
}
