// Package tuning has the targets of fine_tuning. They share how a row becomes a conversation, and
// differ in how they write it:
//
//	tuning.go        options, reasons to drop a row and warnings of all targets; the RowFormatter
//	conversation.go  a conversation: the messages of a row, their rules, their repair
//	messages.go      reads the messages of a row, with the fault of each
//	notes.go         what a reader takes, and what is counted because it does not
//	node.go          the conversation of a node run: its messages, or its prompt and output
//	tools.go         reads and writes the definitions of tools
//	flat.go          turns of plain text, for readers that do not know tools
//	pairs.go         the GroupFormatter of the preference targets
//	toolschema/      checks the parameters of tools
//
// Every other file is a target, or the targets of one reader.
package tuning

import (
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/sinks/fragment"
)

// renderFunc appends the record of a conversation, or returns the reason to drop it.
type renderFunc func(dst []byte, row *record.Row, c *conversation) (out []byte, drop string)

// formatter writes a record for each conversation.
type formatter struct {
	render   renderFunc
	settings settings

	conversation conversation
	warnings     []string
}

// settings are the options that all targets share.
type settings struct {
	onlyRated  bool // rows with a score or a rating
	onlyThumbs bool
	dedupe     bool
	system     systemMode
	text       []byte // a JSON string: the system message of systemReplaced
	reader     reader
	// original keeps the given answer instead of the corrected one, for records that contain the
	// rating.
	original bool
}

// systemMode is what a target does with the system message of a conversation.
type systemMode int

const (
	systemKept systemMode = iota
	systemDropped
	systemReplaced
)

func newSettings(o *format.Options, of reader) (s settings) {
	s.reader = of
	s.onlyRated = o.Boolean("only_rated", false)
	s.dedupe = o.Boolean("dedupe", true)
	value, given := o.Values["system"]
	text, ok := value.(string)
	switch {
	case !given || text == "keep":
	case !ok || strings.TrimSpace(text) == "":
		o.Fail(`option "system" must be "keep", "drop" or the text of a system message for all conversations`)
	case text == "drop":
		s.system = systemDropped
	default:
		s.system, s.text = systemReplaced, record.AppendText(nil, []byte(text))
	}
	return s
}

// newFormatter returns the formatter of a target that has a record for each row.
func newFormatter(o *format.Options, of reader, render renderFunc) *formatter {
	return &formatter{render: render, settings: newSettings(o, of)}
}

// Columns implements [format.Formatter]: the targets are JSON Lines only.
func (f *formatter) Columns() []fragment.Column { return nil }

// Needs implements [format.Formatter].
func (f *formatter) Needs() record.Needs {
	if f.settings.dedupe {
		return record.Needs{Group: record.ByContext}
	}
	return record.Needs{}
}

// Deduplicates implements [format.Deduplicating].
func (f *formatter) Deduplicates() bool { return f.settings.dedupe }

func (f *formatter) Append(dst []byte, row *record.Row) (out []byte, drop string, err error) {
	c := &f.conversation
	if drop = c.prepare(row, &f.settings); drop == "" && c.Err == nil {
		out, drop = f.render(dst, row, c)
	}
	return c.Finish(row, dst, out, drop)
}

// Warnings implements [format.Warner]. It does not warn about a corrected answer of a run rated
// thumbsDown, nor about a record that contains the rating: neither teaches a wrong answer.
func (f *formatter) Warnings(row *record.Row) []string {
	f.warnings = f.conversation.notes.appendCodes(f.warnings[:0])
	if !f.settings.original && !f.conversation.corrected && row.HasFeedback &&
		string(row.Feedback.Rating) == record.RatedDown {
		f.warnings = append(f.warnings, format.ThumbsDown)
	}
	return f.warnings
}

