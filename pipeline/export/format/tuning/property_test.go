package tuning_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// conversations is how many random conversations every target gets. With -short, it gets a tenth.
const conversations = 10_000

// Conversations are of every shape that the types of OpenAI's client allow, in requests and in
// answers: ChatCompletionMessageParam, ChatCompletionMessage and ChatCompletionTool. What a message
// says has a text of its own, so that a record shows where it went: into the record, or into a
// warning. A conversation without a record is dropped for a reason that the target tells of.
func TestNothingOfAConversationDisappearsUncounted(t *testing.T) {
	t.Parallel()
	all := make([]*chat, conversations)
	if testing.Short() {
		all = all[:conversations/10]
	}
	for i := range all {
		all[i] = randomChat(rand.New(rand.NewPCG(7, uint64(i))))
	}
	var mutex sync.Mutex
	seen := map[string]bool{}
	t.Run("targets", func(t *testing.T) {
		for _, v := range tuningVariants {
			if _, replaces := v.options["system"]; replaces {
				continue // the request says what happens to the system message
			}
			t.Run(v.schema, func(t *testing.T) {
				warned := countedChats(t, v.schema, v.target, v.options, all)
				mutex.Lock()
				defer mutex.Unlock()
				maps.Copy(seen, warned)
			})
		}
	})
	for _, code := range []string{format.TrimmedTail, format.AnswerElsewhere, format.RefusalAsText, format.SoundAsText,
		format.NoReasoning, format.NoName, format.NoEmptyMessage, format.NoCalls, format.NoTools, format.NoField} {
		if !seen[code] {
			t.Errorf("no conversation of any target warns of %s", code)
		}
	}
}

