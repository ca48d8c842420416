package main

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/ingest"
	"github.com/millrace/millrace/sinks/runstore"
)

// The role ingest:
//
//	topic runs ──▶ ingest ──▶ ClickHouse runs, nodes, feedback
//	                  └─────▶ topic dead-letters
type ingestCommand struct{}

// gcPercent is when the garbage of ingest is collected, see [app.CollectAt]. Much of its memory is garbage: 500,000
// events take 250 to 258 MiB at the default of 100, and 233 to 247 at 75, for some percent more processor time.
const gcPercent = 75

// Run runs the role until it is told to stop.
func (ingestCommand) Run(ctx context.Context, a *app.App) error {
	app.CollectAt(gcPercent)
	o, err := newOps(a, "ingest")
	if err != nil {
		return err
	}
	stage, err := newIngestStage(a, o)
	if err != nil {
		return err
	}
	o.readiness.started = append(o.readiness.started, stage.Ready())
	if err := o.readiness.watch(a, o, nil, event.TopicRuns, event.TopicDeadLetters); err != nil {
		return err
	}
	a.Log.Info("millrace ingest", "version", version(), "ops", o.url(), "kafka", a.Config.KafkaBrokers, "clickhouse",
		a.Config.DSN.Addr())
	fmt.Fprintf(a.Stdout, "ops %s\n", o.url())
	return runAll(ctx, o, stage.Run)
}

func newIngestStage(a *app.App, o *ops) (*ingest.Stage, error) {
	kafka, err := a.KafkaConfig(o.registry)
	if err != nil {
		return nil, err
	}
	store := runstore.New(a.Config.DSN.Measured(o.clickhouse, ingest.Name))
	store.Quorum(a.Config.ClickHouseInsertQuorum)
	return ingest.New(ingest.Config{
		Config:        kafka,
		Budget:        a.Budget,
		BatchRows:     a.Config.IngestBatchRows,
		BatchBytes:    a.Config.IngestBatchBytes,
		BatchInterval: a.Config.IngestBatchInterval,
	}, store), nil
}

// runAll runs all functions at once, and serves the operators' endpoints until the last function
// has returned. The first failure cancels the context of the others.
func runAll(ctx context.Context, o *ops, run ...func(context.Context) error) error {
	opsCtx, stopOps := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	group, ctx := errgroup.WithContext(ctx)
	go func() { served <- o.run(opsCtx) }()
	for _, f := range run {
		group.Go(func() error { return f(ctx) })
	}
	err := group.Wait()
	stopOps()
	if opsErr := <-served; err == nil {
		err = opsErr
	}
	return err
}
