package track

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/card"
	"github.com/millrace/millrace/pipeline/export/message"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/kafka/kafkatest"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

var day = time.Date(2026, 3, 1, 0, 0, 0, 123e6, time.UTC)

func setup(t *testing.T) (kafka.Config, *clickhouse.DSN, *kgo.Client) {
	dsn := clickhousetest.Empty(t)
	var topics []string
	for _, topic := range event.Topics {
		topics = append(topics, event.DefaultPrefix+topic.Name)
	}
	cfg := kafka.Config{
		TopicPrefix: event.DefaultPrefix, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Options: []kgo.Opt{kgo.SeedBrokers(localtest.Kafka(t, kfake.SeedTopics(1, topics...)).ListenAddrs()...)},
	}
	client, err := kgo.NewClient(append(cfg.Options, kgo.ConsumeTopics(cfg.TopicName(event.TopicDeadLetters)))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return cfg, dsn, client
}

func planned(t *testing.T, id string) *export.Plan {
	r, err := export.ParseRequest([]byte(`{"export_id":"` + id +
		`","workspace_id":"acme","name":"N","requested_by":"me","purpose":"export_dataset","source":"recipe",` +
		`"app_id":"app","selection":{"limit":100}}`))
	if err != nil {
		t.Fatal(err)
	}
	return &export.Plan{ID: r.ID, Request: r, RequestedAt: day, AcceptedAt: day, Rows: 100,
		Windows: []export.PlannedWindow{{Rows: 60}, {Rows: 40}}}
}

func completed(t *testing.T, p *export.Plan, status export.Status, why *export.Error,
	windows ...*export.WindowManifest) *export.Completion {
	text, err := json.Marshal(export.NewManifest(p, status, why, windows, "t/0/0", day.Add(time.Second)))
	if err != nil {
		t.Fatal(err)
	}
	c, err := export.NewCompletion(p, text, "file:///b/exports/acme/"+p.ExportID+"/manifest.json", card.LoadWith)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheViewExportsTellsHowFarEachExportIsOrHowItEnded(t *testing.T) {
	t.Parallel()
	cfg, dsn, client := setup(t)
	clickhousetest.Migrate(t, dsn)
	running, done, failed := planned(t, "running"), planned(t, "done"), planned(t, "failed")
	done.Watermark = day
	window := &export.WindowManifest{Rows: 60, RowsUsed: 58, Records: 58, Dropped: map[string]int64{"no_output": 2},
		Files: []export.File{{Kind: export.Data, Bytes: 9}}}
	var tally export.Tally
	accepted := message.Progress(cfg.TopicPrefix, running, export.NewProgress(running, export.StatusAccepted, &tally, day))
	tally.Add(window)
	records := []*kgo.Record{
		message.Progress(cfg.TopicPrefix, running, export.NewProgress(running, export.StatusRunning, &tally,
			day.Add(time.Second))),
		accepted, // late
		message.Progress(cfg.TopicPrefix, done, export.NewProgress(done, export.StatusRunning, &tally,
			day.Add(2*time.Second))),
		message.Completion(cfg.TopicPrefix, done, completed(t, done, export.StatusSucceeded, nil, window)),
		message.Completion(cfg.TopicPrefix, done, completed(t, done, export.StatusSucceeded, nil, window)),
		message.Completion(cfg.TopicPrefix, failed, completed(t, failed, export.StatusFailed,
			&export.Error{Code: "c", Message: "m", Retryable: true, Pointer: "/p"})),
		{Topic: cfg.TopicName(event.TopicExportProgress), Value: []byte(`{"type":"dev.millrace.run.v1"}`)},
		{Topic: cfg.TopicName(event.TopicExportCompletions), Value: []byte(`{`)},
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"done succeeded 100% 60/60 rows 58 used 58 records {'no_output':2} dropped 1 fragments 2026-03-01 00:00:00.123000 " +
			" N me",
		"failed failed 0% 0/100 rows 0 used 0 records {} dropped 0 fragments ᴺᵁᴸᴸ c m true /p N me",
		"running running 60% 60/100 rows 0 used 58 records {'no_output':2} dropped 1 fragments ᴺᵁᴸᴸ  N me",
	}, "\n")
	runUntil(t, cfg, dsn,
		`SELECT arrayStringConcat(arraySort(groupArray(concat(export_id, ' ', status, ' ', percent_done, '% ',
		rows_done, '/', rows_planned, ' rows ',
		rows_used, ' used ', records, ' records ', toString(dropped), ' dropped ', fragments, ' fragments ',
		ifNull(toString(watermark), 'ᴺᵁᴸᴸ'), ' ',
		if(error_code = '', '', concat(error_code, ' ', error_message, ' ', toString(error_retryable), ' ',
		error_pointer)), ' ', name, ' ', requested_by))), '\n') FROM exports`,
		want, func() { deadLetters(t, client, 2) })
}

// runUntil runs the stage until the query returns the wanted text, and calls check before it stops
// the stage.
func runUntil(t *testing.T, cfg kafka.Config, dsn *clickhouse.DSN, query, want string, check func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- New(cfg, dsn).Run(ctx) }()
	conn, err := dsn.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var got string
	for deadline := time.Now().Add(30 * time.Second); got != want && time.Now().Before(deadline); {
		if err := conn.QueryRow(t.Context(), query).Scan(&got); err != nil {
			t.Fatal(err)
		}
	}
	if got != want {
		t.Errorf("exports has\n%s\nwant\n%s", got, want)
	}
	check()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func deadLetters(t *testing.T, client *kgo.Client, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for n := 0; n < want; n += client.PollFetches(ctx).NumRecords() {
		if ctx.Err() != nil {
			t.Fatalf("%d dead letters, want %d", n, want)
		}
	}
}

func TestAMissingTableStopsTheStageAndNamesTheCommandThatHelps(t *testing.T) {
	t.Parallel()
	cfg, dsn, client := setup(t)
	p := planned(t, "e1")
	if err := client.ProduceSync(t.Context(), message.Progress(cfg.TopicPrefix, p,
		export.NewProgress(p, export.StatusAccepted, &export.Tally{}, day))).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := New(cfg, dsn).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "millrace migrate") {
		t.Errorf("Run returned %v", err)
	}
}

func TestABatchThatDecompressesTooFarIsADeadLetterAndWhatFollowsIsStored(t *testing.T) {
	t.Parallel()
	cfg, dsn, client := setup(t)
	clickhousetest.Migrate(t, dsn)
	produce := func(id string) {
		p := planned(t, id)
		progress := message.Progress(cfg.TopicPrefix, p, export.NewProgress(p, export.StatusAccepted, &export.Tally{}, day))
		if err := client.ProduceSync(t.Context(), progress).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	topic := cfg.TopicName(event.TopicExportProgress)
	produce("before")
	kafkatest.ProduceOversize(t, topic, 0, cfg.Options...)
	kafkatest.ProduceOversize(t, topic, 0, cfg.Options...)
	produce("after")
	runUntil(t, cfg, dsn, `SELECT arrayStringConcat(arraySort(groupArray(export_id)), ' ') FROM exports`, "after before",
		func() { deadLetters(t, client, 2) })
}
