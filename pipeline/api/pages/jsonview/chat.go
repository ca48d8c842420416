package jsonview

import (
	"errors"
	"slices"
	"strings"
)

// Conversation is a record or document shown as a chat.
type Conversation struct {
	Groups []Group
	Rest   []Value // fields that are not part of the chat
}

// Group is a part of the chat: the chat itself, or one of the answers of a preference.
type Group struct {
	Title string // "" for the chat itself
	Kind  string // good, bad, or ""
	Turns []Turn
}

// Turn is a message.
type Turn struct {
	Role  string // system, user, assistant, tool, or what the producer called it
	Name  string
	Text  string
	Calls []Call
}

// Call is a tool call of a message.
type Call struct{ Name, Arguments string }

// Shown returns the part of the text that is shown.
func (t Turn) Shown() string { return Short(MaxShown, t.Text) }

// First returns the first words of the text.
func (t Turn) First() string {
	first, _, _ := strings.Cut(strings.TrimSpace(t.Text), "\n")
	return Short(100, first)
}

// Side returns the side of the bubble.
func (t Turn) Side() string {
	switch t.Role {
	case "user":
		return "right"
	case "system", "developer":
		return "wide"
	}
	return "left"
}

// roles maps the role names of formats to the usual ones.
var roles = map[string]string{"human": "user", "gpt": "assistant", "model": "assistant", "function_call": "assistant",
	"observation": "tool", "function": "tool"}

// messageKeys are the paths of messages in the records of all targets.
var messageKeys = []struct {
	path  []string
	title string
	kind  string
}{
	{path: []string{"system"}},
	{path: []string{"systemInstruction"}},
	{path: []string{"system_instruction"}},
	{path: []string{"messages"}},
	{path: []string{"conversations"}},
	{path: []string{"contents"}},
	{path: []string{"prompt"}},
	{path: []string{"input", "messages"}},
	{path: []string{"completion"}},
	{path: []string{"chosen"}, title: "Chosen", kind: "good"},
	{path: []string{"rejected"}, title: "Rejected", kind: "bad"},
	{path: []string{"preferred_output"}, title: "Preferred", kind: "good"},
	{path: []string{"non_preferred_output"}, title: "Not preferred", kind: "bad"},
}

// NewConversation reads a record as a chat. ok is true if the record has messages; a system text
// alone is not enough.
func NewConversation(record Value) (c Conversation, ok bool) {
	if record.Kind != Object {
		return c, false
	}
	used := []string{}
	for _, k := range messageKeys {
		v, found := record, true
		for _, key := range k.path {
			if v, found = v.Get(key); !found {
				break
			}
		}
		if !found {
			continue
		}
		turns := systemTurns(k.path[0], v)
		if turns == nil {
			if turns = messageTurns(v); turns == nil {
				continue
			}
			ok = true
		}
		used = append(used, k.path[0])
		c.add(k.title, k.kind, turns)
	}
	if preferences, found := record.Get("completions"); found && ok {
		if c.addPreferences(preferences) {
			used = append(used, "completions")
		}
	}
	for _, item := range record.Items {
		switch {
		case !slices.Contains(used, item.Key):
			c.Rest = append(c.Rest, item)
		case item.Key == "input": // it has tools beside messages
			for _, other := range item.Items {
				if other.Key != "messages" {
					c.Rest = append(c.Rest, other)
				}
			}
		}
	}
	return c, ok
}

// add adds turns to the last group if it has this title, or else to a new group.
func (c *Conversation) add(title, kind string, turns []Turn) {
	if n := len(c.Groups); n > 0 && c.Groups[n-1].Title == title {
		c.Groups[n-1].Turns = append(c.Groups[n-1].Turns, turns...)
		return
	}
	c.Groups = append(c.Groups, Group{Title: title, Kind: kind, Turns: turns})
}

// addPreferences reads the completions [{score, completion}] of Gemini.
func (c *Conversation) addPreferences(all Value) bool {
	found := false
	for _, p := range all.Items {
		message, _ := p.Get("completion")
		t, ok := newTurn(message)
		if !ok {
			continue
		}
		title, kind := "Not preferred", "bad"
		if s, _ := p.Get("score"); s.Text == "1" || s.Text == "1.0" {
			title, kind = "Preferred", "good"
		}
		c.add(title, kind, []Turn{t})
		found = true
	}
	return found
}

// systemTurns reads a system prompt beside the messages: a text, [{text}] or {parts [{text}]}.
func systemTurns(key string, v Value) []Turn {
	if !strings.HasPrefix(key, "system") {
		return nil
	}
	if parts, ok := v.Get("parts"); ok {
		v = parts
	}
	if text := contentText(v); text != "" {
		return []Turn{{Role: "system", Text: text}}
	}
	return nil
}

// messageTurns reads a list of messages. It returns nil if the value is not one.
func messageTurns(list Value) (turns []Turn) {
	if list.Kind != Array {
		return nil
	}
	for _, m := range list.Items {
		t, ok := newTurn(m)
		if !ok {
			return nil
		}
		turns = append(turns, t)
	}
	return turns
}

func newTurn(m Value) (t Turn, ok bool) {
	if t.Role = m.TextOf("role"); t.Role == "" {
		t.Role = m.TextOf("from")
	}
	if t.Role == "" {
		return t, false
	}
	sent := t.Role
	if usual := roles[sent]; usual != "" {
		t.Role = usual
	}
	t.Name = m.TextOf("name")
	for _, key := range []string{"content", "value", "parts"} {
		if v, found := m.Get(key); found {
			t.Text = contentText(v)
			break
		}
	}
	if calls, found := m.Get("tool_calls"); found {
		for _, c := range calls.Items {
			t.Calls = append(t.Calls, newCall(c))
		}
	}
	if sent == "function_call" { // ShareGPT has the call as the text
		if v, err := Parse([]byte(t.Text)); err == nil && v.Kind == Object {
			t.Calls, t.Text = append(t.Calls, newCall(v)), ""
		}
	}
	return t, true
}

func newCall(c Value) Call {
	if f, ok := c.Get("function"); ok {
		c = f
	}
	arguments, _ := c.Get("arguments")
	text := arguments.Text
	if !arguments.Scalar() {
		text = arguments.Compact()
	}
	return Call{Name: c.TextOf("name"), Arguments: Short(MaxShown, text)}
}

// contentText returns the text of the content of a message: a text, or parts. Parts that are not
// text appear as [type].
func contentText(v Value) string {
	switch v.Kind {
	case String:
		return v.Text
	case Array:
		var texts []string
		for _, part := range v.Items {
			text, isText := part.Get("text")
			switch {
			case part.Kind == String:
				texts = append(texts, part.Text)
			case isText && text.Kind == String:
				texts = append(texts, text.Text)
			case part.TextOf("type") != "":
				texts = append(texts, "["+part.TextOf("type")+"]")
			default:
				texts = append(texts, part.Compact())
			}
		}
		return strings.Join(texts, "\n")
	case Object:
		return v.Compact()
	}
	return ""
}

// Chat reads a list of messages for a template. It returns nil if the document is not one.
func Chat(document []byte) []Turn {
	v, err := Parse(document)
	if errors.Is(err, ErrManyValues) {
		return []Turn{{Role: "as JSON", Text: string(document)}}
	}
	if err != nil {
		return nil
	}
	return messageTurns(v)
}
