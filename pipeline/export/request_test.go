package export_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/card"
	"github.com/millrace/millrace/pipeline/strictjson"
	"github.com/millrace/millrace/schemas/events"
	"github.com/millrace/millrace/schemas/events/eventstest"
)

var day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// with returns the JSON of a request with replaced fields; null removes a field.
func with(fields string) string {
	doc := map[string]any{
		"export_id": "e1", "workspace_id": "acme", "purpose": "export_dataset", "source": "recipe", "app_id": "app",
		"selection": map[string]any{"limit": 10},
	}
	var changes map[string]any
	if err := json.Unmarshal([]byte("{"+fields+"}"), &changes); err != nil {
		panic(err)
	}
	for key, value := range changes {
		if doc[key] = value; value == nil {
			delete(doc, key)
		}
	}
	text, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// ParseRequest and the JSON Schema of requests agree, except for rules that a schema cannot
// express.
func TestParserAndSchemaAgreeOnRequests(t *testing.T) {
	t.Parallel()
	for fields, want := range map[string]string{
		``: "",
		`"name":"n","requested_by":"me","options":{},"filters":{},"fragment":{}`: "",
		`"selection":{"run_ids":["a","b"]}`:                                      "",
		`"selection":{"run_ids":[]}`:                                             "out_of_range /selection/run_ids",
		`"selection":{"run_ids":["../a", 5]}`: "bad_id /selection/run_ids/0, " +
			"wrong_type /selection/run_ids/1",
		`"selection":{"run_ids":["a"],"limit":5}`: "not_possible /selection/run_ids",
		`"selection":{}`:                               "missing_field /selection",
		`"selection":[]`:                               "wrong_type /selection",
		`"selection":{"limit":1.5}`:                    "wrong_type /selection/limit",
		`"selection":{"limit":"10"}`:                   "wrong_type /selection/limit",
		`"selection":{"limit":-1}`:                     "out_of_range /selection/limit",
		`"selection":{"limit":1e30}`:                   "out_of_range /selection/limit",
		`"selection":{"limit_runs":7}`:                 "",
		`"selection":{"limit_runs":0}`:                 "out_of_range /selection/limit_runs",
		`"selection":{"limit_runs":7,"limit":7}`:       "not_possible /selection/limit_runs",
		`"selection":{"limit_runs":7,"run_ids":["a"]}`: "not_possible /selection/run_ids",
		`"selection":{"sample":{"size":100}}`:          "",
		`"selection":{"sample":{"size":1,"seed":-7,"by":"region"},"window":{"from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z"}}`: "",
		`"selection":{"sample":{}}`:                                  "missing_field /selection/sample/size",
		`"selection":{"sample":7}`:                                   "wrong_type /selection/sample",
		`"selection":{"sample":{"size":0,"seed":"x","by":7,"of":1}}`: "wrong_type /selection/sample/by, unknown_field /selection/sample/of, wrong_type /selection/sample/seed, out_of_range /selection/sample/size",
		`"selection":{"sample":{"size":5},"limit":5}`:                "not_possible /selection/sample",
		`"selection":{"sample":{"size":5},"run_ids":["a"]}`:          "not_possible /selection/run_ids",
		`"selection":{"last":5}`:                                     "missing_field /selection, unknown_field /selection/last",
		`"selection":{"window":{"from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00.123456Z","by":"ingested_at"},"limit":3}`:                             "",
		`"selection":{"window":{"from":"2199-12-31T00:00:00Z","to":"2200-01-01T00:00:00Z"}}`:                                                                 "",
		`"selection":{"window":{"from":"2199-12-31T00:00:00Z","to":"2200-01-01T00:00:00.000001Z"}}`:                                                          "out_of_range /selection/window/to",
		`"selection":{"window":{"from":"2200-01-01T00:00:00Z","to":"2200-01-01T00:00:00Z"}}`:                                                                 "out_of_range /selection/window/from",
		`"selection":{"window":{"from":"2026-01-01T00:00:00Z"}}`:                                                                                             "missing_field /selection/window/to",
		`"selection":{"window":{"from":"2026-01-01","to":"1969-01-01T00:00:00Z","by":"updated_at"}}`:                                                         "wrong_type /selection/window/by, wrong_type /selection/window/from, out_of_range /selection/window/to",
		`"filters":{"app_versions":["v","w"],"statuses":["failed"],"rating":"thumbsUp","min_score":0.5,"session_id":"s","user_id":"u","metadata":{"a":"b"}}`: "",
		`"filters":{"app_versions":"v","statuses":["done"],"rating":"up","min_score":"0","session_id":1,"user_id":null,"metadata":{"a":1}}`: "wrong_type /filters/app_versions, wrong_type /filters/metadata/a, wrong_type /filters/min_score, " +
			"wrong_type /filters/rating, wrong_type /filters/session_id, wrong_type /filters/statuses/0, wrong_type " +
			"/filters/user_id",
		`"filters":{"text":"why","models":["m"],"triggers":["chat"],"error_types":["","timeout"],"tags":["t"],"rating":"none","has_files":false}`:                              "",
		`"filters":{"scores":{"fair":{"min":0.5},"score":{"max":-1e9},"x y":{"min":1,"max":1}},"min_latency_ms":-5,"max_latency_ms":1e3,"min_cost_usd":0,"max_cost_usd":0.01}`: "",
		`"filters":{"scores":{},"models":[]}`: "",
		`"filters":{"text":7,"models":"m","triggers":[7],"error_types":null,"tags":{},"has_files":"yes","scores":[]}`:   "wrong_type /filters/error_types, wrong_type /filters/has_files, wrong_type /filters/models, wrong_type /filters/scores, wrong_type /filters/tags, wrong_type /filters/text, wrong_type /filters/triggers/0",
		`"filters":{"min_latency_ms":1.5,"max_latency_ms":1e30,"min_cost_usd":"1","max_cost_usd":false,"min_score":[]}`: "wrong_type /filters/max_cost_usd, out_of_range /filters/max_latency_ms, wrong_type /filters/min_cost_usd, wrong_type /filters/min_latency_ms, wrong_type /filters/min_score",
		`"filters":{"scores":{"":{"min":1},"rating":{"max":1},"a":{},"b":7,"c":{"min":"x"},"d/e":{"least":1}}}`: "out_of_range /filters/scores/, missing_field /filters/scores/a, wrong_type /filters/scores/b, " +
			"wrong_type /filters/scores/c/min, missing_field /filters/scores/d~1e, unknown_field /filters/scores/d~1e/least, " +
			"out_of_range /filters/scores/rating",
		`"filters":{"text":"` + strings.Repeat("ü", 1000) + `"}`: "",
		`"filters":{"text":"` + strings.Repeat("ü", 1001) + `"}`: "out_of_range /filters/text",
		`"purpose":null,"source":null,"app_id":null,"selection":null`: "missing_field /app_id, missing_field /purpose, " +
			"missing_field /selection, missing_field /source",
		`"purpose":"backup"`:                                                                      "wrong_type /purpose",
		`"purpose":"node_evaluation"`:                                                             "missing_field /nodes",
		`"purpose":"node_evaluation","nodes":[]`:                                                  "out_of_range /nodes",
		`"purpose":"node_evaluation","nodes":["solve"]`:                                           "",
		`"purpose":"fine_tuning","nodes":["solve"]`:                                               "",
		`"purpose":"fine_tuning"`:                                                                 "",
		`"purpose":"fine_tuning","nodes":[]`:                                                      "out_of_range /nodes",
		`"purpose":"recipe_evaluation","nodes":["solve"]`:                                         "not_possible /nodes",
		`"purpose":"fine_tuning","target":"canonical"`:                                            "not_possible /target",
		`"purpose":"fine_tuning","format":"csv"`:                                                  "not_possible /format",
		`"purpose":"fine_tuning","target":"openai_dpo"`:                                           "",
		`"target":"ragas"`:                                                                        "not_possible /target",
		`"target":"excel"`:                                                                        "wrong_type /target",
		`"target":"answer_insights"`:                                                              "",
		`"target":"answer_insights","format":"jsonl"`:                                             "not_possible /format",
		`"format":"parquet","compression":"zstd"`:                                                 "",
		`"format":"xlsx","compression":"lz4"`:                                                     "wrong_type /compression, wrong_type /format",
		`"fragment":{"max_records":0,"max_bytes":1}`:                                              "",
		`"fragment":{"max_records":1000000}`:                                                      "",
		`"fragment":{"max_records":1000001,"max_bytes":0,"n":1}`:                                  "out_of_range /fragment/max_bytes, out_of_range /fragment/max_records, unknown_field /fragment/n",
		`"split":{"validation":0.1,"test":0,"seed":7}`:                                            "",
		`"split":{"validation":1.1,"test":-1,"seed":"x"}`:                                         "wrong_type /split/seed, out_of_range /split/test, out_of_range /split/validation",
		`"purpose":"node_optimization","target":"bedrock_apo","nodes":["n"],"split":{"test":0.5}`: "not_possible /split",
		`"purpose":"recipe_evaluation","target":"dspy"`:                                           "not_possible /target",
		`"options":[1]`:  "wrong_type /options",
		`"colour":"red"`: "unknown_field /colour",
		`"app_id":"a b"`: "bad_id /app_id",
		`"app_id":null`:  "",
		`"app_id":null,"purpose":"recipe_evaluation"`:             "missing_field /app_id",
		`"app_id":null,"purpose":"fine_tuning","nodes":["solve"]`: "missing_field /app_id",
		`"app_id":["a","b","a"]`:                                  "",
		`"app_id":["a"],"purpose":"recipe_evaluation"`:            "",
		`"app_id":[]`:            "out_of_range /app_id",
		`"app_id":["a","b c",7]`: "bad_id /app_id/1, wrong_type /app_id/2",
		`"app_id":[` + strings.Repeat(`"a",`, 100) + `"a"]`:                "out_of_range /app_id",
		`"app_id":["a","b"],"purpose":"recipe_evaluation"`:                 "not_possible /app_id",
		`"app_id":["a","b"],"purpose":"node_evaluation","nodes":["solve"]`: "not_possible /app_id",
		`"app_id":["a","b"],"purpose":"fine_tuning","nodes":["solve"]`:     "not_possible /app_id",
		`"app_id":["a","b"],"purpose":"fine_tuning"`:                       "",
	} {
		text := []byte(with(fields))
		if got := mistakes(t, text); got != want {
			t.Errorf("%s: %s; want %s", fields, got, want)
		}
		if err := eventstest.Check(t, export.TypeRequested, text); (err == nil) != (want == "") {
			t.Errorf("%s: the schema says %v", fields, err)
		}
	}
}

func mistakes(t *testing.T, text []byte) string {
	t.Helper()
	_, err := export.ParseRequest(text)
	if err == nil {
		return ""
	}
	var list export.Mistakes
	if !errors.As(err, &list) {
		return err.Error()
	}
	var codes []string
	for _, m := range list {
		codes = append(codes, m.Code+" "+m.Pointer)
		if m.Message == "" {
			t.Errorf("%s has no message", m.Pointer)
		}
	}
	return strings.Join(codes, ", ")
}

func TestRulesThatASchemaCannotExpressAreChecked(t *testing.T) {
	t.Parallel()
	for fields, want := range map[string]string{
		`"split":{"validation":0.6,"test":0.5}`: "out_of_range /split",
		`"filters":{"min_latency_ms":2,"max_latency_ms":1,"min_cost_usd":0.2,"max_cost_usd":0.1,"scores":{"a":{"min":1,"max":0}}}`: "out_of_range /filters/max_cost_usd, out_of_range /filters/max_latency_ms, out_of_range /filters/scores/a/max",
		`"selection":{"window":{"from":"2026-01-02T00:00:00Z","to":"2026-01-02T00:00:00Z"}}`: "out_of_range " +
			"/selection/window/to",
	} {
		if got := mistakes(t, []byte(with(fields))); got != want {
			t.Errorf("%s: %s; want %s", fields, got, want)
		}
	}
}

// A request without a valid identity has no export that could fail, so that it is a dead letter.
func TestADocumentWithoutAnIdentityIsRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]strictjson.Code{
		`{"export_id":"e1"`:          strictjson.InvalidJSON,
		`"e1"`:                       strictjson.WrongType,
		with(`"export_id":null`):     strictjson.MissingField,
		with(`"export_id":7`):        strictjson.WrongType,
		with(`"workspace_id":"A/B"`): strictjson.BadID,
		`{"export_id":"e","workspace_id":"acme","x":1,"x":2}`: strictjson.DuplicateKey,
	} {
		var refusal *strictjson.Refusal
		if _, err := export.ParseRequest([]byte(text)); !errors.As(err, &refusal) || refusal.Code != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// The target defines the options. The schema does not know them.
func TestTheTargetChecksOptions(t *testing.T) {
	t.Parallel()
	for fields, want := range map[string]string{
		`"purpose":"fine_tuning","options":{"pairs_per_input":2}`:                        "not_possible /options",
		`"purpose":"fine_tuning","target":"openai_dpo","options":{"pairs_per_input":2}`:  "",
		`"purpose":"fine_tuning","target":"openai_dpo","options":{"pairs_per_input":11}`: "not_possible /options",
		`"options":{"with_nodes":true,"columns":["run_id","nodes"]}`:                     "",
		`"options":{"columns":["nodes"]}`:                                                "not_possible /options",
		`"options":{"csv_raw":true}`:                                                     "not_possible /options",
		`"options":{"csv_raw":true},"format":"csv"`:                                      "",
	} {
		if got := mistakes(t, []byte(with(fields))); got != want {
			t.Errorf("%s: %s; want %s", fields, got, want)
		}
	}
}

func TestRequestsWithTheSameMeaningHaveOneHash(t *testing.T) {
	t.Parallel()
	parse := func(text string) *export.Request {
		r, err := export.ParseRequest([]byte(text))
		if err != nil {
			t.Fatal(text, err)
		}
		return r
	}
	same := [][]string{
		{with(``), with(
			`"target":"canonical","format":"jsonl","compression":"none","fragment":{"max_records":150},"filters":{"statuses":["failed","succeeded","cancelled"]},"split":{"seed":3},"options":{}`),
			`{"type":"dev.millrace.export.requested.v1",` + with(`"selection":{"limit":1e1},"filters":{"app_versions":[],"models":[],"tags":[],"scores":{},"text":""}`)[1:]},
		{with(`"selection":{"run_ids":["a","b"]}`), with(`"selection":{"run_ids":["b","a","b"]}`)},
		{with(`"selection":{"window":{"from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z"}}`),
			with(
				`"selection":{"window":{"by":"started_at","from":"2026-01-01T00:00:00.000Z","to":"2026-01-02T00:00:00+00:00"}}`)},
		{with(`"selection":{"limit":11}`), with(`"selection":{"limit_runs":11}`)},
		{with(`"name":"other"`)},
		{with(`"filters":{"session_id":""}`)},
		{with(`"filters":{"models":["a","b"]}`), with(`"filters":{"models":["b","a","b"]}`)},
		{with(`"filters":{"has_files":false}`)},
		{with(`"filters":{"min_cost_usd":0}`)},
		{with(`"filters":{"scores":{"a":{"min":0}}}`)},
		{with(`"fragment":{"max_records":0}`)},
		{with(`"options":{"bom":true}`)},
		{with(`"filters":{"metadata":{"a":"b"}}`)},
	}
	seen := map[string]int{}
	for i, group := range same {
		for _, text := range group {
			hash := parse(text).Hash()
			if j, ok := seen[hash]; ok && j != i {
				t.Errorf("%s has the hash of %s", text, same[j][0])
			}
			if hash != parse(group[0]).Hash() {
				t.Errorf("%s has another hash than %s", text, group[0])
			}
			seen[hash] = i
		}
	}
}

// plan.json and manifest.json contain the normalised request. Parsing it again changes nothing.
func TestANormalisedRequestParsesToItself(t *testing.T) {
	t.Parallel()
	example, err := events.FS.ReadFile(export.TypeRequested + ".example.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(example), with(``), with(`"purpose":"fine_tuning"`), with(`"format":"parquet"`)} {
		r, err := export.ParseRequest([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		normalised, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if r.Purpose == export.FineTuning { // the target has no limit of bytes yet
			normalised = []byte(strings.Replace(string(normalised), `,"max_bytes":0`, "", 1))
		}
		eventstest.Validate(t, export.TypeRequested, normalised)
		again, err := export.ParseRequest(normalised)
		if err != nil || again.Hash() != r.Hash() {
			t.Errorf("%s is not what it was: %v", normalised, err)
		}
	}
}

func TestDefaultsDependOnPurposeAndFormat(t *testing.T) {
	t.Parallel()
	for fields, want := range map[string]string{
		``:                        "canonical jsonl none {150 67108864}",
		`"format":"parquet"`:      "canonical parquet zstd {100000 67108864}",
		`"purpose":"fine_tuning"`: "openai_chat jsonl none {0 500000000}",
		`"purpose":"fine_tuning","fragment":{"max_records":7,"max_bytes":1000}`:                 "openai_chat jsonl none {7 1000}",
		`"purpose":"recipe_evaluation","target":"bedrock_eval","fragment":{"max_records":5000}`: "bedrock_eval jsonl none {1000 67108864}",
		`"purpose":"recipe_evaluation","target":"bedrock_rag","fragment":{"max_records":0}`:     "bedrock_rag jsonl none {1000 67108864}",
		`"target":"answer_insights"`:                          "answer_insights json none {150 67108864}",
		`"purpose":"recipe_evaluation","target":"karini_csv"`: "karini_csv csv none {150 67108864}",
		`"fragment":{"max_bytes":9}`:                          "canonical jsonl none {150 9}",
	} {
		r, err := export.ParseRequest([]byte(with(fields)))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%s %s %s %v", r.Target, r.Format, r.Compression, r.Fragment); got != want {
			t.Errorf("%s: %s, want %s", fields, got, want)
		}
	}
}

func TestAWindowHoldsWholeFragments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ maxRecords, want int64 }{{150, 30_000}, {0, 30_000}, {7, 29_995}, {20_000, 20_000},
		{30_001, 30_001}, {1_000_000, 1_000_000}} {
		r := export.Request{Fragment: export.Fragment{MaxRecords: c.maxRecords}}
		if got := r.WindowSize(30_000); got != c.want {
			t.Errorf("fragments of %d: windows of %d, want %d", c.maxRecords, got, c.want)
		}
	}
}

