package track

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/message"
)

// The view tells cancels until the end, and retries for a minute. Neither changes another column.
func TestTheViewExportsTellsCancelsAndRetries(t *testing.T) {
	t.Parallel()
	cfg, dsn, client := setup(t)
	clickhousetest.Migrate(t, dsn)
	now := time.Now().UTC().Truncate(time.Millisecond)
	tally := export.Tally{Windows: 1, Rows: 60, Records: 58}
	var records []*kgo.Record
	for _, name := range []string{"plain", "stuck", "over", "both", "ended"} {
		p := planned(t, name)
		records = append(records, message.Progress(cfg.TopicPrefix, p,
			export.NewProgress(p, export.StatusRunning, &tally, day)))
		retry := func(at time.Time, attempts int64) {
			n := export.NewNotice(p.ID, nil, time.Time{}, at)
			n.Retrying = &export.Retrying{Stage: "extract", Code: "store_failed", Message: "denied", Since: day,
				Attempts: attempts}
			records = append(records, message.Notice(cfg.TopicPrefix, n, ""))
		}
		cancel := func(at time.Time) {
			n := export.NewNotice(p.ID, p.Request, day, at)
			n.Cancelling = true
			records = append(records, message.Notice(cfg.TopicPrefix, n, ""))
		}
		switch name {
		case "stuck":
			retry(now, 7)
			retry(now.Add(-10*time.Second), 3) // late
		case "over":
			retry(now.Add(-2*time.Minute), 7)
		case "both", "ended":
			retry(now, 7)
			cancel(now.Add(time.Millisecond))
		}
		if name == "ended" {
			records = append(records, message.Completion(cfg.TopicPrefix, p, completed(t, p, export.StatusCancelled, nil)))
		}
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := New(cfg, dsn).Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer running.Wait()
	defer stop()
	conn, err := dsn.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const want = "[both running 60 1 extract store_failed denied 7 true ended cancelled 0 0    0 false " +
		"over running 60 0    0 false plain running 60 0    0 false stuck running 60 0 extract store_failed denied 7 true]"
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); ; {
		var lines []string
		rows, err := conn.Query(ctx, "SELECT concat(export_id, ' ', status, ' ', toString(rows_done), ' ', "+
			"toString(toUInt8(cancelling)), ' ', retrying_stage, ' ', retrying_code, ' ', retrying_message, ' ', "+
			"toString(retrying_attempts), ' ', if(retrying_since IS NULL, 'false', 'true')) FROM exports ORDER BY export_id")
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, line)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(lines)
		if got == want {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the view has\n%s, want\n%s", got, want)
		}
	}
}
