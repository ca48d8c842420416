package pages

import (
	"fmt"
	"html/template"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/millrace/millrace/pipeline/export/format"
)

// number formats 1234567 as 1,234,567.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// plural formats a number with the noun that it counts.
func plural(n any, one, many string) string {
	i, _ := n.(int64)
	if v, ok := n.(int); ok {
		i = int64(v)
	}
	if i == 1 {
		return "1 " + one
	}
	return number(i) + " " + many
}

// when formats a time for people, in UTC to the second; stamp formats it for programs.
func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999Z07:00") }

// duration formats how long something took, "" if it has not ended.
func duration(from time.Time, to *time.Time) string {
	if to == nil {
		return ""
	}
	return span(to.Sub(from))
}

func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}

// dollars formats a cost. Small costs keep three significant digits.
func dollars(x *float64) string {
	if x == nil {
		return ""
	}
	if math.Abs(*x) >= 1 {
		return fmt.Sprintf("$%.2f", *x)
	}
	return "$" + strconv.FormatFloat(*x, 'g', 3, 64)
}

func score(x *float64) string {
	if x == nil {
		return ""
	}
	return strconv.FormatFloat(*x, 'g', 4, 64)
}

// known returns the value of a pointer, 0 for nil.
func known(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

// long reports whether a text gets a scrolling box of its own.
func long(s string) bool { return len(s) > 500 || strings.Count(s, "\n") > 12 }

// sentence makes a sentence of the text of an error.
func sentence(s string) string {
	first, w := utf8.DecodeRuneInString(s)
	if s = string(unicode.ToUpper(first)) + s[w:]; !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// address returns a path with a query.
func address(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

var markdownLink = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)

// plain removes the Markdown of texts from package format.
func plain(s string) string {
	return strings.ReplaceAll(markdownLink.ReplaceAllString(s, "$1"), "`", "")
}

// purposeLabel returns the name of a purpose on pages.
func purposeLabel(purpose string) string {
	switch purpose {
	case format.ExportDataset:
		return "Export Dataset"
	case format.RecipeEvaluation:
		return "Recipe Evaluation"
	case format.NodeEvaluation:
		return "Node Evaluation"
	case format.NodeOptimization:
		return "Node Optimization"
	case format.FineTuning:
		return "Fine-tuning"
	}
	return purpose
}

// linkSchemes are the schemes of files that a page links to: of the web and of object stores.
var linkSchemes = []string{"http", "https", "s3", "s3a", "gs", "az", "abfs", "abfss", "wasbs", "oss", "r2"}

// link returns the address of a file for a link, or "" where a link to it might do something else.
func link(uri string) template.URL {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" || u.User != nil || !slices.Contains(linkSchemes, u.Scheme) {
		return ""
	}
	return template.URL(u.String()) //nolint:gosec // its scheme is one of ours
}
