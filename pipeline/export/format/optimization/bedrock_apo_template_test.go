package optimization

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	apoBlock  = regexp.MustCompile(`\{\{([^{}]*)\}\}`)
	apoSingle = regexp.MustCompile(`\{[A-Za-z_][A-Za-z0-9_]*\}`)
	apoName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// ApoNames checks a template and returns the names of its placeholders.
func ApoNames(template string) (names []string, err error) {
	for _, m := range apoBlock.FindAllStringSubmatch(template, -1) {
		if !apoName.MatchString(m[1]) {
			return nil, fmt.Errorf("%q is no name", m[1])
		}
		if !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	if apoSingle.MatchString(apoBlock.ReplaceAllString(template, "")) {
		return nil, fmt.Errorf("a placeholder of one brace")
	}
	if len(names) < 1 || len(names) > 20 {
		return nil, fmt.Errorf("%d placeholders", len(names))
	}
	return names, nil
}

func TestTemplatesAsBedrockTakesThem(t *testing.T) {
	t.Parallel()
	twenty := ""
	for i := range 20 {
		twenty += fmt.Sprintf("{{v%d}}", i)
	}
	for _, test := range []struct{ name, template, want, names string }{
		{"placeholders", "In {{language}}: {{question}} {{question}}", "In {{language}}: {{question}} {{question}}",
			"language question"},
		{"white space in the braces", "{{ a }}{{\tb\n}}", "{{a}}{{b}}", "a b"},
		{"names", "{{_}}{{A1}}{{a_b}}", "{{_}}{{A1}}{{a_b}}", "_ A1 a_b"},
		{"JSON", `{{a}} {"x": {"y": [1]}} {"z":{}}`, `{{a}} {"x": {"y": [1]}} {"z":{}}`, "a"},
		{"three braces", "{{{a}}}", "{{{a}}}", "a"},
		{"20 placeholders", twenty, twenty, strings.NewReplacer("{{", "", "}}", " ").Replace(twenty)},
		{"21 placeholders", twenty + "{{more}}", "too_many_placeholders", ""},
		{"a thousand placeholders", strings.Repeat(twenty, 50) + "{{x}}{{y}}{{z}}", "too_many_placeholders", ""},
		{"one brace", "In {language}: {question}", "In {{language}}: {{question}}", "language question"},
		{"one brace and literal braces", `{{"a": {value}}} {{}} {{x`, `{"a": {{value}}} {} {x`, "value"},
		{"one brace and a literal {name}", `{x} {{{{y}}}}`, "single_brace_placeholder", ""},
		{"both kinds", "{{a}} {b}", "single_brace_placeholder", ""},
		{"both kinds, of which one shows when the other is taken out", "{{{a}}b}", "single_brace_placeholder", ""},
		{"no name", "{{a}} {{#each b}}", "malformed_placeholder", ""},
		{"a name with a dash", "{{a-b}}", "malformed_placeholder", ""},
		{"a name that begins with a digit", "{{1}}", "malformed_placeholder", ""},
		{"a name that is not ASCII", "{{ż}}", "malformed_placeholder", ""},
		{"empty braces", "{{}}", "malformed_placeholder", ""},
		{"a filter", "{{ a | upper }}", "malformed_placeholder", ""},
		{"no placeholder", "# Policy\nBe {kind: true} and {1}.", "no_placeholder", ""},
		{"open braces", "{{a} {b}} }} {{", "single_brace_placeholder", ""},
		{"nothing", "", "no_template", ""},
		{"braces", strings.Repeat("{", 1<<20), "no_placeholder", ""},
		{"closing braces", strings.Repeat("}", 1<<20), "no_placeholder", ""},
		{"a long name", "{" + strings.Repeat("a{", 1<<19) + "}", "no_placeholder", ""},
	} {
		var p apoTemplate
		got := p.parse([]byte(test.template))
		if got == "" {
			got = string(p.text)
		}
		if got != test.want {
			t.Errorf("%s: %.200q, want %.200q", test.name, got, test.want)
			continue
		}
		if test.names == "" {
			continue
		}
		if names := strings.Fields(test.names); string(bytes.Join(p.names, []byte(" "))) != strings.Join(names, " ") {
			t.Errorf("%s: names %s", test.name, p.names)
		}
	}
}

func TestNoTemplateThatBedrockRefusesIsWritten(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"{", "{", "{", "}", "}", "}", "{{", "}}", "a", "b", "_", "1", " ", "\n", "é", "{a}", "{{a}}",
		"{{ b }}", `"`}
	var p apoTemplate // reused
	taken := 0
	for range 200_000 {
		template := ""
		for range 1 + random.IntN(10) {
			template += pieces[random.IntN(len(pieces))]
		}
		if fault := p.parse([]byte(template)); fault != "" {
			if names, err := ApoNames(template); err == nil {
				t.Fatalf("%q is refused as %s, with the names %v", template, fault, names)
			}
			continue
		}
		taken++
		names, err := ApoNames(string(p.text))
		if err != nil || strings.Join(names, " ") != string(bytes.Join(p.names, []byte(" "))) {
			t.Fatalf("%q became %q with the names %s; the vendor's are %v, %v", template, p.text, p.names, names, err)
		}
	}
	if taken < 1000 {
		t.Errorf("only %d templates", taken)
	}
}
