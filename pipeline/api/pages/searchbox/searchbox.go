// Package searchbox reads the search box of the History view: words, and filters such as status:failed or
// latency>2s. It turns them into the query of the page's address.
//
//	searchbox.go   Parse and Text
//	keys.go        the keys of the box, and how the address has them
package searchbox

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// Text formats a text so that [Parse] reads it as words alone.
func Text(text string) string {
	if q, err := Parse(text); err == nil && (text == "" && len(q) == 0 || len(q) == 1 && q.Get("q") == text) {
		return text
	}
	return quote(text)
}

// quote writes a text between quotation marks.
func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// Parse reads the text of the box, and returns the filters as the page's address has them; q has the words. Terms
// are separated by white space. A value between quotation marks may have spaces, and \" and \\ in it. The error is
// for people: it tells the first mistake and what to change.
func Parse(text string) (url.Values, error) {
	q := url.Values{}
	var words []string
	scores := scoreRanges{}
	for rest := skip(text); rest != ""; rest = skip(rest) {
		var t term
		var err error
		if t, rest, err = next(rest); err != nil {
			return nil, err
		}
		if t.key == "" || t.key == "text" && t.operator == ":" {
			words = append(words, t.value)
			continue
		}
		if err := t.add(q, scores); err != nil {
			return nil, err
		}
	}
	if found := strings.Join(words, " "); strings.TrimSpace(found) != "" {
		q.Set("q", found)
	}
	scores.add(q)
	return q, nil
}

// Merge adds the filters of a box to those of an address: to lists, and in the place of others. Empty values, which
// forms without a script send, are left out.
func Merge(q, box url.Values) url.Values {
	merged := url.Values{}
	for key, values := range q {
		for _, value := range values {
			if value != "" {
				merged.Add(key, value)
			}
		}
	}
	for key, values := range box {
		if !slices.Contains(lists, key) {
			merged.Del(key)
		}
		for _, value := range values {
			if name, _, ok := strings.Cut(value, "="); ok && slices.Contains(named, key) { // one value a name
				merged[key] = slices.DeleteFunc(merged[key], func(v string) bool { return strings.HasPrefix(v, name+"=") })
			}
			if !slices.Contains(merged[key], value) {
				merged.Add(key, value)
			}
		}
	}
	if box.Has("from") || box.Has("to") {
		merged.Del("range")
	}
	return merged
}

// skip passes over white space.
func skip(text string) string { return strings.TrimLeftFunc(text, unicode.IsSpace) }

// term is a part of the box: a word, where key is "", or a filter.
type term struct {
	key      string // in lower case up to a dot
	operator string // ":", ">", ">=", "<" or "<="
	value    string
}

// next reads the first term, and returns what follows it.
func next(text string) (t term, rest string, err error) {
	n := 0
	for n < len(text) && isKey(text[n], n == 0) {
		n++
	}
	rest = text
	// An address is a word.
	if n > 0 && n < len(text) && strings.IndexByte(":<>", text[n]) >= 0 && !strings.HasPrefix(text[n:], "://") {
		size := 1
		if text[n] != ':' && strings.HasPrefix(text[n+1:], "=") {
			size = 2
		}
		t.key, t.operator, rest = text[:n], text[n:n+size], text[n+size:]
		name, part, _ := strings.Cut(t.key, ".")
		if t.key = strings.ToLower(name); part != "" {
			t.key += "." + part
		}
	}
	if t.value, rest, err = value(rest); err != nil {
		return t, rest, err
	}
	if t.key == "" {
		return t, rest, nil
	}
	if find(t.key) == nil {
		return t, rest, unknown(t.key)
	}
	if t.value == "" {
		return t, rest, fmt.Errorf("%s%s needs a value, such as %s", t.key, t.operator, example(t.key))
	}
	return t, rest, nil
}

// isKey reports whether a byte may be part of a key.
func isKey(c byte, first bool) bool {
	letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
	return letter || !first && (c >= '0' && c <= '9' || c == '.' || c == '-' || c == '~' || c == '/')
}

// value reads a value up to white space, or between quotation marks.
func value(text string) (v, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexFunc(text, unicode.IsSpace)
		if end < 0 {
			end = len(text)
		}
		return text[:end], text[end:], nil
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return b.String(), text[i+1:], nil
		case c == '\\' && i+1 < len(text) && (text[i+1] == '"' || text[i+1] == '\\'):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", fmt.Errorf(`%.40s has no closing quotation mark: write \" for one that is part of the text`, text)
}

// unknown is the error of a key that does not exist.
func unknown(key string) error {
	hint := "there are " + strings.Join(names(), ", ") + "."
	if near := nearest(key); near != "" {
		hint = "do you mean " + near + "?"
	}
	return fmt.Errorf("there is no filter %.40q: %s Text with a colon goes between quotation marks", key, hint)
}
