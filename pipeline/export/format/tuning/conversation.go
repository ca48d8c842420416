package tuning

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/millrace/millrace/pipeline/export/format/record"
)

// conversation is what a model learns from a row: messages that end with an answer of the
// assistant. Every target writes it in its own shape. Texts are JSON strings, quoted and escaped,
// so that most are copied unchanged. They are views into the row or into the memory of the
// conversation, valid until the next row.
type conversation struct {
	system   []byte // nil if absent
	messages []message
	calls    []toolCall // of all messages
	tools    []byte     // the document of the row

	trimmed   bool // messages after the answer were cut off
	corrected bool // the answer is the corrected one

	record.Texts
	defined   []tuningTool // of tools, see readTools
	variables record.Variables
	scratch   []byte
	ids       []uint64
}

// message is a chat message. In a settled conversation, roles are user, assistant and tool.
type message struct {
	role  role
	text  []byte // nil if absent or blank; a tool may have a blank text
	first int    // the calls of the message are calls[first:last]
	last  int
	id    []byte // id of the call that a tool message answers; settle replaces it by call
	call  int
	fault string // reason to drop a row that has this message
}

type role byte

const (
	roleUnknown role = iota
	roleSystem
	roleUser
	roleAssistant
	roleTool
)

// toolCall is a call of a tool.
type toolCall struct {
	id        []byte // unique in a settled conversation
	name      []byte // no characters that JSON escapes
	arguments []byte // the JSON string of a JSON object
	answered  bool
}

// prepare reads the conversation of a row. After a drop or an error, the conversation must not be
// used.
func (c *conversation) prepare(row *record.Row, s *settings) (drop string) {
	c.Reset()
	c.system, c.messages, c.calls = nil, c.messages[:0], c.calls[:0]
	c.tools, c.trimmed, c.corrected = row.Subject().Tools, false, false
	if s.onlyRated && !row.HasFeedback || s.onlyThumbs && (!row.HasFeedback || len(row.Feedback.Rating) == 0) {
		return dropNotRated
	}
	if row.Node != nil {
		drop = c.ofNode(row.Node)
	} else {
		drop = c.ofRun(row)
	}
	if drop == "" && c.Err == nil {
		drop = c.settle(s)
	}
	if drop == "" && c.Err == nil {
		c.correct(row, s)
	}
	return drop
}

// ofRun reads the messages of a run, or else its system input, question and answer.
func (c *conversation) ofRun(row *record.Row) (drop string) {
	if drop = c.readMessages(row.Messages); drop != "" {
		return drop
	}
	if len(c.messages) > 0 {
		// Some producers have only the input of the model in messages, and its output in answer.
		if !slices.ContainsFunc(c.messages, func(m message) bool { return m.role == roleAssistant }) {
			c.add(roleAssistant, c.Quote(row.Answer))
		}
		return ""
	}
	system := c.systemInput(row.SystemInputs)
	if system == nil {
		system = c.systemInput(row.Inputs)
	}
	c.add(roleSystem, system)
	c.add(roleUser, c.Quote(row.Question))
	c.add(roleAssistant, c.Quote(row.Answer))
	return ""
}

func (c *conversation) add(role role, text []byte) {
	if text != nil {
		c.messages = append(c.messages, message{role: role, text: text})
	}
}

// systemInput returns the text under the key "system" of a document.
func (c *conversation) systemInput(doc []byte) []byte {
	if text := c.Member(doc, "system"); c.HasText(text) {
		return text
	}
	return nil
}