// countedChats sends conversations through a target and returns the codes of its warnings.
func countedChats(t *testing.T, name, target string, options map[string]any, all []*chat) map[string]bool {
	t.Helper()
	told, err := targets.Find(format.FineTuning, target)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{}
	maps.Copy(values, options)
	if _, pairs := values["pairs_per_input"]; !pairs {
		values["dedupe"] = false
	}
	o := &formattest.Outcome{Dropped: map[string]int64{}, Warned: map[string]int64{}}
	s, err := targets.NewStream(format.FineTuning, target, values, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	written, codes := 0, map[string]bool{}
	for i, c := range all {
		o.Records, o.Lineage, o.Partitions = o.Records[:0], nil, nil
		clear(o.Dropped)
		clear(o.Warned)
		row := formattest.Rated(withTools(formattest.ChatRow(c.messages), c.tools), "thumbsUp")
		row.Answer, row.Feedback.CorrectedAnswer = []byte(c.answer), nil
		if values["pairs_per_input"] != nil {
			row.Feedback.CorrectedAnswer = []byte("something better")
		}
		if err := s.Row(row); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for reason := range o.Dropped {
			if !slices.ContainsFunc(told.Drops, func(d format.Drop) bool { return d.Reason == reason }) {
				t.Fatalf("%s is no reason that %s tells of", reason, target)
			}
		}
		if len(o.Records)+len(o.Dropped) != 1 {
			t.Fatalf("conversation %d: %d records, dropped %v", i, len(o.Records), o.Dropped)
		}
		if len(o.Records) == 0 {
			continue
		}
		written++
		for code := range o.Warned {
			codes[code] = true
		}
		if lost := c.lost(name, string(o.Records[0]), o.Warned); lost != "" {
			t.Fatalf("conversation %d: %s\nsource  %s\ntools   %s\nrecord  %s\nwarned  %v", i, lost, c.messages, c.tools,
				o.Records[0], o.Warned)
		}
	}
	if written < len(all)/200 {
		t.Errorf("only %d of %d conversations have a record: nothing is shown", written, len(all))
	}
	return codes
}

// chat is a conversation and what it says.
type chat struct {
	messages, tools, answer string
	said                    []saying
	weights                 []int // of each message: -1 for none
	random                  *rand.Rand
	count                   int
}

// saying is something that a message says or has.
type saying struct {
	message int    // -1 for definitions of tools
	text    string // "" for a message that says nothing
	missing string // the warnings of which one counts it where it is not in the record; "" for what must be there
	told    string // the warning that there must be where it is in the record
}

// lost returns what is neither in the record nor in a warning.
func (c *chat) lost(target, text string, warned map[string]int64) string {
	end := -1 // the last message that the record has
	for _, s := range c.said {
		if s.text != "" && strings.Contains(text, s.text) {
			end = max(end, s.message)
		}
	}
	for _, s := range c.said {
		switch found := s.text != "" && strings.Contains(text, s.text); {
		case found && s.told != "" && warned[s.told] == 0:
			return s.text + " is in the record without the warning " + s.told
		case found || slices.ContainsFunc(strings.Fields(s.missing), func(code string) bool { return warned[code] > 0 }) ||
			s.message > end && warned[format.TrimmedTail] > 0:
		default:
			return fmt.Sprintf("%q of message %d is neither in the record nor in a warning", s.text, s.message)
		}
	}
	zero := 0
	for i, weight := range c.weights[:end+1] {
		if weight == 0 && slices.ContainsFunc(c.said, func(s saying) bool {
			return s.message == i && s.text != "" && strings.Contains(text, s.text)
		}) {
			zero++
		}
	}
	switch got := strings.Count(text, `"weight":0`); target {
	case "openai_chat", "mistral":
		if got != zero {
			return fmt.Sprintf("%d messages have weight 0, not %d", got, zero)
		}
	case "together", "together_tools":
		if (got > 0) != (zero > 0) {
			return fmt.Sprintf("%d messages have weight 0, not %d", got, zero)
		}
	case "bedrock_conversation", "bedrock_distillation", "gemini", "sharegpt":
		if zero > 0 {
			return "an answer of weight 0 would be learnt"
		}
	default:
		if c.weights[end] == 0 {
			return "the answer that is learnt has weight 0"
		}
	}
	return ""
}

// randomChat returns a conversation of mostly usual order.
func randomChat(r *rand.Rand) *chat {
	c := &chat{random: r}
	var all []object
	add := func(m object) {
		if c.chance(3) {
			m["x_score"] = object{"of": c.says(len(all), format.NoField, "")}
		}
		all = append(all, m)
	}
	for range r.IntN(3) {
		add(c.system(len(all), []string{"system", "developer"}[r.IntN(2)]))
	}
	for range 1 + r.IntN(3) {
		for range 1 + r.IntN(2)*r.IntN(2) {
			add(c.user(len(all)))
		}
		for range 1 + r.IntN(2) {
			m := c.assistant(len(all))
			add(m)
			calls, _ := m["tool_calls"].([]object)
			for _, call := range calls {
				if !c.chance(6) {
					add(c.tool(len(all), call["id"].(string)))
				}
			}
			if len(calls) == 0 && r.IntN(3) > 0 {
				break
			}
		}
	}
	if c.chance(6) {
		add(c.system(len(all), "system"))
	}
	if c.chance(2) {
		add(object{"role": "function", "name": "f", "content": c.says(len(all), "", "")})
	}
	c.messages = encoded(all)
	for len(c.weights) < len(all)+1 {
		c.weights = append(c.weights, -1)
	}
	if c.chance(10) {
		c.answer = c.says(len(all), format.AnswerElsewhere, "")
	}
	var tools []object
	for range max(0, r.IntN(5)-2) {
		tools = append(tools, c.definition())
	}
	if tools != nil {
		c.tools = encoded(tools)
	}
	return c
}

type object = map[string]any

func encoded(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// chance is true so many times of a hundred.
func (c *chat) chance(percent int) bool { return c.random.IntN(100) < percent }

// says returns a text of its own.
func (c *chat) says(message int, missing, told string) string {
	c.count++
	text := fmt.Sprintf("t%03dz", c.count)
	c.said = append(c.said, saying{message, text, missing, told})
	return text
}

func (c *chat) text(message int) string { return c.says(message, "", "") }

// parts returns a text, or parts of content that have texts.
func (c *chat) parts(message int) any {
	if c.chance(70) {
		return c.text(message)
	}
	var parts []any
	for range 1 + c.random.IntN(2) {
		part := object{"type": "text", "text": c.text(message)}
		if c.chance(5) {
			part["cache_control"] = object{"type": c.says(message, format.NoField, "")}
		}
		parts = append(parts, part)
	}
	return parts
}

func (c *chat) name(m object, message int) {
	if c.chance(10) {
		m["name"] = c.says(message, format.NoName, "")
	}
}

func (c *chat) empty(message int) []any {
	c.said = append(c.said, saying{message: message, missing: format.NoEmptyMessage})
	return []any{nil, "", []any{}, " \n"}
}

func (c *chat) system(message int, role string) object {
	m := object{"role": role}
	if c.chance(5) {
		m["content"] = c.empty(message)[c.random.IntN(4)]
		return m
	}
	m["content"] = c.parts(message)
	c.name(m, message)
	return m
}

func (c *chat) user(message int) object {
	m := object{"role": "user"}
	c.name(m, message)
	switch {
	case c.chance(2):
		others := []object{{"type": "image_url", "image_url": object{"url": "u"}},
			{"type": "input_audio", "input_audio": object{"data": "d", "format": "wav"}},
			{"type": "file", "file": object{"file_id": "f"}}}
		m["content"] = []any{object{"type": "text", "text": c.text(message)}, others[c.random.IntN(3)]}
	case c.chance(1):
		m["content"] = ""
	default:
		m["content"] = c.parts(message)
	}
	return m
}

func (c *chat) assistant(message int) object {
	m := object{"role": "assistant"}
	for len(c.weights) < message {
		c.weights = append(c.weights, -1)
	}
	c.weights = append(c.weights, -1)
	if c.chance(15) {
		c.weights[message] = c.random.IntN(2)
		m["weight"] = c.weights[message]
	}
	c.name(m, message)
	if c.chance(8) {
		m[[]string{"reasoning", "reasoning_content"}[c.random.IntN(2)]] = c.says(message, format.NoReasoning, "")
	}
	if c.chance(4) {
		m["annotations"] = []any{object{"type": "url_citation", "url": c.says(message, format.NoField, "")}}
	}
	kind := c.random.IntN(100)
	switch {
	case kind < 60:
		m["content"] = c.parts(message)
	case kind < 65:
		m["content"], m["refusal"] = nil, c.says(message, "", format.RefusalAsText)
	case kind < 68:
		m["content"] = []any{object{"type": "text", "text": c.text(message)},
			object{"type": "refusal", "refusal": c.says(message, "", format.RefusalAsText)}}
	case kind < 73:
		m["content"] = nil
		m["audio"] = object{"id": "a", "data": "d", "transcript": c.says(message, "", format.SoundAsText)}
	case kind < 74:
		m["audio"] = object{"id": "a"}
	case kind < 78:
		m["content"] = c.empty(message)[c.random.IntN(4)]
	case kind < 79:
		m["content"], m["function_call"] = nil, object{"name": "f", "arguments": "{}"}
	default:
		m["tool_calls"] = c.calls(message)
		if c.chance(30) {
			m["content"] = c.parts(message)
		}
	}
	return m
}

func (c *chat) calls(message int) (calls []object) {
	for i := range 1 + c.random.IntN(2) {
		call := object{"id": fmt.Sprintf("call%d-%d", message, i), "type": "function", "function": object{"name": "f",
			"arguments": fmt.Sprintf(`{"q": %q}`, c.says(message, format.NoCalls, ""))}}
		switch {
		case c.chance(2):
			call["type"], call["custom"] = "custom", object{"name": "f", "input": "x"}
			delete(call, "function")
		case c.chance(3):
			call["index"] = c.says(message, format.NoField, "")
		}
		calls = append(calls, call)
	}
	return calls
}

func (c *chat) tool(message int, id string) object {
	m := object{"role": "tool", "tool_call_id": id, "content": ""}
	if !c.chance(10) {
		m["content"] = c.parts(message)
	}
	if m["name"] = "f"; c.chance(50) {
		delete(m, "name")
		c.name(m, message)
	}
	return m
}

func (c *chat) definition() object {
	parameters := object{"type": "object", "properties": object{"q": object{"type": "string",
		"description": c.says(-1, format.NoTools, "")}}}
	function := object{"name": "f", "parameters": parameters}
	switch {
	case c.chance(5):
		parameters["type"] = "array"
	case c.chance(5):
		function["returns"] = object{"is": c.says(-1, format.NoField+" "+format.NoTools, "")}
	case c.chance(20):
		function["strict"], parameters["required"], parameters["additionalProperties"] = true, []string{"q"}, false
	}
	return object{"type": "function", "function": function}
}
