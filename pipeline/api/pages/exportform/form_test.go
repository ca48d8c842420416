package exportform

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

var id = export.ID{WorkspaceID: "acme", ExportID: "e"}

// compact returns the request of a form without spaces.
func compact(f *Form) string {
	var v json.RawMessage
	document := f.Document()
	if err := json.Unmarshal(document, &v); err != nil {
		return string(document) + ": " + err.Error()
	}
	text, _ := json.Marshal(v)
	return string(text)
}

func form(query string) *Form {
	fields, err := url.ParseQuery(query)
	if err != nil {
		panic(err)
	}
	return &Form{Fields: fields, Name: "N", Now: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}
}

func TestTheFieldsAreARequest(t *testing.T) {
	t.Parallel()
	const start = "source=recipe&app=a&purpose="
	for query, want := range map[string]string{
		start + "export_dataset&limit=10":                                                 `"selection":{"limit":10},"target":"canonical","format":"jsonl"`,
		start + "export_dataset&limit=10&format=csv&option.excel=true&compression=gzip":   `"format":"csv","compression":"gzip","options":{"excel":true}`,
		start + "export_dataset&limit=10&option.excel=true":                               `"format":"jsonl"}`, // is for CSV alone
		start + "export_dataset&option.columns=run_id&option.columns=answer":              `"options":{"columns":["run_id","answer"]}`,
		start + "recipe_evaluation&nodes=n&limit=1&target=promptfoo&option.assert=equals": `"target":"promptfoo","format":"jsonl","options":{"assert":"equals"}`,
		start + "recipe_evaluation&target=promptfoo&option.assert=factuality":             `"format":"jsonl"}`, // the default
		start + "node_evaluation&nodes=n,m&limit=5&limit_of=runs":                         `"selection":{"limit_runs":5},"nodes":["n","m"]`,
		start + "node_evaluation&nodes=n&limit=5&limit_of=rows":                           `"selection":{"limit":5},"nodes":["n"]`,
		start + "fine_tuning&take=sample&sample_size=5&sample_seed=-1&sample_by=rating":   `"selection":{"sample":{"by":"rating","seed":-1,"size":5}}`,
		start + "fine_tuning&take=picked&run_ids=r1,r2&limit=9":                           `"selection":{"run_ids":["r1","r2"]}`,
		start + "fine_tuning&validation=7&test=12.5&seed=3&limit=1":                       `"split":{"seed":3,"test":0.125,"validation":0.07}`,
		start + "fine_tuning&validation=0&test=&seed=3&limit=1":                           `"format":"jsonl"}`,
		start + "fine_tuning&validation=NaN&limit=1":                                      `"split":{"validation":"NaN"}`,
		start + "fine_tuning&option.dedupe=false&option.only_rated=false&option.system=x": `"options":{"dedupe":false,"system":"x"}`,
		start + "fine_tuning&target=openai_dpo&option.pairs_per_input=many":               `"options":{"pairs_per_input":"many"}`,
		"source=recipe&app=a,+b&purpose=fine_tuning&limit=x":                              `"app_id":["a","b"],"selection":{"limit":"x"}`,
		"source=recipe&app=&purpose=fine_tuning&limit=1&name=+Mine+":                      `{"name":"Mine","purpose":"fine_tuning","source":"recipe","selection"`,
		start + "ragas&target=ragas&limit=1":                                              `"purpose":"ragas"`, // a mistake, which the request is told of
	} {
		if got := compact(form(query)); !strings.Contains(got, want) {
			t.Errorf("%s: %s", query, got)
		}
	}
}

func TestMistakesAreSaidAtTheirField(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"source=recipe&app=a&purpose=node_evaluation&limit=x&split=":                                  "nodes: It is required for node_evaluation: name the nodes of the app.|limit: It must be a number, not a string.",
		"source=recipe&app=a&purpose=export_dataset":                                                  "limit: Give a limit, or a time range.",
		"source=recipe&app=a&purpose=export_dataset&take=sample&sample_size=0":                        "sample: Size must be 1 or more.",
		"source=recipe&app=a&purpose=export_dataset&take=sample":                                      "sample: Size is required.",
		"source=recipe&app=a,b&purpose=recipe_evaluation&limit=1":                                     "app: It must be one id: recipe_evaluation compares the versions of one recipe or copilot.",
		"source=recipe&app=a&purpose=fine_tuning&limit=1&validation=120":                              "split: Validation must be a share from 0 to 1.",
		"source=recipe&app=a&purpose=fine_tuning&target=openai_dpo&option.pairs_per_input=99&limit=1": `options: Option "pairs_per_input" must be a whole number from 1 to 10.`,
		"source=recipe&app=a&purpose=export_dataset&limit=1&compression=zip":                          "compression: It must be one of none, gzip, zstd.",
		"source=x&app=a&purpose=export_dataset&limit=1":                                               ": Source must be one of copilot, recipe.",
		"source=recipe&app=a&purpose=export_dataset&limit=1":                                          "",
	} {
		f := form(query)
		r, mistakes := f.Check(id, f.Document())
		var texts []string
		for _, m := range mistakes {
			texts = append(texts, m.Field+": "+m.Text)
		}
		if got := strings.Join(texts, "|"); got != want || (r == nil) != (want != "") {
			t.Errorf("%s: %s, %v", query, got, r)
		}
	}
}

