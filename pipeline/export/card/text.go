package card

import (
	"strconv"
	"strings"
	"unicode"
)

// Limits of the body of a card.
const (
	maxListed = 10  // items of a list
	maxText   = 200 // characters of a text
)

func shorten(s string) string {
	n := 0
	for i := range s {
		if n++; n > maxText {
			return s[:i] + "…"
		}
	}
	return s
}

// codeSpan returns a text of somebody else as a code span of Markdown, on one line: no part of it
// becomes markup, HTML or a link (https://spec.commonmark.org/0.31.2/#code-spans). Unprintable
// characters become escapes. Texts in tables must not contain a bar.
func codeSpan(s string) string {
	var text strings.Builder
	var run, longest int // of backticks
	for _, r := range shorten(s) {
		if r == '`' {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
		if unicode.IsPrint(r) {
			text.WriteRune(r)
		} else {
			text.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	s = text.String()
	if s == "" {
		return "(empty)"
	}
	fence := strings.Repeat("`", longest+1)
	if strings.ContainsRune("` ", rune(s[0])) || strings.ContainsRune("` ", rune(s[len(s)-1])) {
		s = " " + s + " " // readers of Markdown remove the two spaces
	}
	return fence + s + fence
}

// codeSpans returns the first texts of a list, and the number of the others.
func codeSpans(list []string) string {
	n := min(len(list), maxListed)
	all := make([]string, n, n+1)
	for i, s := range list[:n] {
		all[i] = codeSpan(s)
	}
	if more := len(list) - n; more > 0 {
		all = append(all, withThousands(int64(more))+" more")
	}
	return strings.Join(all, ", ")
}

// withThousands formats a number with commas between thousands.
func withThousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func percent(x float64) string { return strconv.FormatFloat(100*x, 'g', 6, 64) + " %" }
