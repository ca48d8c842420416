package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/terminal"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/sinks/bucket"
)

// publishTimeout bounds the time in which Kafka must acknowledge a request or a cancel.
const publishTimeout = time.Minute

// ExportRequests returns the client that files and cancels exports. source becomes the source of
// its CloudEvents.
func ExportRequests(a *app.App, producer *kgo.Client, source string) *live.Requests {
	return &live.Requests{Producer: producer, TopicPrefix: a.Config.KafkaTopicPrefix, Source: source,
		Timeout: publishTimeout}
}

// Follow starts to follow the states of exports; see [live.Follow].
func Follow(ctx context.Context, a *app.App, ended bool, ids ...export.ID) (*live.Follower, error) {
	cfg, err := a.KafkaConfig(nil)
	if err != nil {
		return nil, err
	}
	f, err := live.Follow(ctx, cfg, ended, ids...)
	return f, withTopicsHint(err)
}

// withTopicsHint adds to an error about missing topics how to create them.
func withTopicsHint(err error) error {
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return err
	}
	return fmt.Errorf("%w; run `millrace topics` to create the topics", err)
}

// WaitCompletion waits for the end of the export that f follows. Until then it calls progress with
// each state of the export.
func WaitCompletion(ctx context.Context, f *live.Follower, progress func(*export.Progress)) (c *export.Completion,
	err error) {
	err = f.Wait(ctx, func(s *export.State) error {
		if s.Status.Final() {
			c = &export.Completion{State: *s}
		} else {
			progress(&export.Progress{State: *s})
		}
		return nil
	})
	return c, err
}

// verifyTimeout bounds the look at the bucket after an export has ended.
const verifyTimeout = 10 * time.Second

// Verify replaces the address of the manifest and the command that loads the files, which a person
// may follow or run, by those of the bucket, see [files.Derive]. Without the bucket there are none.
func Verify(ctx context.Context, a *app.App, c *export.Completion) {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	c.LoadWith, c.ManifestURI = "", ""
	b, err := bucket.Open(ctx, a.Config.BucketURL)
	if err == nil {
		defer b.Close()
		err = files.Derive(ctx, b, &c.State)
	}
	if err != nil {
		a.Log.Warn("how to load the files is not shown, because the manifest in MILLRACE_BUCKET_URL could not be verified",
			"error", err)
	}
}

// follow shows the progress of an export and then its end. It returns an error if the export did
// not succeed.
func (c Request) follow(ctx context.Context, a *app.App, f *live.Follower) (*export.Completion, error) {
	bar, said, rates := NewBar(a), "", &terminal.Rates{}
	bar.Set(terminal.State{Phase: "filed"})
	completion, err := WaitCompletion(ctx, f, func(p *export.Progress) {
		switch {
		case c.JSON:
			a.PrintJSON(p) //nolint:errcheck // the error of writing the completion is checked
		case bar.Shows():
			if r := p.Retrying; r != nil && r.Stage+r.Message != said {
				said = r.Stage + r.Message
				bar.Clear()
				fmt.Fprintln(a.Stderr, printable(describeRetrying(r)))
			}
			bar.Set(progressState(p))
		default:
			fmt.Fprintln(a.Stdout, describeProgress(p, rates, time.Now()))
		}
	})
	bar.Clear()
	switch {
	case ctx.Err() != nil:
		return nil, errors.New("stopped watching; the export goes on")
	case err != nil:
		return nil, err
	}
	Verify(ctx, a, completion)
	switch {
	case c.JSON:
		err = a.PrintJSON(completion)
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

// DescribeFailure returns the error of a failed export, written for people.
func DescribeFailure(e *export.Error) error {
	if e == nil {
		return errors.New("the export failed")
	}
	return fmt.Errorf("the export failed: %s", printable(joined(": ", e.Pointer, e.Error())))
}

// describeProgress returns a line for logs: how far an export is, and how fast it goes.
func describeProgress(p *export.Progress, rates *terminal.Rates, now time.Time) string {
	state := strings.ReplaceAll(rates.Text(progressState(p), now, files.Size), "  ", ", ")
	text := fmt.Sprintf("%s %.0f%%: %s, %s in %s", p.Status, p.PercentDone, state,
		plural(p.Records, "record"), plural(p.Fragments, "file"))
	if p.Retrying != nil {
		text += "; " + describeRetrying(p.Retrying)
	}
	return printable(text)
}

// isCancelling returns what stands behind the status of an export that is being cancelled.
func isCancelling(p *export.Progress) string {
	if p.Cancelling {
		return ", cancelling"
	}
	return ""
}

func describeRetrying(r *export.Retrying) string {
	return fmt.Sprintf("%s tries again since %s, %s so far: %s: %s", r.Stage, moment(r.Since),
		plural(r.Attempts, "attempt"), r.Code, r.Message)
}

// DescribeCompletion returns lines that describe how an export ended.
func DescribeCompletion(c *export.Completion) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d records in %d files, %s\n", c.Status, c.Records, c.Fragments, files.Size(c.Bytes))
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
