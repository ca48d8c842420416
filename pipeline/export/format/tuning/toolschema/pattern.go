package toolschema

import (
	"strconv"
	"strings"
)

// pythonPattern reports whether re.compile of Python surely takes a regular expression. JSON Schema
// asks for those of ECMA-262, and jsonschema of Python compiles them with re. The two languages
// differ in what is rare, such as named groups, lookbehinds and \p{…}: pythonPattern refuses all of
// that, also where Python would take it.
func pythonPattern(pattern string) bool {
	p := patternParser{rest: pattern}
	return p.alternatives(0) && p.rest == ""
}

// patternParser reads a regular expression from the left. Its methods return false for what Python
// may not take.
type patternParser struct{ rest string }

const maxPatternDepth = 50

// take consumes text if it comes next.
func (p *patternParser) take(text string) bool {
	rest, found := strings.CutPrefix(p.rest, text)
	p.rest = rest
	return found
}

// alternatives reads up to the end of a group.
func (p *patternParser) alternatives(depth int) bool {
	if depth > maxPatternDepth {
		return false
	}
	for p.rest != "" && p.rest[0] != ')' {
		if p.take("|") {
			continue
		}
		repeatable, ok := p.atom(depth)
		if !ok || !p.quantifier(repeatable) {
			return false
		}
	}
	return true
}

// atom reads what a quantifier may follow, if it is repeatable.
func (p *patternParser) atom(depth int) (repeatable, ok bool) {
	switch c := p.rest[0]; c {
	case '*', '+', '?', '{':
		return false, false
	case '^', '$':
		p.rest = p.rest[1:]
		return false, true
	case '(':
		p.rest = p.rest[1:]
		repeatable = p.take("?:") || !strings.HasPrefix(p.rest, "?")
		ok = (repeatable || p.take("?=") || p.take("?!")) && p.alternatives(depth+1) && p.take(")")
		return repeatable, ok
	case '[':
		p.rest = p.rest[1:]
		return true, p.class()
	case '\\':
		_, kind := p.escape()
		return kind != escapedBoundary, kind != escapedUnknown
	}
	p.rest = p.rest[1:] // of a letter of several bytes, the others follow as atoms
	return true, true
}

// quantifier reads how often an atom repeats, if it says.
func (p *patternParser) quantifier(repeatable bool) bool {
	if p.rest == "" || !strings.ContainsRune("*+?{", rune(p.rest[0])) {
		return true
	}
	if !repeatable {
		return false
	}
	if p.rest[0] == '{' {
		inner, _, found := strings.Cut(p.rest[1:], "}")
		if !found || !validCount(inner) {
			return false
		}
		p.rest = p.rest[len(inner)+2:]
	} else {
		p.rest = p.rest[1:]
	}
	p.take("?")
	return p.rest == "" || !strings.ContainsRune("*+?{", rune(p.rest[0]))
}

// validCount reports whether a text is a number of repetitions: m, m, or m,n.
func validCount(text string) bool {
	least, most, ranged := strings.Cut(text, ",")
	m, err := strconv.ParseUint(least, 10, 16)
	if err != nil || !ranged || most == "" {
		return err == nil
	}
	n, err := strconv.ParseUint(most, 10, 16)
	return err == nil && m <= n
}

// class reads the rest of a class of characters.
func (p *patternParser) class() bool {
	p.take("^")
	if strings.HasPrefix(p.rest, "]") {
		return false // empty in ECMA-262, and a character in Python
	}
	for !p.take("]") {
		low, single, ok := p.member()
		if !ok {
			return false
		}
		if !strings.HasPrefix(p.rest, "-") || strings.HasPrefix(p.rest, "-]") {
			continue
		}
		p.rest = p.rest[1:]
		if high, bounded, ok := p.member(); !ok || !single || !bounded || high < low {
			return false
		}
	}
	return true
}

// member reads a member of a class: a single character, or an escape for several.
func (p *patternParser) member() (char rune, single, ok bool) {
	if p.rest == "" {
		return 0, false, false
	}
	if p.rest[0] != '\\' {
		for _, char = range p.rest {
			break
		}
		p.rest = p.rest[len(string(char)):]
		return char, true, true
	}
	char, kind := p.escape()
	return char, kind == escapedCharacter, kind == escapedCharacter || kind == escapedClass
}

// What an escape stands for.
const (
	escapedUnknown = iota
	escapedCharacter
	escapedClass
	escapedBoundary
)

// escape reads an escape, which begins with a backslash.
func (p *patternParser) escape() (char rune, kind int) {
	if len(p.rest) < 2 {
		return 0, escapedUnknown
	}
	c := p.rest[1]
	p.rest = p.rest[2:]
	switch {
	case strings.IndexByte("dDwWsS", c) >= 0:
		return 0, escapedClass
	case c == 'b' || c == 'B':
		return 0, escapedBoundary
	case c == 'x' || c == 'u':
		digits := 2
		if c == 'u' {
			digits = 4
		}
		if len(p.rest) < digits {
			return 0, escapedUnknown
		}
		n, err := strconv.ParseUint(p.rest[:digits], 16, 32)
		p.rest = p.rest[digits:]
		if err != nil {
			return 0, escapedUnknown
		}
		return rune(n), escapedCharacter
	}
	if i := strings.IndexByte("nrtfv", c); i >= 0 {
		return rune("\n\r\t\f\v"[i]), escapedCharacter
	}
	if c < ' ' || c >= 0x7f || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' {
		return 0, escapedUnknown
	}
	return rune(c), escapedCharacter
}