// The controls are those of `millrace formats`, and each of their values is one that the target takes.
func TestEveryOptionOfEveryTargetHasAControl(t *testing.T) {
	t.Parallel()
	for _, purpose := range format.Purposes {
		for _, target := range targets.Targets(purpose) {
			for _, name := range target.Formats {
				f := &Form{Fields: url.Values{"purpose": {purpose}, "target": {target.Name}, "format": {name}}}
				controls := f.Controls()
				for _, o := range slices.Concat(target.Options, format.FileOptions) {
					has := slices.ContainsFunc(controls, func(c Control) bool { return c.Name == o.Name && c.Text == o.Text })
					if has != (o.Formats == nil || slices.Contains(o.Formats, name)) {
						t.Errorf("%s %s: option %s has a control: %v", target.Name, name, o.Name, has)
					}
				}
				for _, c := range controls {
					tryControl(t, f, c)
				}
			}
		}
	}
}

// tryControl sends the values of a control, and one that it does not have.
func tryControl(t *testing.T, f *Form, c Control) {
	t.Helper()
	refusal := func(values ...string) error {
		sent := url.Values{c.Field: values}
		for name, v := range f.Fields {
			sent[name] = v
		}
		with := &Form{Fields: sent, Now: time.Now()}
		var fields struct{ Options map[string]any }
		if err := json.Unmarshal(with.Document(), &fields); err != nil {
			return err
		}
		_, err := f.Target().Encoder(f.Purpose(), f.Format(), "none", fields.Options, nil)
		return err
	}
	where := fmt.Sprintf("%s %s option %s", f.Purpose(), f.Target().Name, c.Name)
	for _, choice := range c.Choices {
		if err := refusal(choice.Value); err != nil {
			t.Errorf("%s: %q is refused: %v", where, choice.Value, err)
		}
	}
	if c.Default != nil {
		if err := refusal(fmt.Sprint(c.Default)); err != nil {
			t.Errorf("%s: its default is refused: %v", where, err)
		}
	}
	if wrong := refusal("no such value!"); c.Kind != format.Text && c.Name != "variables" && wrong == nil {
		t.Errorf("%s takes any text, and is of kind %q", where, c.Kind)
	}
}

func TestProposalsChangeTheFields(t *testing.T) {
	t.Parallel()
	f := form("source=recipe&app=a&purpose=fine_tuning&limit=100&version=v9")
	for code, want := range map[string]string{
		format.ThumbsDown: "feedback=notThumbsDown|feedback=thumbsUp", "version_not_found": "version=",
		"app_not_found":    "app=",
		format.TrimmedTail: "",
	} {
		var got []string
		for _, p := range f.ForWarning(export.Warning{Code: code}) {
			got = append(got, p.Apply())
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%s: %v", code, got)
		}
	}
	fields := Apply(f.Fields, "version=&feedback=thumbsUp")
	if fields.Get("version") != "" || fields.Get("feedback") != "thumbsUp" || fields.Get("limit") != "100" ||
		f.Fields.Get("version") != "v9" {
		t.Errorf("%v", fields)
	}
	drops := f.ForDrop(format.DuplicateInput)
	if len(drops) != 1 || drops[0].Apply() != "option.dedupe=false" {
		t.Errorf("%v", drops)
	}
	f.Fields = Apply(f.Fields, drops[0].Apply())
	if !strings.Contains(compact(f), `"options":{"dedupe":false}`) || f.ForDrop(format.DuplicateInput) != nil {
		t.Errorf("%s", compact(f))
	}
	picked := form("source=recipe&purpose=fine_tuning&take=picked&run_ids=r")
	if got := picked.ForWarning(export.Warning{Code: format.ThumbsDown}); got != nil {
		t.Errorf("filters do not apply to runs that are named: %v", got)
	}
}
