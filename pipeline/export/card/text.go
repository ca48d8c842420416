package card

import (
	"strconv"
	"strings"
	"unicode"
)

// Limits of the body of a card: of the items of a list, and of the characters of a text.
const (
	maxListed = 10
	maxText   = 200
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

// code returns a text that somebody else wrote as a code span of Markdown, on one line: nothing in it is
// markup, HTML or a link, whatever it says (https://spec.commonmark.org/0.31.2/#code-spans). Characters that
// do not print are shown as escapes. In a table it must have no bar.
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
		s = " " + s + " " // which the reader takes off
	}
	return fence + s + fence
}

// codes returns the first of several texts.
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

// number writes a number with its thousands apart.
func withThousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func percent(x float64) string { return strconv.FormatFloat(100*x, 'g', 6, 64) + " %" }
