package optimization_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/optimization"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// The vendor's rules of a template, as its samples check them.
// apoRow is a sample of a template; n is its age.
func apoRow(n int, change func(*record.Row)) *record.Row {
	return formattest.NodeRow(func(r *record.Row) {
		r.Group, r.Node.NodeRunID = []byte("t"), fmt.Appendf(nil, "n-%d", n)
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
	head := `{"version":"bedrock-2026-05-14","templateId":` + string(record.AppendTemplateID(nil,
		[]byte("In {{language}}: {{question}}"))) +
		`,"promptTemplate":"In {{language}}: {{question}}","evaluationSamples":[`
	variables := func(language, question string) string {
		return `{"inputVariables":[{"language":` + language + `},{"question":` + question + `}]`
	}
	for _, test := range []struct {
		name    string
		options map[string]any
		changes []func(*record.Row)
		want    string // samples
		dropped string
	}{
		{"one", nil, []func(*record.Row){nil}, variables(`"en"`, `"q0"`) + "}", "map[]"},
		{"two ascend", nil, []func(*record.Row){nil, nil}, variables(`"en"`, `"q0"`) + "}," + variables(`"en"`, `"q1"`) + "}",
			"map[]"},
		{"a reference", nil, []func(*record.Row){func(r *record.Row) {
			r.Reference = []byte("ref \"1\"")
			r.Feedback.CorrectedAnswer = []byte("no")
		}},
			variables(`"en"`, `"q0"`) + `,"referenceResponse":"ref \"1\""}`, "map[]"},
		{"a corrected answer", nil, []func(*record.Row){func(r *record.Row) {
			r.Feedback.CorrectedAnswer = []byte("better")
		}}, variables(`"en"`, `"q0"`) + `,"referenceResponse":"better"}`, "map[]"},
		{"a corrected answer of no feedback", nil, []func(*record.Row){func(r *record.Row) {
			r.Feedback.CorrectedAnswer,
				r.HasFeedback = []byte("stale"), false
		}}, variables(`"en"`, `"q0"`) + `}`, "map[]"},
		{"no references wanted", map[string]any{"references": false},
			[]func(*record.Row){func(r *record.Row) { r.Reference = []byte("ref") }}, variables(`"en"`, `"q0"`) + `}`, "map[]"},
		{"values that are no text", nil, []func(*record.Row){func(r *record.Row) {
			r.Node.PromptVariables = []byte(`{"question":{"a":[1E400,"x"]},"\u006canguage":1}`)
		}},
			variables(`"1"`, `"{\"a\":[1E400,\"x\"]}"`) + `}`, "map[]"},
		{"an empty value", nil, []func(*record.Row){func(r *record.Row) {
			r.Node.PromptVariables = []byte(`{"question":"","language":"en"}`)
		}}, variables(`"en"`, `""`) + `}`, "map[]"},
		{"a missing variable", nil, []func(*record.Row){func(r *record.Row) {
			r.Node.PromptVariables = []byte(`{"question":"q"}`)
		}, nil}, variables(`"en"`, `"q1"`) + `}`, "map[missing_variable:1]"},
		{"a variable that is null", nil, []func(*record.Row){func(r *record.Row) {
			r.Node.PromptVariables = []byte(`{"question":"q","language":null}`)
		}}, "", "map[missing_variable:1]"},
		{"no variables", nil, []func(*record.Row){func(r *record.Row) { r.Node.PromptVariables = nil },
			func(r *record.Row) { r.Node.PromptVariables = []byte(`[]`) }}, "", "map[missing_variable:2]"},
		{"no template", nil, []func(*record.Row){func(r *record.Row) { r.Node.PromptTemplate = nil },
			func(r *record.Row) { r.Node.PromptTemplate = nil }}, "", "map[no_template:2]"},
		{"a template that is refused", nil, []func(*record.Row){func(r *record.Row) {
			r.Node.PromptTemplate = []byte("{{a}} {b}")
		}}, "", "map[single_brace_placeholder:1]"},
	} {
		var rows []*record.Row
		for i, change := range test.changes {
			rows = append(rows, apoRow(i, change))
		}
		got := formattest.StreamRows(t, format.NodeOptimization, "bedrock_apo", test.options, rows)
		if dropped := fmt.Sprint(got.Dropped); dropped != test.dropped {
			t.Errorf("%s: dropped %s", test.name, dropped)
		}
		want := ""
		if test.want != "" {
			want = head + test.want + "]}"
		}
		if record := string(bytes.Join(got.Records, []byte("\n"))); record != want {
			t.Errorf("%s: %s\nwant %s", test.name, record, want)
		}
	}
}

// apoQuestions are the questions of a record, in its order.
func apoQuestions(t *testing.T, record []byte) (questions []string) {
	t.Helper()
	for _, s := range formattest.AsJSON(t, record)["evaluationSamples"].([]any) {
		variables := s.(map[string]any)["inputVariables"].([]any)
		questions = append(questions, variables[1].(map[string]any)["question"].(string))
	}
	return questions
}

func TestATemplateKeepsSamplesWithAReferenceAndThenTheNewest(t *testing.T) {
	t.Parallel()
	var rows []*record.Row
	var want []string
	for i := range 500 {
		referenced := i%10 == 3 // 50 of them
		rows = append(rows, apoRow(i, func(r *record.Row) {
			if referenced {
				r.Reference = []byte("ref")
			}
		}))
		if referenced || i >= 500-55 { // 50 of the newest, since 5 of 55 have a reference
			want = append(want, fmt.Sprintf("q%d", i))
		}
	}
	// Another group after it, and one that only has references.
	for i := range 130 {
		rows = append(rows, apoRow(i, func(r *record.Row) {
			r.Group, r.Node.PromptTemplate = []byte("u"), []byte("Another, in {{language}}: {{question}}")
			r.Reference = []byte("ref")
		}))
	}
	got := formattest.StreamRows(t, format.NodeOptimization, "bedrock_apo", nil, rows)
	if len(got.Records) != 2 || got.Used != 200 || got.Dropped["template_full"] != 430 {
		t.Fatalf("%d records of %d rows, dropped %v", len(got.Records), got.Used, got.Dropped)
	}
	if questions := apoQuestions(t, got.Records[0]); !slices.Equal(questions, want) {
		t.Errorf("%v\nwant %v", questions, want)
	}
	if questions := apoQuestions(t, got.Records[1]); len(questions) != 100 || questions[0] != "q30" ||
		questions[99] != "q129" {
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
		{"rather an older one with a reference", []sample{{"a", "1"}, {"b", ""}, {"a", ""}}, []sample{{"a", "1"}, {"b", ""}},
			1},
		{"the one that has a reference", []sample{{"a", ""}, {"b", ""}, {"a", "1"}}, []sample{{"b", ""}, {"a", "1"}}, 1},
		{"again and again", []sample{{"a", ""}, {"a", ""}, {"a", "1"}, {"a", ""}, {"a", "2"}}, []sample{{"a", "2"}}, 4},
		{"a question that begins like another", []sample{{"a", ""}, {"ab", ""}, {"a", ""}}, []sample{{"ab", ""}, {"a", ""}},
			1},
	} {
		var rows []*record.Row
		for i, s := range test.rows {
			rows = append(rows, apoRow(i, func(r *record.Row) {
				r.Node.PromptVariables = fmt.Appendf(nil, `{"question":%q,"language":"en"}`, s.question)
				r.Reference = []byte(s.reference)
			}))
		}
		got := formattest.StreamRows(t, format.NodeOptimization, "bedrock_apo", nil, rows)
		var samples []sample
		for _, s := range formattest.AsJSON(t, got.Records[0])["evaluationSamples"].([]any) {
			reference, _ := s.(map[string]any)["referenceResponse"].(string)
			samples = append(samples, sample{apoQuestions(t, got.Records[0])[len(samples)], reference})
		}
		if !slices.Equal(samples, test.want) || got.Dropped["duplicate_sample"] != test.dropped {
			t.Errorf("%s: %v, dropped %v", test.name, samples, got.Dropped)
		}
	}
}

func TestARecordFitsIntoAFile(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("large texts and no concurrency: it runs without -short")
	}
	text := strings.Repeat("x", 1<<20)
	var rows []*record.Row
	for i := range 120 {
		rows = append(rows, apoRow(i, func(r *record.Row) {
			r.Node.PromptVariables = fmt.Appendf(nil, `{"question":"q%d","language":%q}`, i, text)
			if i < 2 {
				r.Reference = []byte("ref")
			}
		}))
	}
	got := formattest.StreamRows(t, format.NodeOptimization, "bedrock_apo", nil, rows)
	if len(got.Records) != 1 {
		t.Fatalf("%d records", len(got.Records))
	}
	size := len(got.Records[0]) + len("\ufeff\n")
	if size > 50_000_000 || size < 50_000_000-2*len(text) {
		t.Errorf("%d bytes", size)
	}
	questions := apoQuestions(t, got.Records[0])
	if n := len(questions); int64(n) != got.Used || questions[0] != "q0" || questions[1] != "q1" ||
		questions[2] != fmt.Sprintf("q%d", 120-(n-2)) || questions[n-1] != "q119" {
		t.Errorf("%v", questions)
	}
}

func TestASampleThatIsLargerThanAFileIsDropped(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("large texts and no concurrency: it runs without -short")
	}
	huge := apoRow(1, func(r *record.Row) {
		r.Node.PromptVariables = fmt.Appendf(nil, `{"language":"","question":%q}`, strings.Repeat("x", 50_000_000))
	})
	got := formattest.StreamRows(t, format.NodeOptimization, "bedrock_apo", nil, []*record.Row{huge})
	if len(got.Records) != 0 || got.Dropped["template_full"] != 1 {
		t.Errorf("%d records, dropped %v", len(got.Records), got.Dropped)
	}
	got = formattest.StreamRows(t, format.NodeOptimization, "bedrock_apo", nil, []*record.Row{apoRow(0, nil), huge,
		apoRow(2, nil)})
	if len(got.Records) != 1 || len(got.Records[0]) > 1000 {
		t.Errorf("%d records, dropped %v", len(got.Records), got.Dropped)
	}
}

