package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/client"
	"github.com/millrace/millrace/cmd/millrace/terminal"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/sample"
)

// Sample is the command line of millrace sample.
type Sample struct {
	Runs        int           `placeholder:"N" help:"Publish N runs of the last 30 days, wait until they can be queried, and end."`
	Rate        float64       `default:"20" placeholder:"N/s" help:"Without --runs: events a second."`
	ExportEvery time.Duration `default:"15s" placeholder:"D" help:"Without --runs: time between two requests for exports, which take turns by purpose; 0 = request none."`
	app.WorkspaceFlag
}

// Validate checks the flags.
func (c *Sample) Validate() error {
	switch {
	case c.Runs < 0:
		return errors.New("--runs must not be negative")
	case c.Rate <= 0:
		return errors.New("--rate must be above 0")
	case c.ExportEvery < 0:
		return errors.New("--export-every must not be negative")
	}
	return nil
}

// Run publishes the events of runs that start now, and requests exports of them, until it is told
// to stop. With --runs it publishes a history and ends.
func (c *Sample) Run(ctx context.Context, a *app.App) error {
	workspace, err := c.WorkspaceID(a.Config)
	if err != nil {
		return err
	}
	inner := *a
	cfg := *a.Config
	cfg.DefaultWorkspace, inner.Config = workspace, &cfg // the requests are for the same workspace
	producer, err := inner.KafkaClient(kafka.ProducerOptions()...)
	if err != nil {
		return err
	}
	defer producer.Close()
	if err := inner.RequireKafka(ctx, producer); err != nil {
		return err
	}
	if c.Runs > 0 {
		return c.publishRuns(ctx, a, producer, workspace)
	}
	fmt.Fprintf(a.Stdout, "publishing %g events a second to workspace %s\n", c.Rate, workspace)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		p := client.NewPublisher(producer, cfg.KafkaTopicPrefix+event.TopicRuns, c.Rate)
		return errors.Join(p.SendSample(ctx, sample.New(c.config(workspace, time.Now()))), p.Flush(ctx))
	})
	g.Go(func() error { return c.request(ctx, &inner) })
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// publishRuns publishes runs of the last days and waits until they can be queried.
func (c *Sample) publishRuns(ctx context.Context, a *app.App, producer *kgo.Client, workspace string) error {
	cfg := lastDays(workspace, c.Runs)
	p, err := publishHistory(ctx, a, producer, cfg)
	if err != nil {
		return err
	}
	want := sample.Expect(cfg)
	fmt.Fprintf(a.Stdout, "published %d events of %d runs, %d node runs and %d feedback\n", want.Events, want.Runs,
		want.Nodes, want.Feedback)
	if err := p.WaitStored(ctx, a); err != nil {
		return err
	}
	apps := client.RunApps{}
	for id := range want.RunsByApp {
		apps.Add(workspace, sample.SourceOf(id), id)
	}
	apps.Print(a)
	return nil
}

// publishHistory publishes all events of a history, and returns the publisher when Kafka has them.
func publishHistory(ctx context.Context, a *app.App, producer *kgo.Client, cfg sample.Config) (*client.Publisher,
	error) {
	total := int64(sample.Expect(cfg).Events)
	p := client.NewPublisher(producer, a.Config.KafkaTopicPrefix+event.TopicRuns, 0)
	bar := client.NewBar(a)
	defer bar.Clear()
	p.Progress = func(events, bytes int64) {
		bar.Set(terminal.State{Phase: "publishing", Done: events, Total: total, Unit: "events", Bytes: bytes})
	}
	return p, errors.Join(p.SendSample(ctx, sample.New(cfg)), p.Flush(ctx))
}

// config describes runs that start as fast as their events are sent, so that their times stay those
// of the clock. Two streams have different ids.
func (c *Sample) config(workspace string, now time.Time) sample.Config {
	cfg := sample.Config{Runs: 2000, Workspaces: []string{workspace}, Start: now.Truncate(time.Millisecond)}
	perRun := float64(sample.Expect(cfg).Events) / float64(cfg.Runs)
	cfg.Seed, cfg.Runs = uint64(now.UnixNano()), 0
	cfg.Interval = time.Duration(perRun / c.Rate * float64(time.Second)).Round(time.Microsecond)
	return cfg
}

// request files the exports of the demo one after another.
func (c *Sample) request(ctx context.Context, a *app.App) error {
	if c.ExportEvery == 0 {
		return nil
	}
	tick := time.NewTicker(c.ExportEvery)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		r := exports[i%len(exports)]
		r.Limit = maxRows
		if err := r.Run(ctx, a); err != nil {
			return err
		}
	}
}
