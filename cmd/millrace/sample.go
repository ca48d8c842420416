package main

import (
	"context"
	"io"
	"log/slog"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/sample"
)

// sendSample publishes everything a generator makes.
func (p *publisher) sendSample(ctx context.Context, g *sample.Generator) error {
	for {
		e, ok := g.Next()
		if !ok {
			return nil
		}
		r := event.Event{ID: e.ID, Source: e.Source, Type: e.Type, Subject: e.Subject, Time: e.Time, Data: slices.Clone(e.Data)}.
			Record("", []byte(e.WorkspaceID+"/"+e.RunID))
		if err := p.send(ctx, r); err != nil {
			return err
		}
	}
}

func (a *app) deleteGroup(ctx context.Context, group string) error {
	client, err := a.kafkaClient()
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = kadm.NewClient(client).DeleteGroup(ctx, group)
	return err
}

func quietLogger() *slog.Logger {
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}