func TestTemplatesOfTheSampleAreWhatBedrockTakes(t *testing.T) {
	t.Parallel()
	got := formattest.StreamHistory(t, format.NodeOptimization, "bedrock_apo", nil, formattest.SampleHistory(t, 3000))
	ids := map[any]bool{}
	for _, record := range got.Records {
		r := formattest.AsJSON(t, record)
		if keys := formattest.KeysOf(t, record); !slices.Equal(keys, []string{"version", "templateId", "promptTemplate",
			"evaluationSamples"}) {
			t.Fatalf("keys %v", keys)
		}
		names, err := optimization.ApoNames(r["promptTemplate"].(string))
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
			if reference, there := sample["referenceResponse"]; there && reference.(string) == "" ||
				!slices.Equal(given, names) {
				t.Fatalf("%v of %v, %v", given, names, sample)
			}
		}
	}
	if len(got.Records) < 10 {
		t.Errorf("%d records", len(got.Records))
	}
	for reason := range got.Dropped {
		if !slices.ContainsFunc(optimization.BedrockAPO.Drops, func(d format.Drop) bool { return d.Reason == reason }) &&
			reason != format.GroupTooLarge {
			t.Errorf("drop reason %q is not told", reason)
		}
	}
}

func TestReferencesOptionIsTrueOrFalse(t *testing.T) {
	t.Parallel()
	if _, err := targets.New(format.NodeOptimization, "bedrock_apo", map[string]any{"references": "no"}); err == nil ||
		!strings.Contains(err.Error(), `"references" must be true or false`) {
		t.Errorf("%v", err)
	}
}
