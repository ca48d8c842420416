package formattest

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/pipeline/export/format/record"
)

// ChatRow returns a run that only has messages.
func ChatRow(messages string) *record.Row {
	row := EmptyRow()
	row.Status, row.Messages, row.InputGroup = []byte("succeeded"), []byte(messages),
		[]byte("00112233445566778899aabbccddeeff")
	row.Group = row.InputGroup
	return row
}

// Rated sets the rating of a row.
func Rated(row *record.Row, rating string) *record.Row {
	row.HasFeedback, row.Feedback.Rating = true, []byte(rating)
	return row
}

// Chat returns a document of messages.
func Chat(messages ...string) string { return "[" + strings.Join(messages, ",") + "]" }

// UserSays returns a message of the user.
func UserSays(text string) string { return fmt.Sprintf(`{"role":"user","content":%q}`, text) }

// AssistantSays returns a message of the assistant.
func AssistantSays(text string) string { return fmt.Sprintf(`{"role":"assistant","content":%q}`, text) }

// SystemSays returns a system message.
func SystemSays(text string) string { return fmt.Sprintf(`{"role":"system","content":%q}`, text) }

// ToolResult returns the answer of a tool to a call.
func ToolResult(id, text string) string {
	return fmt.Sprintf(`{"role":"tool","tool_call_id":%q,"content":%q}`, id, text)
}

// ToolF is the definition of a tool f.
const ToolF = `{"type":"function","function":{"name":"f","description":"does","parameters":{"type":"object","properties":{}}}}`

// Short messages.
const (
	HiMessage  = `{"role":"user","content":"Hi"}`
	YesMessage = `{"role":"assistant","content":"Yes?"}`
)
