package live_test

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/export/live"
)

// The manifest tells that an export has ended before its completion does.
func TestAnExportWithAManifestIsNotCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.server()
	for _, status := range []export.Status{export.StatusSucceeded, export.StatusFailed, export.StatusCancelled} {
		p := w.plan(string(status), time.Now().UTC().Truncate(time.Millisecond))
		w.progress(p, 1)
		w.status(e, string(status), export.StatusRunning)
		m := export.NewManifest(p, status, nil, nil, "t/0/0", p.AcceptedAt)
		if _, _, err := (folder.Folder{Bucket: w.bucket, ID: p.ID}).CreateManifest(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		_, err := e.Cancel(t.Context(), p.ID, "x")
		if errors.Is(err, live.ErrEnded) != (status != export.StatusCancelled) {
			t.Errorf("cancel of an export that %s: %v", status, err)
		}
	}
	requests, err := kadm.NewClient(w.client).ListEndOffsets(t.Context(), event.DefaultPrefix+event.TopicExportRequests)
	requests.Each(func(end kadm.ListedOffset) {
		if end.Offset > 0 {
			t.Errorf("%d cancels were filed", end.Offset)
		}
	})
	if err != nil {
		t.Error(err)
	}
}
