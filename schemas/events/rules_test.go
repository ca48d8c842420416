package events

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

var (
	tooLong   = strings.Repeat("x", shortText+1)
	tooBig    = json.Number("9223372036854775808")
	tooSmall  = json.Number("-9223372036854775809")
	badIDs    = []any{7, "", "a/b", " a", "-a", ".a", "a b", "é", "a\n", strings.Repeat("a", 129)}
	badTexts  = []any{7, true, []any{}, map[string]any{}, "a\x00b", tooLong}
	notObject = []any{7, "x", true, []any{}}
)

// kinds lists, for each kind of value of the contract, values that must be refused and values that
// must be accepted.
var kinds = map[string]struct{ bad, good []any }{
	"id":   {badIDs, []any{"a", "7", "A9._:~-", strings.Repeat("a", 128)}},
	"apps": {append([]any{[]any{}, []any{"a", 7}, []any{"a b"}, slices.Repeat([]any{"a"}, 101)}, badIDs...), nil},
	"joined": {append([]any{"a,", ",a", "a,,b", []any{"a"}}, badIDs...),
		[]any{"a", "a,7", strings.Repeat("a", 128) + ",b"}},
	"workspace": {[]any{7, "", "Acme", "a.b", "_a", "-a", "a b", strings.Repeat("a", 64)},
		[]any{"a", "7", "a_b-c", strings.Repeat("a", 63)}},
	"text": {badTexts, []any{"", "a\nb\t\"", "𝄞 ü 漢", strings.Repeat("x", shortText)}},
	"words": {[]any{7, true, []any{}, map[string]any{}, "a\x00b", strings.Repeat("ü", 1001)},
		[]any{"", "a\nb\t\"", strings.Repeat("ü", 1000)}},
	"time": {
		[]any{
			7, true, "", "yesterday", "2026-10-07", "2026-10-07 09:15:02Z", "2026-10-07T09:15:02", "2026-10-07T09:15:02+02:00",
			"1969-12-31T23:59:59.999Z", "2200-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z",
			"2026-10-07T24:00:00Z", "2026-10-07T09:60:00Z", "2026-10-07T09:15:60Z",
		},
		[]any{
			"1970-01-01T00:00:00Z", "2199-12-31T23:59:59.999999Z", "2028-02-29T23:59:59.5Z", "2026-10-07T09:15:02.123456789Z",
			"2026-10-07T09:15:02.123+00:00",
		},
	},
	"end": {
		[]any{7, true, "", "2200-01-01T00:00:00.001Z", "2200-01-01T00:00:01Z", "2200-01-02T00:00:00Z", "1969-12-31T23:59:59Z"},
		[]any{"2199-12-31T23:59:59.999999Z", "2200-01-01T00:00:00Z", "2200-01-01T00:00:00.000+00:00"},
	},
	"int": {[]any{"7", 1.5, true, tooBig, tooSmall, []any{}}, []any{0, -1, json.Number("9223372036854775807"),
		json.Number("-9223372036854775808")}},
	"count":    {[]any{"7", 1.5, true, tooBig, -1}, []any{0, json.Number("9223372036854775807")}},
	"positive": {[]any{"7", 1.5, true, tooBig, 0, -1}, []any{1, 1000}},
	"records":  {[]any{"7", 1.5, true, -1, 1_000_001}, []any{0, 1, 1_000_000}},
	"number":   {[]any{"0.5", true, []any{}, map[string]any{}}, []any{0, -0.5, 7, 1e300}},
	"share":    {[]any{"0.5", true, -0.1, 1.1}, []any{0, 0.25, 1}},
	"percent":  {[]any{"50", true, -0.1, 100.5}, []any{0, 33.3, 100}},
	"bool":     {[]any{"true", 1, []any{}}, []any{true, false}},
	"uri": {[]any{7, "", "manifest.json", "exports/acme/manifest.json"},
		[]any{"file:///data/bucket/exports/a/b/manifest.json", "s3://b/exports/a/b/manifest.json", "mem://b/m"}},
	"sha256": {[]any{7, "", strings.Repeat("A", 64), strings.Repeat("a", 63), strings.Repeat("a", 65)},
		[]any{strings.Repeat("0f", 32)}},
	"code":    {[]any{7, "", "Bad Code", "7x"}, []any{"runs_not_found"}},
	"pointer": {[]any{7, "target", "/a~2b"}, []any{"", "/selection/run_ids/3", "/a~1b"}},
	"object":  {notObject, nil},
	"element": {append(notObject, nil), nil},
	"array":   {[]any{7, "x", true, map[string]any{}}, nil},
	"content": {[]any{7, true, map[string]any{}, []any{7}, "a\x00b", tooLong},
		[]any{"", "hello", []any{}, []any{map[string]any{"type": "text", "text": "hi"}}}},
	"labels": {append(notObject, map[string]any{"a": 1}, map[string]any{"a": nil}, map[string]any{"a": "\x00"}),
		[]any{map[string]any{}, map[string]any{"A b/ü": ""}}},
	"counts": {append(notObject, map[string]any{"a": -1}, map[string]any{"a": "1"}, map[string]any{"a": 1.5},
		map[string]any{"A b": 1}), []any{map[string]any{}, map[string]any{"no_output": 3}}},
	"ranges": {append(notObject, map[string]any{"a": 1}, map[string]any{"a": map[string]any{}},
		map[string]any{"a": map[string]any{"min": "x"}}, map[string]any{"a": map[string]any{"least": 1}},
		map[string]any{"rating": map[string]any{"min": 1}}, map[string]any{"": map[string]any{"min": 1}}),
		[]any{map[string]any{}, map[string]any{"A b/ü": map[string]any{"max": -0.5}}}},
	"enum": {[]any{7, "", "unknown", true, []any{}}, nil},
}

