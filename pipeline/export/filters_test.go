package export_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/strictjson"
	"github.com/millrace/millrace/schemas/events/eventstest"
)

func TestARangeOfScoresIsReadAsItIsWritten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"fair=0.5..1": "fair 0.5..1", "fair=..1": "fair ..1", "fair=-1e-3..": "fair -0.001..", "a=b=1..2": "a=b 1..2",
		"score=0..0": "score 0..0", "x y=1..": "x y 1..",
		"": "", "fair": "", "fair=1": "", "fair=..": "", "=1..2": "", "fair=a..b": "", "fair=NaN..": "", "fair=..Inf": "",
		"fair=1e999..": "",
	} {
		name, bounds, err := export.ParseScore(text)
		if got := fmt.Sprint(name, " ", bounds); (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%q is %s, %v; want %s", text, got, err, want)
		}
	}
}

func TestFiltersThatAreNotOfARequestAreCheckedAlike(t *testing.T) {
	t.Parallel()
	many := make([]string, 101)
	f := export.Filters{Models: many, MinCostUSD: new(2.0), MaxCostUSD: new(1.0), Rating: "good",
		Scores: map[string]export.ScoreRange{"a": {}}}
	var mistakes export.Mistakes
	if err := f.Check(); !errors.As(err, &mistakes) || len(mistakes) != 4 {
		t.Errorf("mistakes %v", err)
	}
	for _, good := range []export.Filters{{}, {Text: "x", HasFiles: new(false), MinScore: new(-1.0)}} {
		if err := good.Check(); err != nil {
			t.Error(err)
		}
	}
	f = export.Filters{MinScore: new(math.NaN())}
	if f.Check() == nil {
		t.Error("NaN is a score")
	}
}

// FuzzFilters checks that, whatever the filters of a request and a score of a command:
//
//   - reading them does not panic, and an error is a refusal or mistakes with pointers;
//   - filters that a request may have have no mistake by themselves;
//   - the request, written and read, is the same;
//   - a range of scores, written and read, is the same.
func FuzzFilters(f *testing.F) {
	for _, filters := range []string{`{}`, `{"text":"x","statuses":["failed","running"],"rating":"none","has_files":false}`,
		`{"scores":{"fair":{"min":0.5},"score":{"max":1}},"min_score":1e-9,"metadata":{"a":"b"},"session_id":""}`,
		`{"min_cost_usd":2,"max_cost_usd":1,"min_latency_ms":-1,"max_latency_ms":9223372036854775807}`, `{"tags":["a","a",1]}`} {
		f.Add(filters, "fair=0.5..1")
	}
	f.Fuzz(func(t *testing.T, filters, score string) {
		if name, bounds, err := export.ParseScore(score); err == nil {
			again, same, err := export.ParseScore(name + "=" + bounds.String())
			if err != nil || again != name || same.String() != bounds.String() {
				t.Fatalf("%q is %s %s, and then %s %s, %v", score, name, bounds, again, same, err)
			}
		}
		request := `{"workspace_id":"acme","export_id":"e","purpose":"export_dataset","source":"copilot","app_id":"a",` +
			`"selection":{"limit":1},"filters":` + filters + `}`
		r, err := export.ParseRequest([]byte(request))
		var refusal *strictjson.Refusal
		var mistakes export.Mistakes
		if err != nil {
			if !errors.As(err, &refusal) && !errors.As(err, &mistakes) {
				t.Fatalf("neither a refusal nor mistakes: %#v", err)
			}
			for _, m := range mistakes {
				if m.Pointer == "" || m.Message == "" {
					t.Fatalf("a mistake without a place or a text: %+v", m)
				}
			}
			return
		}
		if err := r.Filters.Check(); err != nil {
			t.Fatalf("%s are refused by themselves: %v", filters, err)
		}
		written, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := export.ParseRequest(written); err != nil || again.Hash() != r.Hash() {
			t.Fatalf("%s is written %s, and refused or another: %v", filters, written, err)
		}
	})
}

// Every entry of a list is a condition of each query: 4,000 labels were a query that ClickHouse
// refused.
func TestEveryListOfARequestHasALimit(t *testing.T) {
	t.Parallel()
	list := func(n int, entry string) string {
		entries := make([]string, n)
		for i := range entries {
			entries[i] = strings.ReplaceAll(entry, "#", strconv.Itoa(i))
		}
		return strings.Join(entries, ",")
	}
	for _, c := range []struct {
		most                          int
		before, entry, after, pointer string
	}{
		{100, `"filters":{"app_versions":[`, `"v#"`, `]}`, "/filters/app_versions"},
		{100, `"filters":{"statuses":[`, `"failed"`, `]}`, "/filters/statuses"},
		{100, `"filters":{"models":[`, `"m#"`, `]}`, "/filters/models"},
		{100, `"filters":{"triggers":[`, `"t#"`, `]}`, "/filters/triggers"},
		{100, `"filters":{"error_types":[`, `"e#"`, `]}`, "/filters/error_types"},
		{100, `"filters":{"tags":[`, `"t#"`, `]}`, "/filters/tags"},
		{20, `"filters":{"scores":{`, `"s#":{"min":1}`, `}}`, "/filters/scores"},
		{20, `"filters":{"metadata":{`, `"l#":"v"`, `}}`, "/filters/metadata"},
		{100, `"purpose":"node_evaluation","nodes":[`, `"n#"`, `]`, "/nodes"},
		{10_000, `"selection":{"run_ids":[`, `"r#"`, `]}`, "/selection/run_ids"},
	} {
		for n, want := range map[int]string{c.most: "", c.most + 1: "out_of_range " + c.pointer,
			4 * c.most: "out_of_range " + c.pointer} {
			text := []byte(with(c.before + list(n, c.entry) + c.after))
			if got := mistakes(t, text); got != want {
				t.Errorf("%d of %s: %.200s; want %s", n, c.pointer, got, want)
			}
			if err := eventstest.Check(t, export.TypeRequested, text); (err == nil) != (want == "") {
				t.Errorf("%d of %s: the schema says %.200v", n, c.pointer, err)
			}
		}
	}
}
