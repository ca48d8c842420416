package track

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/message"
)

// Requesters choose the time of a request, by whose month export_events is partitioned.
func TestTheTrailIsKeptAlsoBesideRequestsOfAllMonths(t *testing.T) {
	t.Parallel()
	cfg, dsn, client := setup(t)
	clickhousetest.Migrate(t, dsn)
	var records []*kgo.Record
	const months = 150 // ClickHouse takes 100 partitions a block, unless told otherwise
	for i := range months {
		p := planned(t, fmt.Sprint("e", i))
		p.RequestedAt = time.Date(2000, time.Month(i), 1, 0, 0, 0, 0, time.UTC)
		records = append(records, message.Progress(cfg.TopicPrefix, p, export.NewProgress(p, export.StatusAccepted,
			&export.Tally{}, day)))
	}
	viewed := audit.Entry{ID: "1", At: day, Action: audit.Viewed, Outcome: audit.OK, Subject: "me", Address: "192.0.2.7",
		Via: "serve"}
	for range 2 { // an entry that is sent again is the same
		records = append(records, message.Audit(cfg.TopicPrefix, planned(t, "e1"), viewed))
	}
	records = append(records,
		&kgo.Record{Topic: cfg.TopicName(event.TopicAudit), Value: []byte(`{"type":"dev.millrace.audit.v1","action":"none"}`)},
		&kgo.Record{Topic: cfg.TopicName(event.TopicAudit), Value: []byte(`{"type":"dev.millrace.run.v1"}`)})
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	runUntil(t, cfg, dsn, `SELECT concat((SELECT count() FROM exports), ' exports; ', arrayStringConcat(groupArray(
		concat(workspace_id, '/', export_id, ' ', action, ' ', outcome, ' ', subject, ' ', address, ' ', via, ' ', count)),
		'\n')) FROM audit FINAL`,
		fmt.Sprint(months, " exports; acme/e1 viewed ok me 192.0.2.7 serve 1"), func() { deadLetters(t, client, 2) })
}
