package toolschema

import (
	"strings"
	"testing"
)

func TestParametersAreHeldAgainstTheRulesOfTheirReader(t *testing.T) {
	t.Parallel()
	object := func(property string) string { return `{"type":"object","properties":{"a":` + property + `}}` }
	closed := func(properties, required string) string {
		return `{"type":"object","properties":{` + properties + `},"required":[` + required + `],"additionalProperties":false}`
	}
	for _, test := range []struct {
		name, parameters               string
		loose, openAI, strict, mistral bool
	}{
		{"nothing", `{}`, true, true, false, true},
		{"an object", `{"type":"object","properties":{}}`, true, true, false, true},
		{"a closed object", closed(`"a":{"type":"string"}`, `"a"`), true, true, true, true},
		{"an object without properties", closed("", ""), true, true, true, true},
		{"a closed object with a choice", closed(`"a":{"anyOf":[{"type":"null"},`+closed(`"b":{"$ref":"#/$defs/b"}`, `"b"`)+
			`]}`, `"a"`), true, true, true, true},
		{"a closed list", closed(`"a":{"type":["array","null"],"items":{"type":"integer"}}`, `"a"`), true, true, true, true},
		{"an optional property", closed(`"a":{"type":"string"}`, ``), true, true, false, true},
		{"a requirement twice", closed(`"a":{},"b":{}`, `"a","a"`), false, false, false, false},
		{"a requirement of nothing", closed(`"a":{}`, `"b"`), true, true, false, true},
		{"an open object inside", closed(`"a":{"type":["object","null"]}`, `"a"`), true, true, false, true},
		{"an open object in a definition", `{"$defs":{"b":{"type":"object"}},` + closed(`"a":{}`, `"a"`)[1:], true, true, false,
			true},
		{"a composed object", closed(`"a":{"oneOf":[{"type":"string"}]}`, `"a"`), true, true, false, true},
		{"an open list", closed(`"a":{"type":"array","items":{"type":"object"}}`, `"a"`), true, true, false, true},
		{"a list", `{"type":"array"}`, false, false, false, false},
		{"an object or nothing", `{"type":["object","null"]}`, false, false, false, false},
		{"no object", `[]`, false, false, false, false},
		{"a type that there is not", object(`{"type":"text"}`), false, false, false, false},
		{"a type that is a list of those", object(`{"type":["string","any"]}`), false, false, false, false},
		{"a property that is a text", object(`"string"`), false, false, false, false},
		{"a property that is true", object(`true`), true, true, false, true},
		{"required in the property", object(`{"type":"string","required":true}`), false, false, false, false},
		{"an empty list of types", object(`{"type":[]}`), false, false, false, false},
		{"a choice that is none", object(`{"enum":"x"}`), false, false, false, false},
		{"a length that is negative", object(`{"minLength":-1}`), false, false, false, false},
		{"a length with a fraction", object(`{"maxLength":1.5}`), false, false, false, false},
		{"a length as a number with a point", object(`{"maxLength":1.0}`), true, true, false, true},
		{"a bound that is a text", object(`{"minimum":"0"}`), false, false, false, false},
		{"a bound of draft 4", object(`{"minimum":0,"exclusiveMinimum":true}`), false, false, false, false},
		{"items by position, of draft 7", object(`{"items":[{"type":"string"}]}`), true, true, false, true},
		{"items by position, of 2020-12", object(`{"prefixItems":[{"type":"string"}]}`), true, true, false, true},
		{"what only draft 7 refuses", object(`{"additionalItems":1}`), true, true, false, false},
		{"a reference that is no URI", object(`{"$ref":"#/$defs/Pair[int, str]"}`), true, true, false, true},
		{"a keyword that nobody knows", object(`{"x-order":1}`), true, true, false, true},
		{"a property of the name of a keyword", `{"type":"object","properties":{"type":{"type":"string"},"pattern":{}}}`,
			true, true, false, true},
		{"a pattern", object(`{"pattern":"^[A-Z]{2}\\d+$"}`), true, true, false, true},
		{"a pattern that Python does not compile", object(`{"pattern":"(?<year>\\d+)"}`), true, true, false, false},
		{"names of a pattern that Python does not compile", `{"type":"object","patternProperties":{"\\p{L}":{}}}`, true, true,
			false, false},
		{"a number that Python makes infinite", object(`{"enum":[1E400]}`), true, true, false, false},
	} {
		for _, r := range []struct {
			name   string
			rules  Rules
			strict bool
			want   bool
		}{{"loose", Loose, true, test.loose}, {"openai", OpenAI, false, test.openAI}, {"strict", OpenAI, true, test.strict},
			{"mistral", Mistral, true, test.mistral}} {
			var c Checker
			for range 2 { // the second time, it is known
				if got := c.Valid(r.rules, []byte(test.parameters), r.strict); got != r.want {
					t.Errorf("%s, %s: %v\n%s", test.name, r.name, got, test.parameters)
				}
			}
		}
	}
}

func TestKnownParametersAreBoundedAndAllocateNothing(t *testing.T) {
	var c Checker
	long := strings.Repeat("x", maxKnown/4)
	for i := range 10 {
		c.Valid(Loose, []byte(`{"title":"`+long[i:]+`"}`), false)
		if len(c.known) > 4 || c.bytes > maxKnown {
			t.Fatalf("%d documents of %d bytes together are known", len(c.known), c.bytes)
		}
	}
	parameters := []byte(`{"type":"object"}`)
	c.Valid(Loose, parameters, false)
	if n := testing.AllocsPerRun(10, func() { c.Valid(Loose, parameters, false) }); n != 0 {
		t.Errorf("%v allocations for known parameters", n)
	}
}

func TestPatternsThatPythonSurelyCompiles(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{``, `a`, `^\d{4}-\d{2}-\d{2}$`, `[A-Za-z0-9_.+-]+@[a-z]+\.[a-z]{2,}`, `(?:a|b|)*?`,
		`(a(b)c)+`, `(?=a)(?!b)c`, `[^\]\-\x41-\u005a]`, `[\w-]`, `\/\-\n\$`, `a{2}b{2,}c{2,3}?`, `é+😀?`, `\bword\B`, `[-a]`, `}`,
		`[[]`} {
		if !pythonPattern(pattern) {
			t.Errorf("%s is refused", pattern)
		}
	}
	for _, pattern := range []string{`(`, `)`, `(a`, `[`, `[]`, `[^]`, `[z-a]`, `[\w-a]`, `[a-\d]`, `*`, `a**`, `a+*`, `a{2}{3}`, `a{3,2}`,
		`a{x}`, `{2}`, `^*`, `\b+`, `(?=a)*`, `(?<n>a)`, `(?P<n>a)`, `(?<=a)b`, `(?i)a`, `\p{L}`, `\1`, `\0`, `\x4`, `\u12`, `\u{41}`, `\z`,
		`\Q`, `a++`, `a{99999}`, `\`, `[\`, `[a`, `\ca`, `\é`, strings.Repeat("(", 60) + strings.Repeat(")", 60)} {
		if pythonPattern(pattern) {
			t.Errorf("%s is taken", pattern)
		}
	}
}
