package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
)

// Watcher follows exports on the topics of progress and completions.
type Watcher struct {
	client      *kgo.Client
	ids         map[string]bool // workspace/export
	completions string
}

// NewWatcher starts before the exports are asked for, so that nothing of them is missed: from now on, but completions
// of ids that are not fresh from the start, in case an export was asked for, and ended, before.
func NewWatcher(ctx context.Context, a *app.App, fresh bool, ids ...export.ID) (*Watcher, error) {
	client, err := a.KafkaClient(kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return nil, err
	}
	w := &Watcher{client: client, ids: map[string]bool{}, completions: a.Config.KafkaTopicPrefix + event.TopicExportCompletions}
	for _, id := range ids {
		w.ids[id.String()] = true
	}
	progress := a.Config.KafkaTopicPrefix + event.TopicExportProgress
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(ctx, progress, w.completions)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("look at topics %s and %s: %w; `millrace topics` creates the topics", progress, w.completions, err)
	}
	from := map[string]map[int32]kgo.Offset{progress: {}, w.completions: {}}
	ends.Each(func(end kadm.ListedOffset) {
		offset := kgo.NewOffset().At(end.Offset)
		if end.Topic == w.completions && !fresh {
			offset = kgo.NewOffset().AtStart()
		}
		from[end.Topic][end.Partition] = offset
	})
	client.AddConsumePartitions(from)
	return w, nil
}

// Close ends the watching.
func (w *Watcher) Close() { w.client.Close() }

// Wait calls f with the progress of the exports, and returns the first completion that comes. The two are on topics of
// their own, and the last progress may come too late.
func (w *Watcher) Wait(ctx context.Context, f func(*export.Progress)) (*export.Completion, error) {
	completions, err := []*export.Completion(nil), error(nil)
	for len(completions) == 0 && err == nil {
		completions, err = w.poll(ctx, f)
	}
	if err != nil {
		return nil, err
	}
	return completions[0], nil
}

// WaitAll calls f with the progress of the exports, and returns when done was called with the completions of all.
func (w *Watcher) WaitAll(ctx context.Context, f func(*export.Progress), done func(*export.Completion)) error {
	for left := len(w.ids); left > 0; {
		completions, err := w.poll(ctx, f)
		if err != nil {
			return err
		}
		for _, c := range completions {
			done(c)
			left--
		}
	}
	return nil
}

// poll waits for records, calls f with what they tell of progress, and returns the completions.
func (w *Watcher) poll(ctx context.Context, f func(*export.Progress)) (completions []*export.Completion, err error) {
	fetches := w.client.PollFetches(ctx)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := fetches.Err(); err != nil {
		return nil, fmt.Errorf("watch the export: %w", err)
	}
	for _, r := range fetches.Records() {
		if !w.ids[string(r.Key)] {
			continue
		}
		e, err := event.Decode(r)
		if err != nil {
			return nil, fmt.Errorf("read topic %s: %w", r.Topic, err)
		}
		if r.Topic == w.completions {
			completion := new(export.Completion)
			if err := json.Unmarshal(e.Data, completion); err != nil {
				return nil, fmt.Errorf("read the completion: %w", err)
			}
			completions = append(completions, completion)
			continue // what came with it on the other topic is from before
		}
		progress := new(export.Progress)
		if err := json.Unmarshal(e.Data, progress); err != nil {
			return nil, fmt.Errorf("read the progress: %w", err)
		}
		f(progress)
	}
	return completions, nil
}

// follow shows the progress of an export, and how it ended: with an error if it did not succeed.
func (c Request) follow(ctx context.Context, a *app.App, w *Watcher) (*export.Completion, error) {
	bar := rowsBar(a)
	out := json.NewEncoder(a.Stdout)
	completion, err := w.Wait(ctx, func(p *export.Progress) {
		switch {
		case c.JSON:
			out.Encode(p) //nolint:errcheck // the completion's is checked
		case bar.bar != nil:
			bar.total(p.RowsPlanned)
			bar.Set(p.RowsDone)
		default:
			fmt.Fprintln(a.Stdout, describeProgress(p))
		}
	})
	if completion != nil && completion.Records > 0 {
		bar.total(completion.RowsPlanned)
		bar.Finish()
	} else {
		bar.clear()
	}
	switch {
	case ctx.Err() != nil:
		return nil, errors.New("stopped watching; the export goes on")
	case err != nil:
		return nil, err
	case c.JSON:
		err = out.Encode(completion)
	default:
		_, err = fmt.Fprint(a.Stdout, DescribeCompletion(completion))
	}
	if err != nil {
		return nil, err
	}
	switch completion.Status {
	case export.StatusFailed:
		return nil, &app.ExitError{Code: app.ExitExportFailed, Err: DescribeFailure(completion.Failure())}
	case export.StatusCancelled:
		return nil, &app.ExitError{Code: app.ExitCancelled}
	}
	return completion, nil
}

// DescribeFailure returns the error of a failed export, for people.
func DescribeFailure(e *export.Error) error {
	if e == nil {
		return errors.New("the export failed")
	}
	return fmt.Errorf("the export failed: %s", printable(joined(": ", e.Pointer, e.Error())))
}

func describeProgress(p *export.Progress) string {
	return fmt.Sprintf("%s %.0f%%: %d of %d rows, %d records in %d files", p.Status, p.PercentDone, p.RowsDone, p.RowsPlanned, p.Records, p.Fragments)
}

// DescribeCompletion returns lines that say how an export ended.
func DescribeCompletion(c *export.Completion) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d records in %d files, %d bytes\n", c.Status, c.Records, c.Fragments, c.Bytes)
	for _, reason := range slices.Sorted(maps.Keys(c.Dropped)) {
		fmt.Fprintf(&b, "dropped: %d rows, %s\n", c.Dropped[reason], printable(reason))
	}
	for _, warning := range c.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", printable(warning.Code+": "+warning.Message))
	}
	if c.ManifestURI != "" {
		fmt.Fprintf(&b, "manifest: %s\n", printable(c.ManifestURI))
	}
	if c.LoadWith != "" {
		fmt.Fprintf(&b, "load it with: %s\n", printable(c.LoadWith))
	}
	return b.String()
}
