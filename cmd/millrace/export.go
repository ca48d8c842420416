package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/extract"
	"github.com/millrace/millrace/pipeline/export/plan"
	"github.com/millrace/millrace/pipeline/export/seal"
	"github.com/millrace/millrace/pipeline/export/track"
	"github.com/millrace/millrace/pipeline/stage"
	"github.com/millrace/millrace/sinks/bucket"
)

// The role export:
//
//	export-requests ──▶ plan ──▶ export-windows ──▶ extract ──▶ export-results ──▶ seal ──▶ export-completions
//	                     │ plan.json                  │ fragments                   │ manifest.json      │
//	                     ▼                            ▼                             ▼                    ▼
//	                   bucket                       bucket                        bucket               track ──▶ ClickHouse
//
// A janitor runs beside the stages. It removes objects that were written into the folder of an
// export after the export ended.
type exportCommand struct{}

// Run runs the role until it is told to stop.
func (exportCommand) Run(ctx context.Context, a *app.App) error {
	o, err := newOps(a, "export")
	if err != nil {
		return err
	}
	stages, err := newExportStages(ctx, a, o)
	if ctx.Err() != nil {
		return nil // a signal came before the stages started
	}
	if err != nil {
		return err
	}
	a.Log.Info("millrace export", "version", version(), "ops", o.url(), "kafka", a.Config.KafkaBrokers, "clickhouse",
		a.Config.DSN.Addr(), "bucket", a.Config.BucketURL)
	fmt.Fprintf(a.Stdout, "ops %s\n", o.url())
	return runAll(ctx, o, stages...)
}

// exportTopics are the topics that the stages read and write.
var exportTopics = []string{event.TopicExportRequests, event.TopicExportWindows, event.TopicExportResults,
	event.TopicExportProgress, event.TopicExportCompletions, event.TopicAudit, event.TopicDeadLetters}

// planSlots and sealSlots are the numbers of records that one process handles at a time in these
// stages. Few are enough: each record takes little time, except a request whose large selection is
// frozen.
const planSlots, sealSlots = 3, 2

// newExportStages returns the Run methods of the role's stages and of the janitor. It fails if the
// bucket cannot be used.
func newExportStages(ctx context.Context, a *app.App, o *ops) ([]func(context.Context) error, error) {
	kafka, err := a.KafkaConfig(o.registry)
	if err != nil {
		return nil, err
	}
	b, err := bucket.Open(ctx, a.Config.BucketURL)
	if err != nil {
		return nil, fmt.Errorf("MILLRACE_BUCKET_URL: %w", err)
	}
	b = b.Measured(o.bucket)
	if err := b.Probe(ctx); err != nil {
		return nil, fmt.Errorf("MILLRACE_BUCKET_URL: %w", err)
	}
	config := func(slots int) stage.Config {
		return stage.Config{Config: kafka, TransactionalIDPrefix: a.Config.KafkaTransactionalIDPrefix, Slots: slots}
	}
	dsn := func(stage string) *clickhouse.DSN { return a.Config.DSN.Measured(o.clickhouse, stage) }
	planStage := plan.New(plan.Config{
		Config: config(planSlots), WindowRecords: int64(a.Config.ExportWindowRecords),
		WindowsInFlight: a.Config.ExportWindowsInFlight,
		Cluster:         a.Config.ClickHouseCluster, Budget: a.Config.ExportPlanningTime,
	}, dsn(export.StagePlan), b)
	app.SpareProcessors(a.Config.ExportConcurrency)
	extractStage := extract.New(extract.Config{Config: config(a.Config.ExportConcurrency), Budget: a.Budget},
		dsn(export.StageExtract), b)
	sealStage := seal.New(seal.Config{
		Config: config(sealSlots), WindowsInFlight: a.Config.ExportWindowsInFlight, Cluster: a.Config.ClickHouseCluster,
	}, dsn(export.StageSeal), b)
	trackStage := track.New(kafka, dsn(export.StageTrack))
	janitor := seal.NewJanitor(seal.JanitorConfig{Metrics: o.registry, Log: a.Log}, dsn("janitor"), b)
	o.readiness.started = append(o.readiness.started, sealStage.Ready(), trackStage.Ready())
	o.readiness.started = append(o.readiness.started, slices.Concat(planStage.Ready(), extractStage.Ready())...)
	if err := o.readiness.watch(a, o, b, exportTopics...); err != nil {
		return nil, err
	}
	return []func(context.Context) error{planStage.Run, extractStage.Run, sealStage.Run, trackStage.Run, janitor.Run}, nil
}
