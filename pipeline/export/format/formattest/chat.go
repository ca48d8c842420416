package formattest

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/pipeline/export/format/record"
)

// ChatRow is a run that has nothing but messages.
func ChatRow(messages string) *record.Row {
	row := EmptyRow()
	row.Status, row.Messages, row.InputGroup = []byte("succeeded"), []byte(messages), []byte("00112233445566778899aabbccddeeff")
	row.Group = row.InputGroup
	return row
}

func Rated(row *record.Row, rating string) *record.Row {
	row.HasFeedback, row.Feedback.Rating = true, []byte(rating)
	return row
}

func Chat(messages ...string) string { return "[" + strings.Join(messages, ",") + "]" }

func UserSays(text string) string { return fmt.Sprintf(`{"role":"user","content":%q}`, text) }

func AssistantSays(text string) string { return fmt.Sprintf(`{"role":"assistant","content":%q}`, text) }

func SystemSays(text string) string { return fmt.Sprintf(`{"role":"system","content":%q}`, text) }

func ToolResult(id, text string) string {
	return fmt.Sprintf(`{"role":"tool","tool_call_id":%q,"content":%q}`, id, text)
}

const ToolF = `{"type":"function","function":{"name":"f","description":"does","parameters":{"type":"object","properties":{}}}}`

// Messages in short.
const (
	HiMessage  = `{"role":"user","content":"Hi"}`
	YesMessage = `{"role":"assistant","content":"Yes?"}`
)
