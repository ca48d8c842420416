package format

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The vendor's rules of a template, as its samples check them.
var (
	apoBlock  = regexp.MustCompile(`\{\{([^{}]*)\}\}`)
	apoSingle = regexp.MustCompile(`\{[A-Za-z_][A-Za-z0-9_]*\}`)
	apoName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// apoNames checks a template and returns the names of its placeholders.
func apoNames(template string) (names []string, err error) {
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
		{"placeholders", "In {{language}}: {{question}} {{question}}", "In {{language}}: {{question}} {{question}}", "language question"},
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
		got := p.parse(b(test.template))
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
		if names := strings.Fields(test.names); string(bytes.Join(p.names, b(" "))) != strings.Join(names, " ") {
			t.Errorf("%s: names %s", test.name, p.names)
		}
	}
}

func TestNoTemplateThatBedrockRefusesIsWritten(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"{", "{", "{", "}", "}", "}", "{{", "}}", "a", "b", "_", "1", " ", "\n", "é", "{a}", "{{a}}", "{{ b }}", `"`}
	var p apoTemplate // reused
	taken := 0
	for range 200_000 {
		template := ""
		for range 1 + random.IntN(10) {
			template += pieces[random.IntN(len(pieces))]
		}
		if fault := p.parse(b(template)); fault != "" {
			if names, err := apoNames(template); err == nil {
				t.Fatalf("%q is refused as %s, with the names %v", template, fault, names)
			}
			continue
		}
		taken++
		names, err := apoNames(string(p.text))
		if err != nil || strings.Join(names, " ") != string(bytes.Join(p.names, b(" "))) {
			t.Fatalf("%q became %q with the names %s; the vendor's are %v, %v", template, p.text, p.names, names, err)
		}
	}
	if taken < 1000 {
		t.Errorf("only %d templates", taken)
	}
}

// apoRow is a sample of a template; n is its age.
func apoRow(n int, change func(*Row)) *Row {
	return nodeRow(func(r *Row) {
		r.Group, r.Node.NodeRunID = b("t"), fmt.Appendf(nil, "n-%d", n)
		r.Node.StartedAt = int64(n)
		r.Node.PromptVariables = fmt.Appendf(nil, `{"question":"q%d","language":"en","more":"unused"}`, n)
		r.Reference, r.Feedback.CorrectedAnswer = nil, nil
		if change != nil {
			change(r)
		}
	})
}

func TestARecordOfATemplateHasItsSamples(t *testing.T) {
	t.Parallel()
	head := `{"version":"bedrock-2026-05-14","templateId":` + string(appendTemplateID(nil, b("In {{language}}: {{question}}"))) +
		`,"promptTemplate":"In {{language}}: {{question}}","evaluationSamples":[`
	variables := func(language, question string) string {
		return `{"inputVariables":[{"language":` + language + `},{"question":` + question + `}]`
	}
	for _, test := range []struct {
		name    string
		options map[string]any
		changes []func(*Row)
		want    string // samples
		dropped string
	}{
		{"one", nil, []func(*Row){nil}, variables(`"en"`, `"q0"`) + "}", "map[]"},
		{"two ascend", nil, []func(*Row){nil, nil}, variables(`"en"`, `"q0"`) + "}," + variables(`"en"`, `"q1"`) + "}", "map[]"},
		{"a reference", nil, []func(*Row){func(r *Row) { r.Reference = b("ref \"1\""); r.Feedback.CorrectedAnswer = b("no") }},
			variables(`"en"`, `"q0"`) + `,"referenceResponse":"ref \"1\""}`, "map[]"},
		{"a corrected answer", nil, []func(*Row){func(r *Row) { r.Feedback.CorrectedAnswer = b("better") }}, variables(`"en"`, `"q0"`) + `,"referenceResponse":"better"}`, "map[]"},
		{"a corrected answer of no feedback", nil, []func(*Row){func(r *Row) { r.Feedback.CorrectedAnswer, r.HasFeedback = b("stale"), false }}, variables(`"en"`, `"q0"`) + `}`, "map[]"},
		{"no references wanted", map[string]any{"references": false}, []func(*Row){func(r *Row) { r.Reference = b("ref") }}, variables(`"en"`, `"q0"`) + `}`, "map[]"},
		{"values that are no text", nil, []func(*Row){func(r *Row) { r.Node.PromptVariables = b(`{"question":{"a":[1E400,"x"]},"\u006canguage":1}`) }},
			variables(`"1"`, `"{\"a\":[1E400,\"x\"]}"`) + `}`, "map[]"},
		{"an empty value", nil, []func(*Row){func(r *Row) { r.Node.PromptVariables = b(`{"question":"","language":"en"}`) }}, variables(`"en"`, `""`) + `}`, "map[]"},
		{"a missing variable", nil, []func(*Row){func(r *Row) { r.Node.PromptVariables = b(`{"question":"q"}`) }, nil}, variables(`"en"`, `"q1"`) + `}`, "map[missing_variable:1]"},
		{"a variable that is null", nil, []func(*Row){func(r *Row) { r.Node.PromptVariables = b(`{"question":"q","language":null}`) }}, "", "map[missing_variable:1]"},
		{"no variables", nil, []func(*Row){func(r *Row) { r.Node.PromptVariables = nil }, func(r *Row) { r.Node.PromptVariables = b(`[]`) }}, "", "map[missing_variable:2]"},
		{"no template", nil, []func(*Row){func(r *Row) { r.Node.PromptTemplate = nil }, func(r *Row) { r.Node.PromptTemplate = nil }}, "", "map[no_template:2]"},
		{"a template that is refused", nil, []func(*Row){func(r *Row) { r.Node.PromptTemplate = b("{{a}} {b}") }}, "", "map[single_brace_placeholder:1]"},
	} {
		var rows []*Row
		for i, change := range test.changes {
			rows = append(rows, apoRow(i, change))
		}
		got := streamRows(t, NodeOptimization, "bedrock_apo", test.options, rows)
		if dropped := fmt.Sprint(got.dropped); dropped != test.dropped {
			t.Errorf("%s: dropped %s", test.name, dropped)
		}
		want := ""
		if test.want != "" {
			want = head + test.want + "]}"
		}
		if record := string(bytes.Join(got.records, b("\n"))); record != want {
			t.Errorf("%s: %s\nwant %s", test.name, record, want)
		}
	}
}

