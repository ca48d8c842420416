package flow_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export/plan"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/stage"
)

// A stage that stops because an operator has to act says so for the export before it stops.
func TestAStageThatHasToStopTellsForWhichExport(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	conn, err := f.dsn.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Exec(t.Context(), "DROP TABLE runs"); err != nil {
		t.Fatal(err)
	}
	f.send(request("e1", limit1000))
	s := plan.New(plan.Config{Config: stage.Config{TransactionalIDPrefix: "millrace.", Config: kafka.Config{
		TopicPrefix: event.DefaultPrefix, Options: []kgo.Opt{kgo.SeedBrokers(f.kafka.ListenAddrs()...)},
		Log: slog.New(slog.DiscardHandler),
	}}}, f.dsn, f.bucket)
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "schema") {
		t.Errorf("plan without its table: %v", err)
	}
	f.poll("notice", func() bool { return len(f.progress("e1")) > 0 })
	p := f.progress("e1")[0]
	if r := p.Retrying; r == nil || r.Stage != "plan" || r.Code != "plan_failed" ||
		r.Message != "ClickHouse fails with error 60, and is tried again" || p.AppID != "app" {
		t.Errorf("told %+v of %+v", p.Retrying, p)
	}
}
