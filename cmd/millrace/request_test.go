package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

func TestRequestDownloadsWhatSucceeded(t *testing.T) {
	t.Parallel()
	s := exportSite(t)
	s.env.start(t, "export")
	dir := filepath.Join(t.TempDir(), "out")
	got := s.request(t, "--download", dir, "--format", "csv")
	if got.code != 0 || !strings.Contains(got.stdout, "succeeded: 320 records") || !strings.Contains(got.stdout, filepath.Join(dir, "train.csv")) {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	if files := tree(t, dir); !slices.Contains(files, "train.csv") {
		t.Errorf("downloaded %v", files)
	}
	empty := s.request(t, "--download", dir, "--rating", "thumbsUp", "--json")
	if events := jsonLines(t, empty.stdout); empty.code != 0 || events[len(events)-1]["status"] != "succeeded" || !strings.Contains(empty.stderr, "nothing to download") {
		t.Errorf("of nothing: exit code %d\n%s%s", empty.code, empty.stdout, empty.stderr)
	}
	if other := s.request(t, "--download", dir, "--format", "csv", "--run-id", "r-001", "--limit=0"); other.code != exitFailed || !strings.Contains(other.stderr, "train.csv") {
		t.Errorf("over another download: exit code %d\n%s%s", other.code, other.stdout, other.stderr)
	}
	if lines := readLines(t, filepath.Join(dir, "train.csv")); len(lines) < 320 {
		t.Errorf("the first download has %d lines left", len(lines))
	}
}

func TestRequestFlagsReachTheRequest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args, want string // the fields that the flags change
	}{
		{"--source recipe", `{"source":"recipe"}`},
		{"--app math", `{"app_id":"math"}`},
		{"--purpose fine_tuning", `{"purpose":"fine_tuning"}`},
		{"--limit 7", `{"selection":{"limit":7}}`},
		{"--run-id a --run-id b,c", `{"selection":{"run_ids":["a","b,c"]}}`},
		{"--from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z", `{"selection":{"window":{"from":"2026-01-01T00:00:00Z","to":"2026-02-01T00:00:00Z"}}}`},
		{"--from A --to B --by ingested_at --limit 3", `{"selection":{"limit":3,"window":{"from":"A","to":"B","by":"ingested_at"}}}`},
		{"--node solve --node check", `{"nodes":["solve","check"]}`},
		{"--version v1 --version v2", `{"filters":{"app_versions":["v1","v2"]}}`},
		{"--status failed --status running", `{"filters":{"statuses":["failed","running"]}}`},
		{"--rating thumbsUp --min-score 0", `{"filters":{"rating":"thumbsUp","min_score":0}}`},
		{"--target ragas", `{"target":"ragas"}`},
		{"--format csv --compression gzip", `{"format":"csv","compression":"gzip"}`},
		{"--split validation=0.1", `{"split":{"validation":0.1}}`},
		{"--split validation=0.1;test=0.2;seed=7", `{"split":{"validation":0.1,"test":0.2,"seed":7}}`},
		{`--option bom=true --option columns=["id"] --option system=drop,it`, `{"options":{"bom":true,"columns":["id"],"system":"drop,it"}}`},
		{"--name x", `{"name":"x"}`},
		{"--workspace other", `{"workspace_id":"other"}`},
		{"-f - --limit 9 --rating thumbsDown --option a=2", `{"workspace_id":"acme","export_id":"e","selection":{"limit":9},"filters":{"rating":"thumbsDown","min_score":0.25},"options":{"a":2,"b":1}}`},
	} {
		var cli commands
		parseArgs(t, &cli, append([]string{"request"}, strings.Fields(c.args)...))
		stdin := `{"workspace_id":"acme","export_id":"e","selection":{"run_ids":["a"]},"filters":{"min_score":0.25},"options":{"a":1,"b":1}}`
		document, err := cli.Request.document(&app{cfg: &config{DefaultWorkspace: "default"}, stdin: strings.NewReader(stdin)})
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
		if g, w := fmt.Sprint(parse(t, string(got))), fmt.Sprint(parse(t, c.want)); g != w {
			t.Errorf("%s: %s, want %s", c.args, g, w)
		}
	}
}

func parseArgs(t *testing.T, cli *commands, args []string) {
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
		{nil, export.RecipeEvaluation, true}, // where it is followed, which it is not
	} {
		var cli commands
		parseArgs(t, &cli, append([]string{"request"}, c.args...))
		if got := cli.Request.downloads(&export.Request{Purpose: c.purpose}); got != c.want {
			t.Errorf("%v of %s: %v", c.args, c.purpose, got)
		}
	}
}

// What the demo says is there is there, after it is over.
func TestTheDemoShowsAnExportOfEachPurposeAndLeavesTheirFiles(t *testing.T) {
	t.Parallel()
	if localtest.OnKafkaCluster() {
		t.Skip("the demo brings its own Kafka: `make test` runs this")
	}
	localtest.ClickHouse(t) // skips where the engine cannot be had
	dir := t.TempDir()
	out := (environment{}).run(t, "demo", "--dir", dir, "--runs", "800")
	ids := regexp.MustCompile(`millrace exports view (\S+) -n 1`).FindAllStringSubmatch(out, -1)
	bucket := regexp.MustCompile(`export MILLRACE_(BUCKET_URL=\S+)`).FindStringSubmatch(out)
	if len(ids) != 5 || bucket == nil {
		t.Fatalf("no commands to type in\n%s", out)
	}
	wanted := []string{"export_dataset   0%", "fine_tuning 100%", "EXPORT ", "record 1 of ", "what the manifest says", filepath.Join(dir, "bucket", "exports", "default")}
	for _, purpose := range []string{"export_dataset", "recipe_evaluation", "node_evaluation", "node_optimization", "fine_tuning"} {
		wanted = append(wanted, "--purpose "+purpose, "The first record of "+purpose, purpose+" for ")
	}
	for _, want := range wanted {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, id := range ids {
		if again := (environment{bucket[1]}).run(t, "exports", "verify", id[1]); !strings.Contains(out, strings.TrimSpace(again)) {
			t.Errorf("afterwards: %s", again)
		}
	}
}