// apoQuestions are the questions of a record, in its order.
func apoQuestions(t *testing.T, record []byte) (questions []string) {
	t.Helper()
	for _, s := range asJSON(t, record)["evaluationSamples"].([]any) {
		variables := s.(map[string]any)["inputVariables"].([]any)
		questions = append(questions, variables[1].(map[string]any)["question"].(string))
	}
	return questions
}

func TestATemplateKeepsSamplesWithAReferenceAndThenTheNewest(t *testing.T) {
	t.Parallel()
	var rows []*Row
	var want []string
	for i := range 500 {
		referenced := i%10 == 3 // 50 of them
		rows = append(rows, apoRow(i, func(r *Row) {
			if referenced {
				r.Reference = b("ref")
			}
		}))
		if referenced || i >= 500-55 { // 50 of the newest, since 5 of 55 have a reference
			want = append(want, fmt.Sprintf("q%d", i))
		}
	}
	// Another group after it, and one that only has references.
	for i := range 130 {
		rows = append(rows, apoRow(i, func(r *Row) {
			r.Group, r.Node.PromptTemplate = b("u"), b("Another, in {{language}}: {{question}}")
			r.Reference = b("ref")
		}))
	}
	got := streamRows(t, NodeOptimization, "bedrock_apo", nil, rows)
	if len(got.records) != 2 || got.used != 200 || got.dropped["template_full"] != 430 {
		t.Fatalf("%d records of %d rows, dropped %v", len(got.records), got.used, got.dropped)
	}
	if questions := apoQuestions(t, got.records[0]); !slices.Equal(questions, want) {
		t.Errorf("%v\nwant %v", questions, want)
	}
	if questions := apoQuestions(t, got.records[1]); len(questions) != 100 || questions[0] != "q30" || questions[99] != "q129" {
		t.Errorf("%v", questions)
	}
}

func TestASampleIsThereOnce(t *testing.T) {
	t.Parallel()
	type sample struct{ question, reference string }
	for _, test := range []struct {
		name    string
		rows    []sample
		want    []sample
		dropped int64
	}{
		{"the newest", []sample{{"a", ""}, {"b", ""}, {"a", ""}, {"c", ""}}, []sample{{"b", ""}, {"a", ""}, {"c", ""}}, 1},
		{"the newest with a reference", []sample{{"a", "1"}, {"b", "2"}, {"a", "3"}}, []sample{{"b", "2"}, {"a", "3"}}, 1},
		{"rather an older one with a reference", []sample{{"a", "1"}, {"b", ""}, {"a", ""}}, []sample{{"a", "1"}, {"b", ""}}, 1},
		{"the one that has a reference", []sample{{"a", ""}, {"b", ""}, {"a", "1"}}, []sample{{"b", ""}, {"a", "1"}}, 1},
		{"again and again", []sample{{"a", ""}, {"a", ""}, {"a", "1"}, {"a", ""}, {"a", "2"}}, []sample{{"a", "2"}}, 4},
		{"a question that begins like another", []sample{{"a", ""}, {"ab", ""}, {"a", ""}}, []sample{{"ab", ""}, {"a", ""}}, 1},
	} {
		var rows []*Row
		for i, s := range test.rows {
			rows = append(rows, apoRow(i, func(r *Row) {
				r.Node.PromptVariables = fmt.Appendf(nil, `{"question":%q,"language":"en"}`, s.question)
				r.Reference = b(s.reference)
			}))
		}
		got := streamRows(t, NodeOptimization, "bedrock_apo", nil, rows)
		var samples []sample
		for _, s := range asJSON(t, got.records[0])["evaluationSamples"].([]any) {
			reference, _ := s.(map[string]any)["referenceResponse"].(string)
			samples = append(samples, sample{apoQuestions(t, got.records[0])[len(samples)], reference})
		}
		if !slices.Equal(samples, test.want) || got.dropped["duplicate_sample"] != test.dropped {
			t.Errorf("%s: %v, dropped %v", test.name, samples, got.dropped)
		}
	}
}

