package doctor

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/client"
	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/sinks/bucket"
)

// bird is a run that goes through everything, in a workspace of its own.
type bird struct {
	*examination
	id       export.ID
	producer *kgo.Client
	conn     driver.Conn
	bucket   *bucket.Bucket
}

// canary publishes a run, exports it, reads the export and removes both. What it leaves are records in
// Kafka, which expire.
func (e *examination) canary(ctx context.Context) {
	if !e.command.Deep {
		return
	}
	for _, f := range e.findings {
		if f.Severity == Error {
			e.add(areaCanary, Note, "", "not sent, since there are errors")
			return
		}
	}
	b := &bird{examination: e, id: export.ID{WorkspaceID: "doctor-" + strings.ToLower(rand.Text()[:12]),
		ExportID: uuid.NewString()}}
	began := time.Now()
	err := b.open(ctx)
	defer b.close()
	if err == nil {
		err = errors.Join(b.fly(ctx), b.remove(ctx))
	}
	if err != nil {
		e.add(areaCanary, Error, "read the logs of the roles", "workspace %s: %v", b.id.WorkspaceID, err)
		return
	}
	e.ok(areaCanary, "a run was stored, exported, read and removed again in %.1f s", time.Since(began).Seconds())
}

func (b *bird) open(ctx context.Context) (err error) {
	if b.producer, err = b.KafkaClient(kafka.ProducerOptions()...); err != nil {
		return err
	}
	if b.conn, err = b.Config.DSN.Open(); err != nil {
		return err
	}
	b.bucket, err = bucket.Open(ctx, b.Config.BucketURL)
	return err
}

func (b *bird) close() {
	if b.producer != nil {
		b.producer.Close()
	}
	if b.conn != nil {
		b.conn.Close()
	}
	if b.bucket != nil {
		b.bucket.Close()
	}
}

// fly sends the run, and follows it to the file of its export.
func (b *bird) fly(ctx context.Context) error {
	run, err := json.Marshal(map[string]any{"type": "dev.millrace.run.v1", "workspace_id": b.id.WorkspaceID,
		"run_id": "canary", "source": "copilot", "app_id": "doctor", "started_at": time.Now().UTC().Format(time.RFC3339),
		"status": "succeeded", "question": "Does it work?", "answer": b.id.ExportID})
	if err != nil {
		return err
	}
	checker := kafka.Checker{Source: "millrace/doctor", Limits: b.Config.EventLimits()}
	record, _, err := checker.Record(run)
	if err != nil {
		return err
	}
	record.Topic = b.Config.KafkaTopicPrefix + event.TopicRuns
	if err := b.producer.ProduceSync(ctx, record).FirstErr(); err != nil {
		return fmt.Errorf("publish a run: %w", err)
	}
	if err := b.until(ctx, "SELECT count() FROM runs_latest WHERE workspace_id = $1"); err != nil {
		return fmt.Errorf("the run is published, but ingest has not stored it: %w", err)
	}
	request, err := json.Marshal(map[string]any{"export_id": b.id.ExportID, "workspace_id": b.id.WorkspaceID,
		"purpose": "export_dataset", "source": "copilot", "app_id": "doctor", "selection": map[string]any{"limit": 1},
		"requested_by": "millrace doctor"})
	if err != nil {
		return err
	}
	follower, err := client.Follow(ctx, b.App, false, b.id)
	if err != nil {
		return err
	}
	defer follower.Close()
	if err := client.ExportRequests(b.App, b.producer, "millrace/doctor").File(ctx, b.id, request); err != nil {
		return err
	}
	c, err := client.WaitCompletion(ctx, follower, func(*export.Progress) {})
	switch {
	case err != nil:
		return fmt.Errorf("the export is requested, but has not ended: %w", err)
	case c.Status != export.StatusSucceeded:
		return client.DescribeFailure(c.Failure())
	case c.Records != 1:
		return fmt.Errorf("the export of one run has %d records", c.Records)
	}
	return b.read(ctx)
}

// read reads the file of the export.
func (b *bird) read(ctx context.Context) error {
	dataset, err := files.Open(ctx, b.bucket, b.id)
	if err != nil {
		return err
	}
	report, err := dataset.Verify(ctx, func(int64) {})
	if err != nil {
		return err
	}
	if len(report.Problems) > 0 {
		return fmt.Errorf("the files of the export are not what its manifest says: %v", report.Problems)
	}
	for record, err := range dataset.Records(ctx) {
		if err != nil {
			return err
		}
		if !strings.Contains(string(record), b.id.ExportID) {
			return errors.New("the record of the export is not the run")
		}
	}
	return nil
}

// until waits until a query about the workspace counts something.
func (b *bird) until(ctx context.Context, query string) error {
	return app.Poll(ctx, func() (bool, error) {
		var n uint64
		err := b.conn.QueryRow(ctx, query, b.id.WorkspaceID).Scan(&n)
		return n > 0, err
	})
}

// removeTimeout bounds the removal, which is done after a failure too.
const removeTimeout = time.Minute

// remove removes what the workspace has in the bucket and in ClickHouse.
func (b *bird) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	objects, err := b.bucket.List(ctx, "exports/"+b.id.WorkspaceID+"/")
	if err != nil {
		return fmt.Errorf("remove the export: %w", err)
	}
	for _, o := range objects {
		if err := b.bucket.Delete(ctx, o.Key); err != nil {
			return fmt.Errorf("remove the export: %w", err)
		}
	}
	if len(objects) > 0 { // track would store its completion after the removal
		if err := b.until(ctx, "SELECT count() FROM export_events WHERE workspace_id = $1 AND status IN "+
			"('succeeded', 'failed', 'cancelled')"); err != nil {
			return fmt.Errorf("the export has ended, but track has not stored it: %w", err)
		}
	}
	return b.removeRows(ctx)
}

// removeRows removes the rows of the workspace from all tables.
func (b *bird) removeRows(ctx context.Context) error {
	rows, err := b.conn.Query(ctx, "SELECT DISTINCT table FROM system.columns WHERE database = currentDatabase() AND "+
		"name = 'workspace_id' AND table IN (SELECT name FROM system.tables WHERE database = currentDatabase() AND "+
		"engine LIKE '%MergeTree')")
	if err != nil {
		return err
	}
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			return err
		}
		tables = append(tables, table)
	}
	for _, table := range tables {
		if err := b.conn.Exec(ctx, "DELETE FROM "+table+clickhouse.OnCluster(b.Config.ClickHouseCluster)+
			" WHERE workspace_id = $1", b.id.WorkspaceID); err != nil {
			return fmt.Errorf("remove the rows of table %s: %w", table, err)
		}
	}
	return rows.Err()
}