func TestEveryFieldIsHeldToItsRule(t *testing.T) {
	for _, c := range contracts {
		t.Run(c.eventType, func(t *testing.T) {
			t.Parallel()
			schema := compiled(t, c.eventType)
			// try changes a fresh document at a field's place and reports whether it is still
			// valid.
			try := func(path string, change func(*place)) bool {
				for _, doc := range c.documents(t) {
					if p := find(doc, path); p != nil {
						change(p)
						return schema.Validate(doc) == nil
					}
				}
				t.Fatalf("no document has %s", path)
				return false
			}
			for _, f := range c.table(t) {
				name, values, _ := strings.Cut(f.kind, ":")
				kind, ok := kinds[name]
				if !ok {
					t.Fatalf("%s: kind %q", f.path, f.kind)
				}
				good := kind.good
				if values != "" {
					for value := range strings.SplitSeq(values, "|") {
						good = append(good, value)
					}
				}
				for _, v := range kind.bad {
					if try(f.path, func(p *place) { p.set(v) }) {
						t.Errorf("%s may be %.60v", f.path, v)
					}
				}
				if !f.conditional {
					for _, v := range good {
						if !try(f.path, func(p *place) { p.set(v) }) {
							t.Errorf("%s may not be %.60v", f.path, v)
						}
					}
				}
				if f.kind != "content" && try(f.path, func(p *place) { p.set(nil) }) != f.nullable && !f.conditional {
					t.Errorf("%s: null accepted is %v", f.path, !f.nullable)
				}
				if (f.required || !f.conditional) && !strings.HasSuffix(f.path, "[]") &&
					try(f.path, (*place).remove) == f.required {
					t.Errorf("%s: absence accepted is %v", f.path, f.required)
				}
			}
		})
	}
}

func TestUnknownFieldsAreIgnoredInRunEventsAndRefusedInRequests(t *testing.T) {
	for _, c := range contracts {
		schema := compiled(t, c.eventType)
		doc := c.documents(t)[0]
		doc.(map[string]any)["colour"] = map[string]any{"a": []any{1, nil}}
		if err := schema.Validate(doc); (err == nil) != c.open {
			t.Errorf("%s: %v", c.eventType, err)
		}
		for _, f := range c.table(t) {
			if f.kind != "object" && f.kind != "element" || f.path == "options" {
				continue // the target decides which options exist
			}
			for _, doc := range c.documents(t) {
				p := find(doc, f.path)
				if p == nil {
					continue
				}
				object := asObject(p.object[p.key])
				if p.array != nil {
					object = asObject(p.array[0])
				}
				if object == nil {
					continue // null
				}
				object["colour"] = "red"
				if err := schema.Validate(doc); (err == nil) != c.open {
					t.Errorf("%s: %s: %v", c.eventType, f.path, err)
				}
			}
		}
	}
}

