// Package chatlog reads logs of chats in the format of OpenAI's chat completions, one chat a line,
// as run events of a copilot. It is pure: it knows neither files nor Kafka.
//
//	chatlog.go   Converter: from a line to the data of a run event
//	line.go      reading a line
//
// A line is an object with messages, and optionally tools, as in a request or in a line of training
// data (https://platform.openai.com/docs/api-reference/chat/create). It may have id, model,
// created, created_at or timestamp, metadata, user and session_id. Other keys are ignored.
package chatlog

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/pipeline/jsonscan"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// Converter turns lines into run events. It is not safe for concurrent use.
type Converter struct {
	// Workspace and App are the ids of the workspace and of the copilot. They must be valid.
	Workspace, App string
	// Base gives a time to lines without one: line n started n milliseconds after Base. Convert
	// refuses such lines if Base is zero.
	Base time.Time
	// Ignored counts the lines that have a key which Convert does not read, by key, up to 100 keys.
	Ignored map[string]int

	r strictjson.Reader
}

// Run is a run of a log.
type Run struct {
	RunID     string
	StartedAt time.Time // UTC, to the millisecond
	Data      []byte    // of an event of type runs.TypeRun
}

// Convert returns the run of a line. The number is that of the line in its log, from 1. The same
// line gives the same run. The error is a *strictjson.Refusal with the field and the rule.
//
//   - run_id is a UUIDv5 of the workspace, the app, and the line's id or else its text. If the line
//     has no time, run_id depends on started_at too: a run has one started_at for ever, and Base
//     may differ between two readings of a log.
//   - started_at and updated_at are the first of created, created_at and timestamp that the line
//     has: a time of RFC 3339, or seconds or milliseconds since 1970.
//   - question is the text of the first message of a user that has text, and answer the text of the
//     last message of the assistant. The text of content in parts is that of the parts of type
//     text, joined by line breaks. messages and tools are as sent.
//     A refusal and the transcript of a sound are part of the text of the assistant.
//   - request_id is the line's id, user_id its user; session_id, model and metadata are those of
//     the line. source is copilot, status is succeeded.
func (c *Converter) Convert(line []byte, number int) (Run, error) {
	c.r.Reset(line, "", strictjson.MaxDepth)
	chat := chat{r: &c.r}
	content, err := c.r.Capture(chat.read)
	if err == nil {
		err = c.r.End()
	}
	if err != nil {
		return Run{}, err
	}
	c.ignore(chat.ignored)
	started, timed := chat.time()
	if !timed {
		if c.Base.IsZero() {
			return Run{}, c.r.RefuseField(strictjson.MissingField, "created",
				"the line has no time, and neither has its log: add created, in seconds since 1970, "+
					"or read the log from a file, whose time of modification is used")
		}
		started = c.Base.UTC().Truncate(time.Millisecond).Add(time.Duration(number) * time.Millisecond)
		if !isValidTime(started.UnixMilli()) {
			return Run{}, c.r.RefuseField(strictjson.OutOfRange, "created",
				"the line has no time, and the time of its log is not from 1970 to 2199: add created, in seconds since 1970")
		}
	}
	id := c.runID(&chat, content, started, timed)
	return Run{RunID: id, StartedAt: started, Data: c.data(&chat, id, started)}, nil
}

// maxIgnored and maxKey bound the memory for keys, in case every line has others, or long ones.
const (
	maxIgnored = 100
	maxKey     = 128 // bytes
)

func (c *Converter) ignore(keys []string) {
	if c.Ignored == nil {
		c.Ignored = map[string]int{}
	}
	for _, key := range keys {
		if len(key) > maxKey {
			key = strings.ToValidUTF8(key[:maxKey], "") + "…"
		}
		if _, known := c.Ignored[key]; known {
			c.Ignored[key]++
		} else if len(c.Ignored) < maxIgnored {
			c.Ignored[strings.Clone(key)] = 1 // the key is a part of its line, which may be large
		}
	}
}

// namespace is the UUID namespace of run ids, 8a7896eb-2be2-5ae7-91c6-c178df4a5d08: the UUIDv5 of
// https://github.com/millrace/millrace/chatlog in the namespace of URLs (RFC 9562, section 6.6).
var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/millrace/millrace/chatlog"))

func (c *Converter) runID(chat *chat, content string, started time.Time, timed bool) string {
	name := c.Workspace + "/" + c.App // neither has a slash
	if chat.id != "" {
		name += "/id/" + chat.id
	} else {
		sum := sha256.Sum256([]byte(content))
		name += "/text/" + hex.EncodeToString(sum[:])
	}
	if !timed {
		name = strconv.FormatInt(started.UnixMilli(), 10) + "/" + name
	}
	return uuid.NewSHA1(namespace, []byte(name)).String()
}

// data returns the data of the run's event.
func (c *Converter) data(chat *chat, id string, started time.Time) []byte {
	dst := make([]byte, 0, 1024+len(chat.messages)+len(chat.tools)+len(chat.question)+len(chat.answer))
	text := func(key, value string) {
		if value != "" {
			dst = append(append(append(dst, ',', '"'), key...), '"', ':')
			dst = jsonscan.AppendString(dst, []byte(value))
		}
	}
	document := func(key, value string) {
		if value != "" {
			dst = append(append(append(dst, ',', '"'), key...), '"', ':')
			dst = append(dst, value...)
		}
	}
	dst = append(dst, `{"workspace_id":`...)
	dst = jsonscan.AppendString(dst, []byte(c.Workspace))
	text("run_id", id)
	text("source", "copilot")
	text("app_id", c.App)
	text("status", "succeeded")
	dst = append(dst, `,"started_at":`...)
	dst = jsonscan.AppendTime(dst, started.UnixMilli())
	dst = append(dst, `,"updated_at":`...)
	dst = jsonscan.AppendTime(dst, started.UnixMilli())
	text("request_id", chat.id)
	text("session_id", chat.session)
	text("user_id", chat.user)
	text("model", chat.model)
	text("question", chat.question)
	text("answer", chat.answer)
	document("messages", chat.messages)
	document("tools", chat.tools)
	document("metadata", chat.metadata)
	return append(dst, '}')
}

// isValidTime reports whether milliseconds since 1970 are a time of the contract, 1970 to 2199.
func isValidTime(ms int64) bool { return ms >= 0 && ms < maxTime }

// maxTime is the begin of the year 2200, in milliseconds since 1970.
var maxTime = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
