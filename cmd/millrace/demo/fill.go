package demo

import (
	"context"
	"time"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/client"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/sample"
)

// fillRuns is how many runs Fill publishes, and fillTime how long it waits until they are stored.
const (
	fillRuns = 1000
	fillTime = 30 * time.Second
)

// Fill publishes sample runs of the last 30 days to a workspace, and waits until they can be queried.
func Fill(ctx context.Context, a *app.App, workspace string) error {
	ctx, cancel := context.WithTimeout(ctx, fillTime)
	defer cancel()
	producer, err := a.KafkaClient(kafka.ProducerOptions()...)
	if err != nil {
		return err
	}
	defer producer.Close()
	conn, err := a.Config.DSN.Open()
	if err != nil {
		return err
	}
	defer conn.Close()
	cfg := lastDays(workspace, fillRuns)
	p := client.NewPublisher(producer, a.Config.KafkaTopicPrefix+event.TopicRuns, 0)
	if err := p.SendSample(ctx, sample.New(cfg)); err != nil {
		return err
	}
	if err := p.Flush(ctx); err != nil {
		return err
	}
	return app.Poll(ctx, func() (bool, error) {
		var runs uint64
		err := conn.QueryRow(ctx, "SELECT count() FROM runs_latest WHERE workspace_id = $1", workspace).Scan(&runs)
		return runs >= uint64(sample.Expect(cfg).Runs), err
	})
}

// lastDays are runs of the last 30 days of a workspace.
func lastDays(workspace string, runs int) sample.Config {
	return sample.Config{
		Seed: 1, Runs: runs, Workspaces: []string{workspace}, Start: time.Now().Add(-30 * 24 * time.Hour).Truncate(time.Hour),
		Interval: 30 * 24 * time.Hour / time.Duration(runs+sample.MaxLag+1), // ingest refuses events of the future
	}
}
