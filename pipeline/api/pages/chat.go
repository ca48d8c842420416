package pages

import (
	"errors"
	"slices"
	"strings"
)

// conversation is a record or document shown as a chat.
type conversation struct {
	Groups []group
	Rest   []value // fields that are not part of the chat
}

// group is a part of the chat: the chat itself, or one of the answers of a preference.
type group struct {
	Title string // "" for the chat itself
	Kind  string // good, bad, or ""
	Turns []turn
}

// turn is a message.
type turn struct {
	Role  string // system, user, assistant, tool, or what the producer called it
	Name  string
	Text  string
	Calls []call
}

// call is a tool call of a message.
type call struct{ Name, Arguments string }

// Shown returns the part of the text that is shown.
func (t turn) Shown() string { return short(maxShown, t.Text) }

// Side returns the side of the bubble.
func (t turn) Side() string {
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

// newConversation reads a record as a chat. ok is true if the record has messages; a system text
// alone is not enough.
func newConversation(record value) (c conversation, ok bool) {
	if record.Kind != objectKind {
		return c, false
	}
	used := []string{}
	for _, k := range messageKeys {
		v, found := record, true
		for _, key := range k.path {
			if v, found = v.get(key); !found {
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
	if preferences, found := record.get("completions"); found && ok {
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
func (c *conversation) add(title, kind string, turns []turn) {
	if n := len(c.Groups); n > 0 && c.Groups[n-1].Title == title {
		c.Groups[n-1].Turns = append(c.Groups[n-1].Turns, turns...)
		return
	}
	c.Groups = append(c.Groups, group{Title: title, Kind: kind, Turns: turns})
}

// addPreferences reads the completions [{score, completion}] of Gemini.
func (c *conversation) addPreferences(all value) bool {
	found := false
	for _, p := range all.Items {
		message, _ := p.get("completion")
		t, ok := newTurn(message)
		if !ok {
			continue
		}
		title, kind := "Not preferred", "bad"
		if s, _ := p.get("score"); s.Text == "1" || s.Text == "1.0" {
			title, kind = "Preferred", "good"
		}
		c.add(title, kind, []turn{t})
		found = true
	}
	return found
}

// systemTurns reads a system prompt beside the messages: a text, [{text}] or {parts [{text}]}.
func systemTurns(key string, v value) []turn {
	if !strings.HasPrefix(key, "system") {
		return nil
	}
	if parts, ok := v.get("parts"); ok {
		v = parts
	}
	if text := contentText(v); text != "" {
		return []turn{{Role: "system", Text: text}}
	}
	return nil
}

// messageTurns reads a list of messages. It returns nil if the value is not one.
func messageTurns(list value) (turns []turn) {
	if list.Kind != arrayKind {
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

func newTurn(m value) (t turn, ok bool) {
	if t.Role = m.text("role"); t.Role == "" {
		t.Role = m.text("from")
	}
	if t.Role == "" {
		return t, false
	}
	sent := t.Role
	if usual := roles[sent]; usual != "" {
		t.Role = usual
	}
	t.Name = m.text("name")
	for _, key := range []string{"content", "value", "parts"} {
		if v, found := m.get(key); found {
			t.Text = contentText(v)
			break
		}
	}
	if calls, found := m.get("tool_calls"); found {
		for _, c := range calls.Items {
			t.Calls = append(t.Calls, newCall(c))
		}
	}
	if sent == "function_call" { // ShareGPT has the call as the text
		if v, err := parseValue([]byte(t.Text)); err == nil && v.Kind == objectKind {
			t.Calls, t.Text = append(t.Calls, newCall(v)), ""
		}
	}
	return t, true
}

func newCall(c value) call {
	if f, ok := c.get("function"); ok {
		c = f
	}
	arguments, _ := c.get("arguments")
	text := arguments.Text
	if !arguments.Scalar() {
		text = arguments.compact()
	}
	return call{Name: c.text("name"), Arguments: short(maxShown, text)}
}

// contentText returns the text of the content of a message: a text, or parts. Parts that are not
// text appear as [type].
func contentText(v value) string {
	switch v.Kind {
	case stringKind:
		return v.Text
	case arrayKind:
		var texts []string
		for _, part := range v.Items {
			text, isText := part.get("text")
			switch {
			case part.Kind == stringKind:
				texts = append(texts, part.Text)
			case isText && text.Kind == stringKind:
				texts = append(texts, text.Text)
			case part.text("type") != "":
				texts = append(texts, "["+part.text("type")+"]")
			default:
				texts = append(texts, part.compact())
			}
		}
		return strings.Join(texts, "\n")
	case objectKind:
		return v.compact()
	}
	return ""
}

// chat reads a list of messages for a template. It returns nil if the document is not one.
func chat(document []byte) []turn {
	v, err := parseValue(document)
	if errors.Is(err, errManyValues) {
		return []turn{{Role: "as JSON", Text: string(document)}}
	}
	if err != nil {
		return nil
	}
	return messageTurns(v)
}
