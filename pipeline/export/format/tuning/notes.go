package tuning

import "github.com/millrace/millrace/pipeline/export/format"

// reader describes what the reader of a target accepts beside roles and texts. The formatter writes
// everything else in another way, drops the row, or adds a note to the conversation, so that nothing
// of a conversation disappears uncounted.
type reader struct {
	lastCalls bool // it learns an answer that only calls tools
	names     bool // it takes the names of speakers
	tools     bool // it takes definitions of tools
	weights   weighing
}

// weighing says which answers of a conversation a reader learns.
type weighing int

const (
	weighsNone weighing = iota // it learns every answer
	weighsLast                 // it learns the last answer only
	weighsEach                 // it reads from each answer whether to learn it
)

// notes are facts about a conversation that are counted as warnings.
type notes uint16

const (
	noteTrimmed notes = 1 << iota
	noteCorrected
	noteElsewhere
	noteRefusal
	noteSound
	noteReasoning
	noteName
	noteEmpty
	noteCalls
	noteTools
	noteField
)

// noteCodes has the code of each note, in the order of the constants.
var noteCodes = [...]string{format.TrimmedTail, format.AnswerCorrected, format.AnswerElsewhere, format.RefusalAsText,
	format.SoundAsText, format.NoReasoning, format.NoName, format.NoEmptyMessage, format.NoCalls, format.NoTools,
	format.NoField}

// appendCodes appends the codes of notes.
func (n notes) appendCodes(dst []string) []string {
	for i, code := range noteCodes {
		if n&(1<<i) != 0 {
			dst = append(dst, code)
		}
	}
	return dst
}

// note adds a note if something holds.
func (m *message) note(n notes, holds bool) {
	if holds {
		m.notes |= n
	}
}

// leaveOut notes an empty message.
func (c *conversation) leaveOut(m *message) {
	m.note(noteName, m.name != nil)
	c.notes |= m.notes | noteEmpty
}

// takeNotes adds the notes of all messages of a settled conversation, and notes for everything that
// its reader has no place for.
func (c *conversation) takeNotes() {
	for i := range c.messages {
		m := &c.messages[i]
		c.notes |= m.notes
		switch {
		case m.name == nil:
		case m.role == roleTool: // a name that is not that of the function says more than the call
			if string(c.Text(m.name)) != string(c.calls[m.call].name) {
				c.notes |= noteName
			}
		case !c.reader.names:
			c.notes |= noteName
		}
	}
	if !c.reader.tools && c.hasTools() {
		c.notes |= noteTools
	}
}

// weigh returns the reason to drop a conversation if its reader would learn an answer of weight 0,
// or nothing at all.
func (c *conversation) weigh() (drop string) {
	answers, zero := 0, 0
	for i := range c.messages {
		if m := &c.messages[i]; m.role == roleAssistant {
			answers++
			if m.weight == weightZero {
				zero++
			}
		}
	}
	switch {
	case zero == 0:
		return ""
	case zero == answers, c.reader.weights == weighsLast && c.answer().weight == weightZero:
		return dropNothing
	case c.reader.weights == weighsNone:
		return dropUnwanted
	}
	return ""
}
