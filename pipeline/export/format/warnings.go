package format

import (
	"fmt"

	"github.com/millrace/millrace/pipeline/export/format/record"
)

// Codes of warnings about records.
const (
	TrimmedTail     = "trimmed_tail"
	ThumbsDown      = "thumbs_down_included"
	AnswerCorrected = "answer_corrected"
	AnswerElsewhere = "answer_not_in_messages"
	RefusalAsText   = "refusal_as_text"
	SoundAsText     = "transcript_as_text"
	NoReasoning     = "reasoning_left_out"
	NoName          = "name_left_out"
	NoEmptyMessage  = "empty_message_left_out"
	NoCalls         = "calls_left_out"
	NoTools         = "tools_left_out"
	NoField         = "field_left_out"
	WideNumber      = "number_beyond_64_bits"
)

// warningTexts say what a warning about a number of records means, and what to do.
var warningTexts = map[string]string{
	TrimmedTail: "%d conversations ended with messages after the last answer of the assistant, which nothing can " +
		"be learnt from; those messages were cut off",
	ThumbsDown: `%d records come from runs rated thumbsDown, and teach their answers; leave them out with ` +
		`"filters": {"rating": "notThumbsDown"}`,
	AnswerCorrected: "%d records teach the corrected answer instead of what the assistant said",
	AnswerElsewhere: "%d runs have an answer that none of their messages is; the records have the messages",
	RefusalAsText: "%d conversations have a refusal of the assistant, which is part of its text there; whoever does not " +
		"want to teach refusals leaves these runs out",
	SoundAsText: "%d conversations have a spoken answer, of which they keep the transcript",
	NoReasoning: "%d conversations have thoughts of the model, which the reader of this target has no place for; they " +
		"were left out",
	NoName: "%d conversations have names of speakers, which the reader of this target has no place for; the names were " +
		"left out",
	NoEmptyMessage: "%d conversations have messages of the assistant or the system without a text or a call; those " +
		"messages were left out",
	NoCalls: "%d conversations have tool calls beside the text of the answer, which the reader of this target cannot " +
		"take there; the calls were left out",
	NoTools: "%d conversations have definitions of tools, which the reader of this target has no place for; they were " +
		"left out",
	record.JudgementsLeftOut: "%d records have the newest 1,000 judgements of their run, and not all; `feedback` and " +
		"`scores` are of all",
	record.NotTextLeftOut: "%d records have the text of a message that also has images, sounds or files; those were " +
		"left out",
	NoField: "%d conversations have other fields in messages, tool calls or definitions of tools, which the reader of " +
		"this target has no place for; they were left out",
	WideNumber: "%d records have numbers that 64 bits do not hold, such as integers of 20 digits or 1e400. They are in " +
		"the files as they were sent, but most readers of JSON round or refuse them; send such numbers as texts",
}

// WarningText returns what a warning about a number of records means, and what to do.
func WarningText(code string, records int64) string {
	if text, ok := warningTexts[code]; ok {
		return fmt.Sprintf(text, records)
	}
	return fmt.Sprintf("%d records", records)
}
