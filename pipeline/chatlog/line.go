package chatlog

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// roles are the roles of OpenAI's messages.
var roles = []string{"system", "developer", "user", "assistant", "tool", "function"}

// timeKeys are the keys that may hold the time of a line. The first that the line has counts.
var timeKeys = []string{"created", "created_at", "timestamp"}

// chat is the content of a line. A key with the value null counts as absent.
type chat struct {
	r *strictjson.Reader

	id, model, user, session  string
	messages, tools, metadata runs.Doc
	question, answer          string
	times                     [3]time.Time // by timeKeys
	ignored                   []string     // other keys with a value
}

// time returns the time of the line, if it has one.
func (c *chat) time() (t time.Time, ok bool) {
	for _, t := range c.times {
		if !t.IsZero() {
			return t, true
		}
	}
	return t, false
}

// read reads the line.
func (c *chat) read() error {
	count := 0
	err := c.r.Object(func(key string) (err error) {
		if c.r.Kind() == strictjson.Null {
			return c.r.Null()
		}
		switch key {
		case "messages":
			c.messages, err = c.r.Capture(func() error {
				return c.r.Array(func(i int) error { count++; return c.message() })
			})
		case "tools":
			c.tools, err = c.r.Capture(c.objects)
		case "metadata":
			c.metadata, err = c.r.Capture(func() error {
				return c.r.Object(func(string) error { _, err := c.r.Text(); return err })
			})
		case "id":
			c.id, err = c.identifier()
		case "model":
			c.model, err = c.r.Text()
		case "user":
			c.user, err = c.r.Text()
		case "session_id":
			c.session, err = c.r.Text()
		default:
			if i := slices.Index(timeKeys, key); i >= 0 {
				c.times[i], err = c.timestamp()
				return err
			}
			if len(c.ignored) < maxIgnored {
				c.ignored = append(c.ignored, key)
			}
			return c.r.Skip()
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case c.messages == "":
		return c.r.RefuseField(strictjson.MissingField, "messages",
			`is required: a line is {"messages": [{"role": "user", "content": "…"}, …]}; `+
				`run events are replayed without --as`)
	case count == 0:
		return c.r.RefuseField(strictjson.MissingField, "messages", "must have a message; leave out lines of empty chats")
	}
	if err := c.checkLength("question", c.question); err != nil {
		return err
	}
	return c.checkLength("answer", c.answer)
}

// checkLength refuses a text whose parts are valid but are together longer than a string of a run
// may be.
func (c *chat) checkLength(what, text string) error {
	if len(text) <= strictjson.MaxString {
		return nil
	}
	return c.r.RefuseField(strictjson.TooLarge, "messages", "the text parts of the "+what+" have "+strconv.Itoa(len(text))+
		" bytes together; a text may have "+strconv.Itoa(strictjson.MaxString))
}

// message reads a message. It keeps the text if that is the question, or may be the answer.
func (c *chat) message() error {
	var role, text, refusal, transcript string
	err := c.r.Object(func(key string) (err error) {
		switch key {
		case "role":
			if role, err = c.r.Text(); err == nil && !slices.Contains(roles, role) {
				return c.r.Refuse(strictjson.WrongType, "must be one of "+strings.Join(roles, ", "))
			}
			return err
		case "content":
			text, err = c.content()
			return err
		case "refusal":
			refusal, err = c.optional()
			return err
		case "audio":
			transcript, err = c.transcript()
			return err
		case "tool_calls":
			return c.objects()
		case "tool_call_id", "name":
			if c.r.Kind() == strictjson.Null {
				return c.r.Null()
			}
			_, err := c.r.Text()
			return err
		}
		return c.r.Skip()
	})
	switch {
	case err != nil:
		return err
	case role == "":
		return c.r.RefuseField(strictjson.MissingField, "role", "is required: one of "+strings.Join(roles, ", "))
	case role == "user" && c.question == "":
		c.question = text
	case role == "assistant":
		for _, more := range []string{refusal, transcript} {
			if more != "" && more != text {
				text = strings.TrimPrefix(text+"\n"+more, "\n")
			}
		}
		if text != "" {
			c.answer = text
		}
	}
	return nil
}

// optional reads a text; a value of another type counts as none.
func (c *chat) optional() (string, error) {
	if c.r.Kind() != strictjson.String {
		return "", c.r.Skip()
	}
	return c.r.Text()
}

// transcript reads the sound of a message and returns its transcript, if it has one.
func (c *chat) transcript() (text string, err error) {
	if c.r.Kind() != strictjson.Object {
		return "", c.r.Skip()
	}
	err = c.r.Object(func(key string) (err error) {
		if key != "transcript" {
			return c.r.Skip()
		}
		text, err = c.optional()
		return err
	})
	return text, err
}

// content reads the content of a message and returns its text.
func (c *chat) content() (string, error) {
	switch got := c.r.Kind(); got {
	case strictjson.String:
		return c.r.Text()
	case strictjson.Null:
		return "", c.r.Null()
	case strictjson.Array:
	case strictjson.Invalid:
		return "", c.r.Skip() // the refusal says what is wrong
	default:
		return "", c.r.WrongType("must be a string, an array of parts or null, not " + got.String())
	}
	var texts []string
	err := c.r.Array(func(int) error {
		text, err := c.part()
		if text != "" {
			texts = append(texts, text)
		}
		return err
	})
	return strings.Join(texts, "\n"), err
}

// part reads a part of a message's content and returns its text, "" for parts of other types.
func (c *chat) part() (text string, err error) {
	kind, isText := "text", false // a part without a type counts as text
	err = c.r.Object(func(key string) (err error) {
		switch {
		case key == "type":
			kind, err = c.r.Text()
			return err
		case (key == "text" || key == "refusal") && c.r.Kind() == strictjson.String:
			isText = true
			text, err = c.r.Text()
			return err
		}
		return c.r.Skip()
	})
	switch {
	case err != nil:
		return "", err
	case kind != "text" && kind != "refusal":
		return "", nil
	case !isText:
		return "", c.r.RefuseField(strictjson.WrongType, "text", "a part of type text has a text, which must be a string")
	}
	return text, nil
}

// objects reads an array of objects, or null.
func (c *chat) objects() error {
	if c.r.Kind() == strictjson.Null {
		return c.r.Null()
	}
	return c.r.Array(func(int) error {
		return c.r.Object(func(string) error { return c.r.Skip() })
	})
}

// identifier reads a text, or a number as its digits.
func (c *chat) identifier() (string, error) {
	if c.r.Kind() == strictjson.Number {
		return c.r.Numeral()
	}
	return c.r.Text()
}

const timeRule = "must be seconds or milliseconds since 1970, or an RFC 3339 time such as 2026-01-31T23:59:59Z"

// timestamp reads a time, to the millisecond. Numbers from 1e11 on are milliseconds: as seconds
// they would be after
// 2199. Smaller numbers are seconds: as milliseconds they would be before 1974.
func (c *chat) timestamp() (time.Time, error) {
	switch c.r.Kind() {
	case strictjson.Number:
		numeral, err := c.r.Numeral()
		if err != nil {
			return time.Time{}, err
		}
		ms, _ := strconv.ParseFloat(numeral, 64) // a number that is too large becomes infinite, and is refused
		if math.Abs(ms) < 1e11 {
			ms *= 1000
		}
		if ms = math.Round(ms); ms < 0 || ms >= float64(maxTime) {
			return time.Time{}, c.r.Refuse(strictjson.OutOfRange, timeRule+", from 1970 to 2199")
		}
		return time.UnixMilli(int64(ms)).UTC(), nil
	case strictjson.String:
		text, err := c.r.Text()
		if err != nil {
			return time.Time{}, err
		}
		t, wrong, readable := runs.ParseTimestamp(text)
		switch {
		case wrong == "":
			return t.Truncate(time.Millisecond), nil
		case readable:
			return time.Time{}, c.r.Refuse(strictjson.WrongType, timeRule)
		}
		return time.Time{}, c.r.Refuse(strictjson.OutOfRange, timeRule+", from 1970 to 2199")
	}
	return time.Time{}, c.r.WrongType(timeRule)
}
