package tuning

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/tuning/toolschema"
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

	reader    *reader
	notes     notes
	corrected bool // the answer is the corrected one

	record.Texts
	defined   []tuningTool // of tools, see readTools
	schemas   toolschema.Checker
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
	name  []byte // a JSON string; nil if absent
	notes notes
	fault string // reason to drop a row that has this message
	weight
}

// weight is whether an answer is learnt.
type weight byte

const (
	weightDefault weight = iota // it is
	weightZero
	weightOne
)

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
	c.tools, c.reader, c.notes, c.corrected = row.Subject().Tools, &s.reader, 0, false
	if s.onlyRated && !isRated(row) || s.onlyThumbs && (!row.HasFeedback || len(row.Feedback.Rating) == 0) {
		return dropNotRated
	}
	if row.Node != nil {
		drop = c.ofNode(row.Node)
	} else {
		drop = c.ofRun(row)
	}
	if drop == "" && c.Err == nil {
		drop = c.settle(s, s.reader.lastCalls && !s.corrects(row))
	}
	if drop == "" && c.Err == nil {
		c.correct(row, s)
		c.takeNotes()
		drop = c.weigh()
	}
	return drop
}

// isRated reports whether the feedback of a row is a verdict, and not a comment alone.
func isRated(row *record.Row) bool {
	f := &row.Feedback
	return row.HasFeedback && (len(f.Rating) > 0 || f.Score.Valid || len(f.Scores) > 0 ||
		!record.IsBlank(f.CorrectedAnswer))
}

// ofRun reads the messages of a run, or else its system input, question and answer.
func (c *conversation) ofRun(row *record.Row) (drop string) {
	if drop = c.readMessages(row.Messages); drop != "" {
		return drop
	}
	if len(c.messages) > 0 {
		c.takeAnswer(row.Answer)
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

// takeAnswer adds the answer of a run whose messages are only the input of the model.
func (c *conversation) takeAnswer(answer []byte) {
	answer = bytes.TrimSpace(answer)
	switch {
	case len(answer) == 0 || c.says(answer):
	case c.answer().role == roleAssistant:
		c.notes |= noteElsewhere
	default:
		c.add(roleAssistant, c.Quote(answer))
	}
}

// says reports whether a message of the assistant has this text, but for white space around it.
func (c *conversation) says(text []byte) bool {
	for i := len(c.messages) - 1; i >= 0; i-- {
		// A token is never shorter than its text.
		if m := &c.messages[i]; m.role == roleAssistant && len(m.text) > len(text) && (isText(m.text, text) ||
			bytes.Equal(bytes.TrimSpace(c.Text(m.text)), text)) {
			return true
		}
	}
	return false
}

// isText reports whether a token is that of a text, without decoding it. It may return false for a
// token with escapes that JSON does not need.
func isText(token, text []byte) bool {
	for rest := token[1 : len(token)-1]; ; {
		n := bytes.IndexByte(rest, '\\')
		if n < 0 {
			return bytes.Equal(rest, text)
		}
		if !bytes.HasPrefix(text, rest[:n]) || len(text) == n {
			return false
		}
		i := bytes.IndexByte([]byte(`"\nrt`), rest[n+1])
		if i < 0 || text[n] != "\"\\\n\r\t"[i] {
			return false
		}
		rest, text = rest[n+2:], text[n+1:]
	}
}

func (c *conversation) add(role role, text []byte) {
	if text != nil {
		c.messages = append(c.messages, message{role: role, text: text, first: len(c.calls), last: len(c.calls)})
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
// them. With calls, a message that only calls tools is an answer.
func (c *conversation) settle(s *settings, calls bool) (drop string) {
	end := len(c.messages) - 1
	for ; end >= 0; end-- {
		// An answer that cannot be written is still the answer: the one before it must not be taught.
		if m := &c.messages[end]; m.role == roleAssistant && (m.text != nil || m.fault == dropNotText ||
			calls && (m.first < m.last || m.fault != "")) {
			break
		}
	}
	if end < 0 {
		return dropNoAssistant
	}
	if end < len(c.messages)-1 {
		c.notes |= noteTrimmed
	}
	kept, user := c.messages[:0], false
	open, closed := 0, 0 // calls[open:closed] are the calls of the latest message with calls
	for _, m := range c.messages[:end+1] {
		if m.role == roleSystem {
			if s.system != systemKept {
				continue
			}
			if m.fault == "" && m.text == nil {
				c.leaveOut(&m)
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
			c.leaveOut(&m)
			continue
		}
		if m.role != roleTool && slices.ContainsFunc(c.calls[open:closed], func(c toolCall) bool { return !c.answered }) {
			return dropUnanswered
		}
		switch m.role {
		case roleSystem:
			c.system = c.Join(c.system, m.text, record.BlankLine)
			m.note(noteName, m.name != nil) // the system has no name in a record
			c.notes |= m.notes
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
		answer.text, answer.last, answer.weight, answer.notes = text, answer.first, weightDefault, 0
		c.corrected = true
		c.notes |= noteCorrected
	}
}

// corrects reports whether the answer of a row is replaced, whatever it is.
func (s *settings) corrects(row *record.Row) bool {
	return !s.original && row.HasFeedback && (row.Node == nil || row.Feedback.CorrectionOnNode) &&
		!record.IsBlank(row.Feedback.CorrectedAnswer)
}

// judged reports whether a corrected answer is in place of this answer. That of a run is in place of
// the answer of the run, not of the outputs of its nodes.
func (c *conversation) judged(row *record.Row) bool {
	if !row.HasFeedback {
		return false
	}
	return row.Node == nil || row.Feedback.CorrectionOnNode || bytes.Equal(bytes.TrimSpace(c.Text(c.answer().text)),
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

// cutCalls removes calls from the answer, for readers that do not allow them beside a text. Their
// results were cut off.
func (c *conversation) cutCalls() {
	if answer := c.answer(); answer.first < answer.last {
		answer.last = answer.first
		c.notes |= noteCalls
	}
}

func (c *conversation) callsOf(m *message) []toolCall { return c.calls[m.first:m.last] }
