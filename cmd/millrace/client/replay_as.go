package client

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/chatlog"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// asOpenAIChat is the value of --as for logs of chats.
const asOpenAIChat = "openai-chat"

// validateAs checks --as and the flags that go with it.
func (c *Replay) validateAs() error {
	switch {
	case c.As == "" && (c.App != "" || c.Workspace != ""):
		return errors.New("--app and --workspace are for --as " + asOpenAIChat + ": run events name their own")
	case c.As == "":
		return nil
	case c.As != asOpenAIChat:
		return fmt.Errorf("--as must be %s, or left out for run events", asOpenAIChat)
	case c.App == "":
		return errors.New("--as " + asOpenAIChat + " needs --app, the id of the copilot")
	case !runs.ValidID(c.App):
		return errors.New("--app must match [A-Za-z0-9][A-Za-z0-9._:~-]{0,127}")
	}
	return nil
}

// what names the kind of the lines, for messages.
func (c *Replay) what() string {
	if c.As == asOpenAIChat {
		return "chats in OpenAI's shape"
	}
	return "run events"
}

// reader returns the lineReader for the format that --as names.
func (c *Replay) reader(p *Publisher, workspace string) lineReader {
	return func(modified time.Time) func(line []byte, number int) (*kgo.Record, error) {
		if c.As == "" {
			return func(line []byte, _ int) (*kgo.Record, error) {
				record, decoded, err := p.checker.Record(line)
				if err == nil {
					c.apps.add(decoded)
				}
				return record, err
			}
		}
		converter := &chatlog.Converter{Workspace: workspace, App: c.App, Base: modified, Ignored: c.ignored}
		return func(line []byte, number int) (*kgo.Record, error) {
			record, err := chatRecord(converter, line, number)
			if err == nil {
				c.apps[runApp{workspace, "copilot", c.App}] = true
			}
			return record, err
		}
	}
}

// tellIgnored prints the keys of chats that runs have no place for.
func (c *Replay) tellIgnored(w io.Writer) {
	for _, key := range slices.Sorted(maps.Keys(c.ignored)) {
		fmt.Fprintf(w, "ignored %q in %d lines: a run has no place for it\n", key, c.ignored[key])
	}
}

// chatRecord reads a line as a chat and returns the record of its run. The same line always gives
// the same record, so a log may be replayed again.
func chatRecord(converter *chatlog.Converter, line []byte, number int) (*kgo.Record, error) {
	run, err := converter.Convert(line, number)
	if err != nil {
		return nil, err
	}
	if len(run.Data) > event.MaxValue {
		return nil, &strictjson.Refusal{
			Code: strictjson.TooLarge,
			Rule: fmt.Sprintf("the run event of a chat may have %d bytes; this one has %d", event.MaxValue, len(run.Data)),
		}
	}
	e := event.Event{ID: run.RunID, Source: "millrace/replay", Type: runs.TypeRun, Subject: run.RunID, Time: run.StartedAt,
		Data: run.Data}
	return e.Record("", []byte(converter.Workspace+"/"+run.RunID)), nil
}
