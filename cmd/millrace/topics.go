package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/kafka"
)

type topicsCommand struct {
	JSON bool `name:"json" help:"List the topics as JSON."`
}

// Run creates the missing topics and lists all topics.
func (c topicsCommand) Run(ctx context.Context, a *app.App) error {
	client, err := a.KafkaClient()
	if err != nil {
		return err
	}
	defer client.Close()
	if err := a.RequireKafka(ctx, client); err != nil {
		return err
	}
	topics, err := kafka.CreateTopics(ctx, client, a.Config.KafkaTopicPrefix, a.Config.EventLimits())
	if err != nil {
		return err
	}
	if c.JSON {
		return a.PrintJSON(topics)
	}
	w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TOPIC\tPARTITIONS\t")
	for _, t := range topics {
		note := "existed"
		switch {
		case t.Created:
			note = "created"
		case t.Raised > 0:
			note = fmt.Sprintf("existed, %s raised to %d", event.MaxMessageBytes, t.Raised)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\n", t.Topic, t.Partitions, note)
	}
	return w.Flush()
}