// Reasons to drop a row that all targets share.
const (
	dropNotRated      = "not_rated"
	dropNotLLM        = "not_an_llm_node"
	dropShape         = "invalid_messages"
	dropNoAssistant   = "no_assistant_message"
	dropNoUser        = "no_user_message"
	dropRole          = "unknown_role"
	dropLegacy        = "legacy_function_call"
	dropNotText       = "not_text"
	dropEmpty         = "empty_message"
	dropSystem        = "system_in_the_middle"
	dropCall          = "invalid_tool_call"
	dropOrphan        = "orphan_tool_message"
	dropUnanswered    = "unanswered_tool_call"
	dropTools         = "invalid_tools"
	dropWeight        = "invalid_weight"
	dropNothing       = "nothing_to_learn"
	dropUnwanted      = "unwanted_answer"
	dropAssistant1st  = "assistant_first"
	dropTextAndCalls  = "text_beside_tool_calls"
	dropPromptOfModel = "assistant_before_answer"
)

// tuningDrops returns the reasons of all targets, and the additional ones of a target.
func tuningDrops(more ...format.Drop) []format.Drop {
	return slices.Concat([]format.Drop{
		{Reason: dropNoAssistant, Text: "the assistant never says anything: a run that failed or was cancelled, or one " +
			"that only called tools"},
		{Reason: dropNoUser, Text: "nobody asks: there is no message of a user before the answer, or no `question`"},
		{Reason: dropNotText, Text: "a message has content other than text, such as an image"},
		{Reason: dropEmpty, Text: "a user's message has no text"},
		{Reason: dropRole, Text: "a message is not of the system, developer, user, assistant or tool"},
		{Reason: dropLegacy, Text: "a function is called or answered in the shape before `tool_calls`"},
		{Reason: dropSystem, Text: "a system message comes after the first other message"},
		{Reason: dropCall, Text: "a tool call has no name of 1 to 64 letters, digits, `_` and `-`, or its arguments are no " +
			"JSON object"},
		{Reason: dropOrphan, Text: "a tool message answers no call before it"},
		{Reason: dropUnanswered, Text: "a tool call has no answer before the conversation goes on"},
		{Reason: dropWeight, Text: "the `weight` of an answer is not 0 or 1"},
		{Reason: dropNothing, Text: "the answers that the reader would learn have `weight` 0"},
		{Reason: dropShape, Text: "`messages` is no array of objects with a role"},
		{Reason: dropNotLLM, Text: "the node run is not of `node_type` `llm`"},
		{Reason: dropNotRated, Text: "nobody gave feedback, and the option `only_rated` asks for it; or no thumb, and the " +
			"target asks for one"},
	}, more)
}

// Reasons that several targets share.
var (
	dropsTools = format.Drop{Reason: dropTools,
		Text: "an entry of `tools` is no function with a valid name, its `parameters` are no JSON Schema of an object, or " +
			"the reader does not take it"}
	dropsUnwanted = format.Drop{Reason: dropUnwanted,
		Text: "an answer has `weight` 0, and the reader would learn it"}
	dropsAssistant1st = format.Drop{Reason: dropAssistant1st,
		Text: "the conversation begins with the assistant, and the reader wants the user"}
	dropsTextAndCalls = format.Drop{Reason: dropTextAndCalls,
		Text: "the assistant says something in the turn in which it calls a tool, which the reader cannot take"}
	dropsPrompt = format.Drop{Reason: dropPromptOfModel,
		Text: "the message before the answer is the assistant's too, so that the prompt has no end"}
)

// tuningOptions returns the options of all targets, and the additional ones of a target.
func tuningOptions(more ...format.Option) []format.Option {
	return slices.Concat([]format.Option{
		{Name: "only_rated", Kind: format.Flag, Default: false,
			Text: "`true`: only runs with feedback: a score, a thumb or a corrected answer"},
		{Name: "dedupe", Kind: format.Flag, Default: true, Text: "`false`: keep every run; by default only the best of those with the same conversation before " +
			"the answer: messages, system prompt and tools"},
		{Name: "system", Default: "keep", Text: "`\"keep\"` (default), `\"drop\"`, or a text that every conversation has for its system " +
			"message"},
	}, more)
}
