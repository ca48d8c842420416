package main

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

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
)

// watcher follows exports on the topics of progress and completions.
type watcher struct {
	client      *kgo.Client
	ids         map[string]bool // workspace/export
	completions string
}

// watch starts before the exports are asked for, so that nothing of them is missed: from now on, but completions
// of ids that are not fresh from the start, in case an export was asked for, and ended, before.
func newWatcher(ctx context.Context, a *app, fresh bool, ids ...export.ID) (*watcher, error) {
	client, err := a.kafkaClient(kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return nil, err
	}
	w := &watcher{client: client, ids: map[string]bool{}, completions: a.cfg.KafkaTopicPrefix + event.TopicExportCompletions}
	for _, id := range ids {
		w.ids[id.String()] = true
	}
	progress := a.cfg.KafkaTopicPrefix + event.TopicExportProgress
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

func (w *watcher) close() { w.client.Close() }

// wait calls f with the progress of the exports, and returns the first completion that comes. The two are on topics of
// their own, and the last progress may come too late.
func (w *watcher) wait(ctx context.Context, f func(*export.Progress)) (*export.Completion, error) {
	completions, err := []*export.Completion(nil), error(nil)
	for len(completions) == 0 && err == nil {
		completions, err = w.poll(ctx, f)
	}
	if err != nil {
		return nil, err
	}
	return completions[0], nil
}

// waitAll calls f with the progress of the exports, and returns when done was called with the completions of all.
func (w *watcher) waitAll(ctx context.Context, f func(*export.Progress), done func(*export.Completion)) error {
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
func (w *watcher) poll(ctx context.Context, f func(*export.Progress)) (completions []*export.Completion, err error) {
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
func (c requestCommand) follow(ctx context.Context, a *app, w *watcher) (*export.Completion, error) {
	bar := rowsBar(a)
	out := json.NewEncoder(a.stdout)
	completion, err := w.wait(ctx, func(p *export.Progress) {
		switch {
		case c.JSON:
			out.Encode(p) //nolint:errcheck // the completion's is checked
		case bar.bar != nil:
			bar.total(p.RowsPlanned)
			bar.set(p.RowsDone)
		default:
			fmt.Fprintln(a.stdout, describeProgress(p))
		}
	})
	if completion != nil && completion.Records > 0 {
		bar.total(completion.RowsPlanned)
		bar.finish()
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
		_, err = fmt.Fprint(a.stdout, describeCompletion(completion))
	}
	if err != nil {
		return nil, err
	}
	switch completion.Status {
	case export.StatusFailed:
		return nil, &exitError{exitExportFailed, describeFailure(completion.Failure())}
	case export.StatusCancelled:
		return nil, &exitError{code: exitCancelled}
	}
	return completion, nil
}

func describeFailure(e *export.Error) error {
	if e == nil {
		return errors.New("the export failed")
	}
	return fmt.Errorf("the export failed: %s", printable(joined(": ", e.Pointer, e.Error())))
}

func describeProgress(p *export.Progress) string {
	return fmt.Sprintf("%s %.0f%%: %d of %d rows, %d records in %d files", p.Status, p.PercentDone, p.RowsDone, p.RowsPlanned, p.Records, p.Fragments)
}

func describeCompletion(c *export.Completion) string {
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