func TestARecordFitsIntoAFile(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("x", 1<<20)
	var rows []*Row
	for i := range 120 {
		rows = append(rows, apoRow(i, func(r *Row) {
			r.Node.PromptVariables = fmt.Appendf(nil, `{"question":"q%d","language":%q}`, i, text)
			if i < 2 {
				r.Reference = b("ref")
			}
		}))
	}
	got := streamRows(t, NodeOptimization, "bedrock_apo", nil, rows)
	if len(got.records) != 1 {
		t.Fatalf("%d records", len(got.records))
	}
	size := len(got.records[0]) + len("\ufeff\n")
	if size > apoFileBytes || size < apoFileBytes-2*len(text) {
		t.Errorf("%d bytes", size)
	}
	questions := apoQuestions(t, got.records[0])
	if n := len(questions); int64(n) != got.used || questions[0] != "q0" || questions[1] != "q1" || questions[2] != fmt.Sprintf("q%d", 120-(n-2)) || questions[n-1] != "q119" {
		t.Errorf("%v", questions)
	}
}

func TestASampleThatIsLargerThanAFileIsDropped(t *testing.T) {
	t.Parallel()
	huge := apoRow(1, func(r *Row) {
		r.Node.PromptVariables = fmt.Appendf(nil, `{"language":"","question":%q}`, strings.Repeat("x", apoFileBytes))
	})
	got := streamRows(t, NodeOptimization, "bedrock_apo", nil, []*Row{huge})
	if len(got.records) != 0 || got.dropped["template_full"] != 1 {
		t.Errorf("%d records, dropped %v", len(got.records), got.dropped)
	}
	got = streamRows(t, NodeOptimization, "bedrock_apo", nil, []*Row{apoRow(0, nil), huge, apoRow(2, nil)})
	if len(got.records) != 1 || len(got.records[0]) > 1000 {
		t.Errorf("%d records, dropped %v", len(got.records), got.dropped)
	}
}

func TestTemplatesOfTheSampleAreWhatBedrockTakes(t *testing.T) {
	t.Parallel()
	got := streamed(t, NodeOptimization, "bedrock_apo", nil, sampleHistory(t, 3000))
	ids := map[any]bool{}
	for _, record := range got.records {
		r := asJSON(t, record)
		if keys := keysOf(t, record); !slices.Equal(keys, []string{"version", "templateId", "promptTemplate", "evaluationSamples"}) {
			t.Fatalf("keys %v", keys)
		}
		names, err := apoNames(r["promptTemplate"].(string))
		samples := r["evaluationSamples"].([]any)
		if err != nil || ids[r["templateId"]] || len(samples) < 1 || len(samples) > 100 {
			t.Fatalf("%v, %d samples, in %.300s", err, len(samples), record)
		}
		ids[r["templateId"]] = true
		for _, s := range samples {
			sample := s.(map[string]any)
			var given []string
			for _, v := range sample["inputVariables"].([]any) {
				for name, value := range v.(map[string]any) { // one
					given = append(given, name)
					_ = value.(string)
				}
			}
			if reference, there := sample["referenceResponse"]; there && reference.(string) == "" || !slices.Equal(given, names) {
				t.Fatalf("%v of %v, %v", given, names, sample)
			}
		}
	}
	if len(got.records) < 10 {
		t.Errorf("%d records", len(got.records))
	}
	for reason := range got.dropped {
		if !slices.ContainsFunc(nodeOptimizationBedrockAPO.Drops, func(d Drop) bool { return d.Reason == reason }) && reason != GroupTooLarge {
			t.Errorf("drop reason %q is not told", reason)
		}
	}
}

func TestReferencesOptionIsTrueOrFalse(t *testing.T) {
	t.Parallel()
	if _, err := New(NodeOptimization, "bedrock_apo", map[string]any{"references": "no"}); err == nil || !strings.Contains(err.Error(), `"references" must be true or false`) {
		t.Errorf("%v", err)
	}
}