func TestFreeJSONKeepsTheLimitsOfText(t *testing.T) {
	deep := func(v any) any { return map[string]any{"a": []any{map[string]any{"b": v}}} }
	for _, c := range contracts {
		if !c.limits {
			continue
		}
		schema := compiled(t, c.eventType)
		field := "colour" // unknown
		if !c.open {
			field = "options"
		}
		for _, v := range []any{deep("a\x00b"), deep(tooLong), deep(map[string]any{"\x00": 1}), map[string]any{tooLong: 1}} {
			doc := c.documents(t)[0].(map[string]any)
			doc[field] = v
			if schema.Validate(doc) == nil {
				t.Errorf("%s: %s may be %.60v", c.eventType, field, v)
			}
		}
		doc := c.documents(t)[0].(map[string]any)
		doc[field] = deep([]any{nil, true, json.Number("1e400"), json.Number("123456789012345678901234567890"), ""})
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%s: %v", c.eventType, err)
		}
	}
}

func TestRulesBetweenFields(t *testing.T) {
	runIDs := func(n int) string {
		return `{"selection": {"window": null, "limit": null, "run_ids": [` + strings.TrimSuffix(strings.Repeat(`"r",`, n),
			",") + `]}}`
	}
	const run, feedback = "dev.millrace.run.v1", "dev.millrace.feedback.v1"
	const request, completed = "dev.millrace.export.requested.v1", "dev.millrace.export.completed.v1"
	for _, test := range []struct {
		eventType, name, patch string
		valid                  bool
	}{
		{feedback, "a rating alone", `{"score": null}`, true},
		{feedback, "a score alone", `{"rating": null}`, true},
		{feedback, "a comment alone", `{"rating": null, "score": null, "corrected_answer": null}`, true},
		{feedback, "a corrected answer alone", `{"rating": null, "score": null, "comment": null}`, true},
		{feedback, "nothing", `{"rating": null, "score": null, "comment": "", "corrected_answer": null}`, false},
		{feedback, "a reserved name", `{"name": "rating"}`, false},
		{run, "an empty run id", `{"run_id": ""}`, false},
		{run, "a trigger of one's own", `{"trigger": "nightly-batch"}`, true},
		{request, "one run", runIDs(1), true},
		{request, "10,000 runs", runIDs(10_000), true},
		{request, "10,001 runs", runIDs(10_001), false},
		{request, "no runs", runIDs(0), false},
		{request, "limit", `{"selection": {"window": null}}`, true},
		{request, "window", `{"selection": {"limit": null}}`, true},
		{request, "an empty selection", `{"selection": {"limit": null, "window": null}}`, false},
		{request, "runs and a limit", `{"selection": {"window": null, "run_ids": ["r"]}}`, false},
		{request, "runs and a window", `{"selection": {"limit": null, "run_ids": ["r"]}}`, false},
		{request, "runs, a window and a limit", `{"selection": {"run_ids": ["r"]}}`, false},
		{request, "an open window", `{"selection": {"window": {"to": null}}}`, false},
		{request, "no nodes", `{"nodes": []}`, false},
		{request, "node_evaluation without nodes", `{"nodes": null}`, false},
		{request, "node_optimization without nodes", `{"purpose": "node_optimization", "nodes": null}`, false},
		{request, "node_optimization", `{"purpose": "node_optimization"}`, true},
		{request, "recipe_evaluation", `{"purpose": "recipe_evaluation", "nodes": null}`, true},
		{request, "recipe_evaluation with nodes", `{"purpose": "recipe_evaluation"}`, false},
		{request, "export_dataset", `{"purpose": "export_dataset", "nodes": null}`, true},
		{request, "export_dataset with nodes", `{"purpose": "export_dataset"}`, false},
		{request, "fine_tuning with nodes", `{"purpose": "fine_tuning", "target": null}`, true},
		{request, "fine_tuning without nodes", `{"purpose": "fine_tuning", "target": null, "nodes": null}`, true},
		{request, "fine_tuning in CSV", `{"purpose": "fine_tuning", "target": null, "format": "csv"}`, false},
		{request, "a type beside the data", `{"type": "dev.millrace.export.requested.v1"}`, false},
		{request, "an option of another version", `{"options": {"model_identifier": "m"}}`, true},
		{request, "an option that is no name", `{"options": {"Model Identifier": "m"}}`, false},
		{request, "the least", `{"name": null, "requested_by": null, "on_behalf_of": null, "filters": null, "target": null, "format": null,
			"compression": null, "fragment": null, "split": null, "options": null}`, true},
		{completed, "succeeded with an error", `{"error": {"code": "x", "message": "x", "retryable": true}}`, false},
		{completed, "failed without an error", `{"status": "failed", "error": null}`, false},
		{completed, "failed with a null for an error", `{"status": "failed"}`, false},
		{completed, "cancelled", `{"status": "cancelled", "error": null}`, true},
		{completed, "cancelled with a reason",
			`{"status": "cancelled", "error": {"code": "x", "message": "x", "retryable": true}}`, true},
		{completed, "cancelled with a text for a reason", `{"status": "cancelled", "error": "x"}`, false},
		{completed, "refused",
			`{"status": "failed", "purpose": null, "source": null, "app_id": null, "target": null, "format": null,
			"rows_planned": null, "rows_used": null, "accepted_at": null,
			"error": {"code": "invalid_request", "message": "m", "retryable": false}}`, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var patch any
			if err := json.Unmarshal([]byte(test.patch), &patch); err != nil {
				t.Fatal(err)
			}
			doc := merge(parse(t, readFile(t, test.eventType+".example.json")), patch)
			if err := compiled(t, test.eventType).Validate(doc); (err == nil) != test.valid {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAFeedbackOfNullsIsNone(t *testing.T) {
	const feedback = "dev.millrace.feedback.v1"
	doc := parse(t, readFile(t, feedback+".example.json")).(map[string]any)
	doc["rating"], doc["score"], doc["comment"], doc["corrected_answer"] = nil, nil, nil, nil
	if compiled(t, feedback).Validate(doc) == nil {
		t.Error("valid without rating, score, comment and corrected answer")
	}
}

func TestASucceededExportSaysWhatItWas(t *testing.T) {
	const completed = "dev.millrace.export.completed.v1"
	schema := compiled(t, completed)
	for _, key := range strings.Fields("purpose source target format requested_at rows_planned rows_used " +
		"accepted_at") {
		doc := parse(t, readFile(t, completed+".example.json")).(map[string]any)
		delete(doc, key)
		if schema.Validate(doc) == nil {
			t.Errorf("valid without %s", key)
		}
		doc[key] = nil
		if schema.Validate(doc) == nil {
			t.Errorf("valid with a null %s", key)
		}
	}
}

func TestDataIsAnObject(t *testing.T) {
	for _, name := range Types() {
		schema := compiled(t, name)
		for _, doc := range []any{nil, true, 7, "x", []any{}, []any{parse(t, readFile(t, name+".example.json"))}} {
			if schema.Validate(doc) == nil {
				t.Errorf("%s may be %.60v", name, doc)
			}
		}
	}
}

// targets are the targets of each purpose, the default first.
var targets = map[string]string{
	"export_dataset":    "canonical answer_insights",
	"recipe_evaluation": "canonical " + evaluationTargets,
	"node_evaluation":   "canonical " + evaluationTargets,
	"node_optimization": "canonical dspy bedrock_apo",
	"fine_tuning": `openai_chat together mistral bedrock_conversation bedrock_distillation gemini sharegpt
		trl_prompt_completion trl_kto openai_dpo trl_dpo gemini_preference`,
}

const evaluationTargets = "karini_csv ragas deepeval langsmith langfuse mlflow inspect openai_evals promptfoo " +
	"bedrock_eval bedrock_rag"

func TestTargetsAndFormatsFollowThePurpose(t *testing.T) {
	schema := compiled(t, "dev.millrace.export.requested.v1")
	known := []string{"", "parquet_files"} // "" is the default
	for _, list := range targets {
		known = append(known, strings.Fields(list)...)
	}
	formats := func(purpose, target string) []string {
		switch {
		case purpose != "fine_tuning" && (target == "canonical" || target == ""):
			return []string{"", "jsonl", "json", "csv", "parquet"}
		case target == "karini_csv":
			return []string{"", "csv"}
		case target == "answer_insights":
			return []string{"", "json"}
		}
		return []string{"", "jsonl"}
	}
	for purpose, list := range targets {
		for _, target := range known {
			for _, format := range []string{"", "jsonl", "json", "csv", "parquet", "xlsx"} {
				doc := map[string]any{
					"export_id": "e", "workspace_id": "w", "purpose": purpose, "source": "recipe", "app_id": "a",
					"selection": map[string]any{"limit": 1},
				}
				if strings.HasPrefix(purpose, "node_") {
					doc["nodes"] = []any{"n"}
				}
				if target != "" {
					doc["target"] = target
				}
				if format != "" {
					doc["format"] = format
				}
				want := (target == "" || slices.Contains(strings.Fields(list), target)) &&
					slices.Contains(formats(purpose, target), format)
				if err := schema.Validate(doc); (err == nil) != want {
					t.Errorf("%s: %v", fmt.Sprint(purpose, " ", target, " ", format), err)
				}
			}
		}
	}
}
