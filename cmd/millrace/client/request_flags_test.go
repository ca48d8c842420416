package client

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/export"
)

func TestRequestFlagsReachTheRequest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args, want string // the fields that the flags change
	}{
		{"--source recipe", `{"source":"recipe"}`},
		{"--app math", `{"app_id":"math"}`},
		{"--app math --app chat", `{"app_id":["math","chat"]}`},
		{"--purpose fine_tuning", `{"purpose":"fine_tuning"}`},
		{"--limit 7", `{"selection":{"limit":7}}`},
		{"--sample 100 --sample-seed 7 --sample-by region", `{"selection":{"sample":{"size":100,"seed":7,"by":"region"}}}`},
		{"--sample=-1", `{"selection":{"sample":{"size":-1}}}`},
		{"--run-id a --run-id b,c", `{"selection":{"run_ids":["a","b,c"]}}`},
		{"--from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z",
			`{"selection":{"window":{"from":"2026-01-01T00:00:00Z","to":"2026-02-01T00:00:00Z"}}}`},
		{"--from A --to B --by ingested_at --limit 3",
			`{"selection":{"limit":3,"window":{"from":"A","to":"B","by":"ingested_at"}}}`},
		{"--node solve --node check", `{"nodes":["solve","check"]}`},
		{"--version v1 --version v2", `{"filters":{"app_versions":["v1","v2"]}}`},
		{"--status failed --status running", `{"filters":{"statuses":["failed","running"]}}`},
		{"--rating thumbsUp --min-score 0", `{"filters":{"rating":"thumbsUp","min_score":0}}`},
		{"--text why --model m,1 --model m2 --trigger chat --error-type timeout --tag kind --rating none",
			`{"filters":{"text":"why","models":["m,1","m2"],"triggers":["chat"],"error_types":["timeout"],"tags":["kind"],"rating":"none"}}`},
		{"--score fair=0.5..1 --score score=..0.2 --min-latency-ms 0 --max-latency-ms 9 --min-cost-usd 0 --max-cost-usd 0.5",
			`{"filters":{"scores":{"fair":{"min":0.5,"max":1},"score":{"max":0.2}},"min_latency_ms":0,"max_latency_ms":9,"min_cost_usd":0,"max_cost_usd":0.5}}`},
		{"--has-files --session s --user u --metadata region=eu --metadata a=b;c",
			`{"filters":{"has_files":true,"session_id":"s","user_id":"u","metadata":{"region":"eu","a":"b;c"}}}`},
		{"--no-has-files", `{"filters":{"has_files":false}}`},
		{"--target ragas", `{"target":"ragas"}`},
		{"--format csv --compression gzip", `{"format":"csv","compression":"gzip"}`},
		{"--split validation=0.1", `{"split":{"validation":0.1}}`},
		{"--split validation=0.1;test=0.2;seed=7", `{"split":{"validation":0.1,"test":0.2,"seed":7}}`},
		{`--option bom=true --option columns=["id"] --option system=drop,it`,
			`{"options":{"bom":true,"columns":["id"],"system":"drop,it"}}`},
		{"--name x", `{"name":"x"}`},
		{"--workspace other", `{"workspace_id":"other"}`},
		{"-f - --limit 9 --rating thumbsDown --option a=2",
			`{"workspace_id":"acme","export_id":"e","selection":{"limit":9},"filters":{"rating":"thumbsDown","min_score":0.25},"options":{"a":2,"b":1}}`},
	} {
		var cli requestLine
		parseArgs(t, &cli, append([]string{"request"}, strings.Fields(c.args)...))
		stdin := `{"workspace_id":"acme","export_id":"e","selection":{"run_ids":["a"]},"filters":{"min_score":0.25},"options":{"a":1,"b":1}}`
		document, err := cli.Request.document(&app.App{Config: &app.Config{DefaultWorkspace: "default"},
			Stdin: strings.NewReader(stdin)})
		if err != nil {
			t.Errorf("%s: %v", c.args, err)
			continue
		}
		delete(document, "requested_by")
		if document["workspace_id"] == "default" {
			delete(document, "workspace_id")
		}
		got, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		if g, w := canonical(t, string(got)), canonical(t, c.want); g != w {
			t.Errorf("%s: %s, want %s", c.args, g, w)
		}
	}
}

func TestAScoreThatIsNoRangeIsAMistakeOfUse(t *testing.T) {
	t.Parallel()
	var cli requestLine
	parseArgs(t, &cli, []string{"request", "--score", "fair"})
	_, err := cli.Request.document(&app.App{Config: &app.Config{DefaultWorkspace: "default"}})
	var exit *app.ExitError
	if !errors.As(err, &exit) || exit.Code != app.ExitUsage {
		t.Error(err)
	}
}

// requestLine is a command line whose only command is request.
type requestLine struct {
	Request Request `cmd:""`
}

// canonical returns a JSON document in the form that encoding/json writes.
func canonical(t *testing.T, document string) string {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(document), &value); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func parseArgs(t *testing.T, cli *requestLine, args []string) {
	t.Helper()
	parser, err := kong.New(cli)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
}

func TestARecipeEvaluationThatIsWatchedIsDownloaded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args    []string
		purpose string
		want    bool
	}{
		{[]string{"--watch"}, export.RecipeEvaluation, true},
		{[]string{"--watch"}, export.NodeEvaluation, false},
		{[]string{"--download", "d"}, export.ExportDataset, true},
		{nil, export.RecipeEvaluation, true}, // a download would only happen with --watch, which is not set
	} {
		var cli requestLine
		parseArgs(t, &cli, append([]string{"request"}, c.args...))
		if got := cli.Request.downloads(&export.Request{Purpose: c.purpose}); got != c.want {
			t.Errorf("%v of %s: %v", c.args, c.purpose, got)
		}
	}
}
