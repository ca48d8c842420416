package client

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/terminal"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/history"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) time.Time { return now.Add(-d) }

// listings are what the commands list, by command.
func listings(s terminal.Screen) string {
	after := func(t time.Time, d time.Duration) *time.Time { t = t.Add(d); return &t }
	exports := []live.Export{
		{State: export.State{ID: export.ID{ExportID: "019ab3c1-7e00-7a4e-8f2b-0123456789ab"}, Name: "Help desk, answers " +
			"that people liked best", Purpose: "fine_tuning", Status: export.StatusRunning, PercentDone: 41.6, Records: 12_345,
			Bytes: 8_400_000, RequestedBy: "maria.gonzales@example.com", RequestedAt: before(20 * time.Second)}},
		{State: export.State{ID: export.ID{ExportID: "019ab3c1-7e00-7b4e-8f2b-1123456789ab"}, Name: "検索の評価",
			Purpose: "node_evaluation", Nodes: []string{"retrieve", "rerank", "generate", "check"},
			Status: export.StatusSucceeded, Records: 400_000, Bytes: 1_234_567_890, RequestedBy: "li",
			RequestedAt: before(3 * time.Hour)}},
		{State: export.State{ID: export.ID{ExportID: "019ab3c1-7e00-7b4e-8f2b-ffff56789abc"}, Purpose: "export_dataset",
			Status: export.StatusFailed, ErrorCode: "clickhouse_unavailable", RequestedAt: before(50 * time.Hour)}},
		{State: export.State{ID: export.ID{ExportID: "first"}, Purpose: "recipe_evaluation", Status: export.StatusCancelled,
			RequestedAt: before(2000 * time.Hour)}},
	}
	rating := &history.Feedback{Rating: "thumbsDown"}
	runs := []history.Run{
		{RunID: "run-00001997-00969e29", StartedAt: before(time.Minute),
			EndedAt: after(before(time.Minute), 903*time.Millisecond), Status: "succeeded",
			AppID: "airline-helpdesk", AppVersion: "2.1.0", Feedback: rating,
			Question: "May I bring\na dog on board, and what\x1b[31m does it cost?"},
		{RunID: "kb_0001999.d4107f", StartedAt: before(time.Hour), Status: "running", AppID: "knowledge-answer",
			AppVersion: "175b_verification", Question: "Ångström: 同じですか?"},
	}
	apps := []history.App{
		{Source: "copilot", AppID: "airline-helpdesk", AppName: "Airline help desk",
			Versions: []string{"2.1.0", "2.0.0", "1.9", "1.8"}, LastRunAt: before(time.Minute), Runs: 1200,
			Failed: 7, ThumbsUp: 300, ThumbsDown: 12},
		{Source: "recipe", AppID: "knowledge-answer", AppName: "Knowledge base answer", LastRunAt: before(72 * time.Hour)},
	}
	nodes := []history.Node{{NodeID: "generate", NodeName: "Generate", NodeType: "llm", NodeRuns: 614,
		LastRunAt: before(time.Hour)}}
	letters := []letterInfo{{ID: "0/17", Time: before(5 * time.Minute), Stage: "ingest", Code: "missing_field",
		Detail: "/app_id: is required in a run of a copilot or a recipe", Topic: "millrace.runs", Partition: "3",
		Offset: "99", Key: "default/r-1", Bytes: 1500}}
	var b strings.Builder
	for _, l := range []struct{ command, text string }{
		{"exports ls", exportsTable(exports, s)}, {"runs ls", runsTable(runs, s)}, {"apps ls", appsTable(apps, 14, s)},
		{"nodes ls", nodesTable(nodes, s)}, {"dead-letters ls", lettersTable(letters, s)},
		{"formats", formatsSummary(format.Purposes, s)},
	} {
		fmt.Fprintf(&b, "$ millrace %s\n%s\n", l.command, l.text)
	}
	return b.String()
}

// The listings fit screens of 80 and 120 columns, and are whole in a file.
func TestGoldenListings(t *testing.T) {
	t.Parallel()
	for _, width := range []int{0, 80, 120} {
		name := fmt.Sprintf("listings_%d.txt", width)
		if width == 0 {
			name = "listings_file.txt"
		}
		got := listings(terminal.Screen{Width: width, Now: now})
		for line := range strings.Lines(got) {
			if n := terminal.Width(strings.TrimSuffix(line, "\n")); width > 0 && n > width {
				t.Errorf("a line of %d columns, on %d: %s", n, width, line)
			}
		}
		golden(t, name, got)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != got {
		t.Errorf("%s is another one (%v): run `make golden`\n%s", path, err, got)
	}
}

// The mistakes of a request name the flags that were typed. Those of a file have its pointers.
func TestGoldenErrorsOfRequests(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, args := range []string{
		"", "--source recip --app a --purpose fine-tuning --limit 1 --target openai",
		"--source copilot --app a --purpose fine_tuning --limit 1 --target openai",
		"--source recipe --app a --purpose recipe_evaluation --limit 1 --format jsnl --compression gz --status fail " +
			"--rating up --by ingested --from yesterday --min-score 2 --node n",
		"--source recipe --app a --purpose node_evaluation --limit 1 --limit-runs 3 --option colums=1",
		"--source recipe --app a --purpose export_dataset --limit 1 --split validation=0.7;test=0.7",
		"-f -",
	} {
		var cli requestLine
		parseArgs(t, &cli, append([]string{"request"}, strings.Fields(args)...))
		_, _, _, err := cli.Request.Parse(&app.App{Config: &app.Config{DefaultWorkspace: "default"},
			Stdin: strings.NewReader(`{"source":"recipe","app_id":"a b","purpose":"export_dataset","selection":{"limit":1}}`)})
		fmt.Fprintf(&b, "$ millrace request %s\n%v\n\n", args, err)
	}
	golden(t, "request_errors.txt", b.String())
}

func TestScriptsThatLoadADownload(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]string{
		`python3 -c "print(1)"`:              "load.py",
		`python3 -c 'import sys' train.json`: "load.sh",
		`python3 -c "print(\"x\")"`:          "load.sh",
		`duckdb -c "FROM 'train.jsonl'"`:     "load.sh",
	} {
		if name, text := loader(command); name != want || name == "load.sh" && !strings.HasSuffix(text, "\n"+command+"\n") ||
			name == "load.py" && !strings.HasSuffix(text, "\nprint(1)\n") {
			t.Errorf("%s: %s\n%s", command, name, text)
		}
	}
}
