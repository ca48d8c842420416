package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/kafka"
)

type exportsCancel struct {
	ExportArg
	Timeout time.Duration `default:"1m" help:"How long to wait for the export to end."`
}

// Run cancels an export and waits for its completion. The export may end in another way before the
// cancel reaches it; that is an error.
func (c exportsCancel) Run(ctx context.Context, a *app.App) error {
	return c.find(ctx, a, func(id export.ID) error { return c.cancel(ctx, a, id) })
}

func (c exportsCancel) cancel(ctx context.Context, a *app.App, id export.ID) error {
	if ended, err := endedAlready(ctx, a, id); ended || err != nil {
		return err
	}
	client, err := a.KafkaClient(kafka.ProducerOptions()...)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := a.RequireKafka(ctx, client); err != nil {
		return err
	}
	f, err := Follow(ctx, a, false, id)
	if err != nil {
		return err
	}
	defer f.Close()
	// Check again: if the export ended before Follow began, no completion will come.
	if ended, err := endedAlready(ctx, a, id); ended || err != nil {
		return err
	}
	if err := ExportRequests(a, client, "millrace/exports").Cancel(ctx, id, user()); err != nil {
		return withTopicsHint(err)
	}
	return c.await(ctx, a, f)
}

func (c exportsCancel) await(ctx context.Context, a *app.App, f *live.Follower) error {
	wait, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	completion, err := WaitCompletion(wait, f, func(*export.Progress) {})
	switch {
	case ctx.Err() != nil:
		return errors.New("stopped waiting; the cancel is filed")
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the cancel is filed, but the export has not ended within %s: is `millrace export` running?",
			c.Timeout)
	case err != nil:
		return err
	case completion.Status != export.StatusCancelled:
		return fmt.Errorf("the export ended before the cancel reached it: %s", completion.Status)
	}
	_, err = fmt.Fprintln(a.Stdout, "cancelled")
	return err
}

// endedAlready reports whether an export has ended. An end other than a cancel is an error.
func endedAlready(ctx context.Context, a *app.App, id export.ID) (ended bool, err error) {
	err = withDataset(ctx, a, id, func(d *files.Dataset) error {
		if d.Manifest == nil {
			return nil
		}
		ended = true
		if d.Manifest.Status != export.StatusCancelled {
			return fmt.Errorf("the export had ended already, %s: %s", moment(d.Manifest.CreatedAt), d.Manifest.Status)
		}
		_, err := fmt.Fprintf(a.Stdout, "had been cancelled already, %s\n", moment(d.Manifest.CreatedAt))
		return err
	})
	return ended, err
}
