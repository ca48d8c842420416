package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/terminal"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/jsonscan"
	"github.com/millrace/millrace/pipeline/kafka"
)

// Replay is the command line of millrace replay.
type Replay struct {
	Files []string `arg:"" name:"file" help:"Files of run events, one event a line: CloudEvents or bare JSON; .gz and .zst are unpacked; - is standard input."`
	Rate  float64  `placeholder:"N/s" help:"Maximum of events a second; 0 = as fast as Kafka accepts them."`
	Loop  bool     `help:"Start over at the end, until interrupted."`

	Wait bool `default:"true" negatable:"" help:"Wait until ingest has stored the events, so that they can be queried."`

	As  string `placeholder:"openai-chat" help:"Format of the lines, if they are not run events. openai-chat: chats in OpenAI's format, {\"messages\": […]}; each becomes a run of copilot --app in --workspace."`
	App string `help:"With --as: id of the copilot."`
	app.WorkspaceFlag

	ignored map[string]int // keys of chats, by the number of their lines
	apps    RunApps        // of the events
}

// Validate checks the flags.
func (c *Replay) Validate() error {
	if c.Rate < 0 {
		return errors.New("--rate must not be negative")
	}
	if c.Loop && len(c.Files) == 1 && c.Files[0] == "-" {
		return errors.New("--loop cannot read standard input again: give a file")
	}
	return c.validateAs()
}

// Run publishes the events. It reports and skips lines that are not run events; the exit code is
// then 1.
func (c *Replay) Run(ctx context.Context, a *app.App) error {
	workspace, err := c.WorkspaceID(a.Config)
	if err != nil {
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
	p := NewPublisher(client, a.Config.KafkaTopicPrefix+event.TopicRuns, c.Rate)
	p.checker.Limits = a.Config.EventLimits()
	bar := NewBar(a)
	p.Progress = func(events, bytes int64) {
		bar.Set(terminal.State{Phase: "publishing", Done: events, Unit: "events", Bytes: bytes})
	}
	bad := 0
	c.ignored, c.apps = map[string]int{}, RunApps{}
	for again := true; again && ctx.Err() == nil; again = c.Loop {
		for _, file := range c.Files {
			n, err := replayFile(ctx, a, file, p, c.reader(p, workspace))
			bad += n
			if err != nil && ctx.Err() == nil {
				bar.Clear()
				return err
			}
		}
	}
	err = p.Flush(ctx)
	bar.Clear()
	fmt.Fprintf(a.Stdout, "published %d events, %d lines skipped\n", p.published.Load(), bad)
	c.tellIgnored(a.Stdout)
	if err != nil {
		return err
	}
	if c.Wait && ctx.Err() == nil && p.published.Load() > 0 {
		if err := p.WaitStored(ctx, a); err != nil {
			return err
		}
	}
	c.apps.Print(a)
	if bad > 0 {
		return &app.ExitError{Code: app.ExitFailed, Err: fmt.Errorf("%d lines are not %s and were skipped", bad, c.what())}
	}
	return nil
}

// lineReader returns a function that makes a record of each line of a file. It gets the time when
// the file was modified, or the zero time for standard input. Lines are numbered from 1.
type lineReader func(modified time.Time) func(line []byte, number int) (*kgo.Record, error)

// maxSkips is how many skipped lines of a file are named.
const maxSkips = 100

// replayFile sends the events of a file and returns the number of lines that it skipped.
func replayFile(ctx context.Context, a *app.App, name string, p *Publisher, read lineReader) (bad int, err error) {
	in, err := openEvents(a, name)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	check := read(in.modified)
	skip := func(number int, why error) {
		if bad++; bad <= maxSkips {
			fmt.Fprintf(a.Stderr, "%s:%d: skipped: %v\n", name, number, why)
		} else if bad == maxSkips+1 {
			fmt.Fprintf(a.Stderr, "%s: more lines are skipped, which are only counted\n", name)
		}
	}
	lines := bufio.NewReaderSize(in, 1<<20)
	for number := 1; ; number++ {
		line, size, err := a.Config.EventLimits().ReadLine(lines, nil)
		if line == nil && size > 0 {
			skip(number, a.Config.EventLimits().CheckValue(size))
		}
		// Where files were joined, the mark of a later one is in the middle.
		if event := bytes.TrimSpace(jsonscan.TrimByteOrderMark(line)); len(event) > 0 {
			record, refused := check(event, number)
			if refused != nil {
				skip(number, refused)
			} else if err := p.send(ctx, record); err != nil {
				return bad, err
			}
		}
		if errors.Is(err, io.EOF) {
			return bad, nil
		}
		if err != nil {
			return bad, fmt.Errorf("%s:%d: %w", name, number, err)
		}
	}
}

type reader struct {
	io.Reader
	modified time.Time // of a file
	close    []func()
}

func (r *reader) Close() {
	for _, f := range r.close {
		f()
	}
}

// openEvents opens a file, or standard input, and unpacks it by its first bytes. A gzip or zstd file
// may have several members, one after the other.
func openEvents(a *app.App, name string) (*reader, error) {
	r := &reader{Reader: a.Stdin}
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		r.Reader, r.close = f, append(r.close, func() { f.Close() })
		info, err := f.Stat()
		if err != nil {
			r.Close()
			return nil, err
		}
		r.modified = info.ModTime()
	}
	buffered := bufio.NewReaderSize(r.Reader, 1<<16)
	magic, err := buffered.Peek(4)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	r.Reader = buffered
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		r.Reader = z
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}), isSkippable(magic):
		// One block at a time, and no window of gigabytes that a few bytes ask for.
		z, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		r.Reader, r.close = z, append(r.close, z.Close)
	}
	return r, nil
}

// maxWindow is the greatest window of zstd, in bytes: that of zstd --ultra -22 and of --long.
const maxWindow = 128 << 20

// isSkippable reports whether a zstd file begins with a skippable frame (RFC 8878, section 3.1.2),
// as that of pzstd does.
func isSkippable(magic []byte) bool {
	return len(magic) == 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:], []byte{0x2a, 0x4d, 0x18})
}