func TestNamesOfWindowsAreReadBack(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 3, 99_999, 100_000} {
		if got, ok := export.ParseWindowName(export.WindowName(n)); !ok || got != n {
			t.Errorf("%s is window %d, %v", export.WindowName(n), got, ok)
		}
	}
	for _, name := range []string{"windows/3.json", "windows/-0003.json", "windows/00003.json.tmp", "data/00003.json",
		"windows/000003.json"} {
		if n, ok := export.ParseWindowName(name); ok {
			t.Errorf("%s is window %d", name, n)
		}
	}
}

func TestThePercentageOfAnExportNeverFalls(t *testing.T) {
	t.Parallel()
	p := &export.Plan{Request: &export.Request{}, Rows: 100,
		Windows: []export.PlannedWindow{{Rows: 40}, {Rows: 40}, {Rows: 20}}}
	var tally export.Tally
	var got []float64
	for _, rows := range []int64{45, 60, 0} { // more than was planned
		got = append(got, export.NewProgress(p, export.StatusRunning, &tally, day).PercentDone)
		tally.Add(&export.WindowManifest{Rows: rows, RowsUsed: rows, Records: rows})
	}
	got = append(got, export.NewProgress(p, export.StatusRunning, &tally, day).PercentDone)
	if want := []float64{0, 45, 100, 100}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestTheCompletionOfEveryOutcomeMatchesItsSchema(t *testing.T) {
	t.Parallel()
	r, err := export.ParseRequest([]byte(with(`"nodes":["n"],"purpose":"node_evaluation"`)))
	if err != nil {
		t.Fatal(err)
	}
	bad, err := export.ParseRequest([]byte(
		with(`"purpose":"x","source":"y","app_id":"","selection":1,"target":"t","format":"f"`)))
	var mistakes export.Mistakes
	if !errors.As(err, &mistakes) {
		t.Fatal(err)
	}
	at := day.Add(time.Millisecond)
	windows := []*export.WindowManifest{{Rows: 3, RowsUsed: 2, Records: 2, Dropped: map[string]int64{"no_output": 1},
		Files: []export.File{{Kind: export.Data, Bytes: 9}}}}
	for name, c := range map[string]struct {
		plan    export.Plan
		status  export.Status
		why     *export.Error
		windows []*export.WindowManifest
	}{
		"succeeded": {export.Plan{Request: r, AcceptedAt: day, Watermark: day,
			Warnings: []export.Warning{{Code: "w", Message: "m", Count: 1}}}, export.StatusSucceeded, nil, windows},
		"empty":   {export.Plan{Request: r, AcceptedAt: day}, export.StatusSucceeded, nil, nil},
		"refused": {export.Plan{Request: bad}, export.StatusFailed, mistakes.Refusal(), nil},
		"failed": {export.Plan{Request: r, AcceptedAt: day}, export.StatusFailed,
			&export.Error{Code: "c", Message: "m", Retryable: true}, nil},
		"cancelled": {export.Plan{Request: r, AcceptedAt: day}, export.StatusCancelled, nil, nil},
	} {
		c.plan.ID, c.plan.RequestedAt = r.ID, day
		manifest, err := json.Marshal(export.NewManifest(&c.plan, c.status, c.why, c.windows, "t/0/0", at))
		if err != nil {
			t.Fatal(err)
		}
		completion, err := export.NewCompletion(&c.plan, manifest, "file:///b/exports/acme/e1/manifest.json", card.LoadWith)
		if err != nil {
			t.Fatal(name, err)
		}
		text, err := json.Marshal(completion)
		if err != nil {
			t.Fatal(err)
		}
		eventstest.Validate(t, export.TypeCompleted, text)
	}
}
