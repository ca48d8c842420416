package format

import "fmt"

// Codes of warnings about records.
const (
	TrimmedTail = "trimmed_tail"
	ThumbsDown  = "thumbs_down_included"
)

// WarningText returns what a warning about a number of records means, and what to do.
func WarningText(code string, records int64) string {
	switch code {
	case TrimmedTail:
		return fmt.Sprintf("%d conversations ended with messages after the last answer of the assistant, which nothing can "+
			"be learnt from; those messages were cut off", records)
	case ThumbsDown:
		return fmt.Sprintf(
			`%d records come from runs rated thumbsDown, and teach their answers; leave them out with "filters": {"rating": "thumbsUp"}`, records)
	}
	return fmt.Sprintf("%d records", records)
}