// settle cuts off the messages after the answer, checks the others against the rules, and repairs
// them.
func (c *conversation) settle(s *settings) (drop string) {
	end := len(c.messages) - 1
	for ; end >= 0; end-- {
		// An answer that is no text is still the answer: the one before it must not be taught.
		if m := &c.messages[end]; m.role == roleAssistant && (m.text != nil || m.fault == dropNotText) {
			break
		}
	}
	if end < 0 {
		return dropNoAssistant
	}
	c.trimmed = end < len(c.messages)-1
	kept, user := c.messages[:0], false
	open, closed := 0, 0 // calls[open:closed] are the calls of the latest message with calls
	for _, m := range c.messages[:end+1] {
		if m.role == roleSystem {
			if s.system != systemKept || m.fault == "" && m.text == nil {
				continue
			}
			if len(kept) > 0 {
				return dropSystem
			}
		}
		if m.fault != "" {
			return m.fault
		}
		if m.role == roleAssistant && m.text == nil && m.first == m.last {
			continue // the message is empty
		}
		if m.role != roleTool && slices.ContainsFunc(c.calls[open:closed], func(c toolCall) bool { return !c.answered }) {
			return dropUnanswered
		}
		switch m.role {
		case roleSystem:
			c.system = c.Join(c.system, m.text, record.BlankLine)
			continue
		case roleUser:
			if m.text == nil {
				return dropEmpty
			}
			user = true
		case roleAssistant:
			open, closed = m.first, m.last
		case roleTool:
			// A repeated id means the latest call. Calls of one message are answered in order.
			n := slices.IndexFunc(c.calls[open:closed], func(call toolCall) bool {
				return !call.answered &&
					bytes.Equal(call.id, m.id)
			})
			if n < 0 || m.id == nil {
				return dropOrphan
			}
			m.call = open + n
			c.calls[m.call].answered = true
		}
		kept = append(kept, m)
	}
	if !user {
		return dropNoUser
	}
	c.messages, c.calls = kept, c.calls[:closed]
	if s.system == systemReplaced {
		c.system = s.text
	}
	c.renumber()
	return ""
}

// renumber gives all calls new ids if an id of the conversation is missing or repeated. Ids have no
// meaning outside the conversation.
func (c *conversation) renumber() {
	missing := false
	c.ids = c.ids[:0]
	for i := range c.calls {
		missing = missing || len(c.calls[i].id) <= len(`""`)
		c.ids = append(c.ids, hashOf(c.calls[i].id))
	}
	slices.Sort(c.ids)
	if !missing && len(slices.Compact(c.ids)) == len(c.calls) {
		return
	}
	for i := range c.calls {
		from := len(c.Memory)
		c.Memory = append(strconv.AppendInt(append(c.Memory, `"call_`...), int64(i+1), 10), '"')
		c.calls[i].id = c.Memory[from:len(c.Memory):len(c.Memory)]
	}
}

// hashOf returns the FNV-1a hash of a text, 64 bits.
func hashOf(text []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, b := range text {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return h
}

// correct replaces the answer by the corrected one.
func (c *conversation) correct(row *record.Row, s *settings) {
	if s.original || !c.judged(row) {
		return
	}
	if text := c.Quote(row.Feedback.CorrectedAnswer); text != nil {
		answer := c.answer()
		answer.text, answer.last, c.corrected = text, answer.first, true
	}
}

// judged reports whether the feedback is on this answer. Feedback on a run is on the answer of the
// run, not on the outputs of its nodes.
func (c *conversation) judged(row *record.Row) bool {
	if !row.HasFeedback {
		return false
	}
	return row.Node == nil || row.Feedback.OnNode || bytes.Equal(bytes.TrimSpace(c.Text(c.answer().text)),
		bytes.TrimSpace(row.Answer))
}

// answer returns the last message, which the conversation teaches.
func (c *conversation) answer() *message { return &c.messages[len(c.messages)-1] }

// prompt returns the messages before the answer.
func (c *conversation) prompt() []message { return c.messages[:len(c.messages)-1] }

// promptOfModel reports whether the prompt ends with a message of the assistant.
func (c *conversation) promptOfModel() bool {
	prompt := c.prompt()
	return prompt[len(prompt)-1].role == roleAssistant
}

// cutCalls removes calls from the answer, for readers that do not allow them there. Their results
// were cut off.
func (c *conversation) cutCalls() {
	answer := c.answer()
	answer.last = answer.first
}

func (c *conversation) callsOf(m *message) []toolCall { return c.calls[m.first:m.last] }
