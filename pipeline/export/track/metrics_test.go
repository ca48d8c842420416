package track

import (
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/kafka"
)

func TestUnfinishedExportsAreThoseOfAllWorkspacesWithoutACompletion(t *testing.T) {
	t.Parallel()
	s := New(kafka.Config{Log: slog.New(slog.DiscardHandler)}, clickhousetest.Database(t))
	var err error
	if s.history, err = s.dsn.Open(); err != nil {
		t.Fatal(err)
	}
	defer s.history.Close()
	expect := func(what string, wantCount uint64, wantOldest time.Time) {
		t.Helper()
		count, oldest, err := s.unfinished(t.Context())
		if err != nil || count != wantCount || !oldest.Equal(wantOldest) {
			t.Errorf("%s: %d unfinished, the oldest of %v, %v; want %d of %v", what, count, oldest, err, wantCount,
				wantOldest)
		}
	}
	expect("no exports", 0, time.Time{})

	now := time.Now().Truncate(time.Millisecond)
	var rows []row
	add := func(workspace, id string, age time.Duration) *export.Plan {
		p := planned(t, id)
		p.WorkspaceID, p.RequestedAt = workspace, now.Add(-age)
		accepted := export.NewProgress(p, export.StatusAccepted, &export.Tally{}, p.RequestedAt)
		rows = append(rows, row{record: &kgo.Record{}, state: &accepted.State})
		return p
	}
	add("acme", "running", time.Hour)
	add("other", "running", 2*time.Hour) // another export
	add("acme", "too-old", (unfinishedDays+1)*24*time.Hour)
	for _, status := range []export.Status{export.StatusSucceeded, export.StatusFailed, export.StatusCancelled} {
		c := completed(t, add("acme", string(status), 3*time.Hour), status, nil)
		rows = append(rows, row{record: &kgo.Record{}, state: &c.State})
	}
	if err := appendEvents(t.Context(), s.history, rows); err != nil {
		t.Fatal(err)
	}
	expect("some exports", 2, now.Add(-2*time.Hour))
}
