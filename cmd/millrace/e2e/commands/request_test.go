package commands

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

// What a dry run says is what the export then is, and a dry run leaves nothing behind. The lineage
// of a download tells of the lines of its files.
func TestADryRunSaysWhatTheExportWillBe(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSampleSite(t, 600)
	request := func(more ...string) []string {
		return append([]string{"request", "--source", "copilot", "--app", "airline-helpdesk", "--limit", "1000"}, more...)
	}
	tuning := request("--purpose", "fine_tuning", "--split", "validation=0.3;seed=3")
	var dry struct {
		Rows            int64 `json:"rows_planned"`
		Read            int64 `json:"rows_read"`
		Used            int64 `json:"rows_used"`
		Records         int64
		Splits, Dropped map[string]int64
		Lines           []string
	}
	e2etest.Decode(t, []byte(s.Env.Run(t, append(tuning, "--dry-run", "--json")...)), &dry)
	text := s.Env.Run(t, append(tuning, "--dry-run")...)
	if bucket := strings.TrimPrefix(s.Env[len(s.Env)-1], "BUCKET_URL=file://"); len(listed(t,
		filepath.Join(bucket, "exports"))) > 0 {
		t.Errorf("a dry run wrote %v", listed(t, bucket))
	}
	dir := filepath.Join(t.TempDir(), "files")
	out := s.Env.Run(t, append(tuning, "--json", "--download", dir, "--option", "dedupe=true")...)
	var c export.Completion
	events := strings.Split(strings.TrimSpace(out), "\n")
	e2etest.Decode(t, []byte(events[len(events)-1]), &c)
	if dry.Rows != c.RowsPlanned || dry.Read != c.RowsPlanned || dry.Used != c.RowsUsed || dry.Records != c.Records ||
		c.Records < 10 || len(dry.Lines) != 3 {
		t.Errorf("dry run %+v, and then %+v", dry, c)
	}
	for reason, n := range c.Dropped {
		if dry.Dropped[reason] != n || !strings.Contains(text, reason) {
			t.Errorf("%d rows are dropped as %s, the dry run said %d:\n%s", n, reason, dry.Dropped[reason], text)
		}
	}
	all := map[string][]string{}
	for _, split := range []string{"train", "validation"} {
		body, err := os.ReadFile(filepath.Join(dir, split+".jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		all[split+".jsonl"] = strings.Split(strings.TrimSpace(string(body)), "\n")
		if n := len(all[split+".jsonl"]); int64(n) != dry.Splits[split] {
			t.Errorf("%d lines of %s, the dry run said %d", n, split, dry.Splits[split])
		}
	}
	for _, line := range dry.Lines {
		if !slices.Contains(all["train.jsonl"], line) && !slices.Contains(all["validation.jsonl"], line) ||
			!strings.Contains(text, line) {
			t.Errorf("the export has no line %.200s", line)
		}
	}
	matches, err := filepath.Glob(filepath.Join(dir, "__meta__", "lineage-*.jsonl"))
	if err != nil || len(matches) == 0 {
		t.Fatal(matches, err)
	}
	for _, path := range matches {
		for _, l := range e2etest.ReadLines(t, path) {
			var at struct {
				File  string
				Line  int
				RunID string `json:"run_id"`
			}
			e2etest.Decode(t, []byte(l), &at)
			lines := all[at.File]
			if at.Line < 1 || at.Line > len(lines) {
				t.Fatalf("lineage %s is of no line", l)
			}
			var question, messages string
			if err := s.Conn.QueryRow(t.Context(), "SELECT question, messages FROM runs_latest WHERE run_id = $1", at.RunID).
				Scan(&question, &messages); err != nil {
				t.Fatal(err)
			}
			said := strings.Join(strings.Fields(question), " ")
			if messages != "" {
				said += "\n" + conversationIn(t, `{"messages":`+messages+`}`)
			}
			asked, _, _ := strings.Cut(conversationIn(t, lines[at.Line-1]), "\n")
			if !strings.Contains(said, asked) {
				t.Errorf("line %d of %s is not that of run %s:\n%s\n%s", at.Line, at.File, at.RunID, asked, said)
			}
		}
	}
	csv := s.Env.Run(t, "request", "--source", "recipe", "--app", "knowledge-answer", "--purpose", "recipe_evaluation",
		"--target", "karini_csv", "--limit", "100", "--dry-run")
	if !strings.Contains(csv, "\nquestion,ground_truth\n") && !strings.Contains(csv, "\nquestion,ground_truth\r\n") {
		t.Errorf("no header in\n%s", csv)
	}
}

// conversationIn is what users say in a line of openai_chat, white space collapsed, a message a
// line.
func conversationIn(t *testing.T, line string) string {
	t.Helper()
	var chat struct {
		Messages []struct {
			Role    string
			Content any
		}
	}
	e2etest.Decode(t, []byte(line), &chat)
	var said []string
	for _, m := range chat.Messages {
		text, isText := m.Content.(string)
		if !isText && m.Content != nil {
			for _, part := range m.Content.([]any) {
				text += fmt.Sprint(part.(object)["text"]) + "\n"
			}
		}
		if m.Role == "user" {
			said = append(said, strings.Join(strings.Fields(text), " "))
		}
	}
	return strings.Join(said, "\n")
}

func listed(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// What does not go together is refused where it is asked for, with what is possible instead.
func TestUnsuitableCombinationsAreRefusedWithWhatIsPossible(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	for _, c := range []struct {
		args string
		want []string
	}{
		{"--purpose fine_tuning --target ragas", []string{"--target", "fine_tuning has the targets openai_chat", "trl_dpo"}},
		{"--purpose recipe_evaluation --target mlflow --format parquet",
			[]string{"--format", "target mlflow is written as jsonl"}},
		{"--purpose recipe_evaluation --target karini_csv --format jsonl", []string{"--format", "csv"}},
		{"--purpose export_dataset --target answer_insights --format csv", []string{"--format", "json"}},
		{"--purpose node_evaluation", []string{"--node", "is required for node_evaluation"}},
		{"--purpose export_dataset --node x", []string{"--node", "leave nodes out"}},
		{"--purpose fine_tuning --option colour=red", []string{"--option", `"colour"`, "dedupe"}},
		{"--purpose fine_tuning --target openai_dpo --option pairs_per_input=0", []string{"--option", "pairs_per_input",
			"from 1"}},
		{"--purpose export_dataset --option with_nodes=maybe", []string{"--option", "with_nodes", "true or false"}},
		{"--purpose fine_tuning --split validation=0.7;test=0.7", []string{"--split", "1 or less"}},
		{"--purpose translation", []string{"--purpose",
			"export_dataset, recipe_evaluation, node_evaluation, node_optimization, fine_tuning"}},
	} {
		for _, more := range []string{"", " --dry-run"} {
			args := strings.Fields("request --source recipe --app a --limit 1 " + c.args + more)
			got := s.Env.Try(t, "", args...)
			if got.Code != 2 {
				t.Errorf("%s: exit code %d\n%s%s", c.args, got.Code, got.Stdout, got.Stderr)
			}
			for _, want := range c.want {
				if !strings.Contains(got.Stderr, want) {
					t.Errorf("%s: no %q in %s", c.args, want, got.Stderr)
				}
			}
		}
	}
}

func TestFormatsListsEveryPurposeAndTarget(t *testing.T) {
	t.Parallel()
	e := e2etest.Environment{}
	text := e.Run(t, "formats")
	table := e.Run(t, "help", "targets")
	for _, p := range e2etest.Combinations(t, e) {
		if !regexp.MustCompile(`(?m)^  `+p.Target+`\b`).MatchString(text) || !strings.Contains(table, "| `"+p.Target+"` |") {
			t.Errorf("%s/%s is not listed", p.Purpose, p.Target)
		}
		one := e.Run(t, "formats", p.Purpose)
		if !strings.Contains(text, strings.Split(one, "\n\n")[0]) {
			t.Errorf("%s alone is listed otherwise", p.Purpose)
		}
		if all := e.Run(t, "formats", p.Purpose, p.Target); !strings.Contains(all, "# "+p.Target+" for "+p.Purpose) ||
			!strings.Contains(all, "Example:") {
			t.Errorf("%s/%s is not described:\n%s", p.Purpose, p.Target, all)
		}
	}
	if got := e.Try(t, "", "formats", "translation"); got.Code != 2 || !strings.Contains(got.Stderr, "fine_tuning") {
		t.Errorf("exit code %d: %s", got.Code, got.Stderr)
	}
}

func TestRequestDownloadsWhatSucceeded(t *testing.T) {
	t.Parallel()
	s := exportSite(t)
	s.Env.Start(t, "export")
	dir := filepath.Join(t.TempDir(), "out")
	got := requestRuns(t, s, "--download", dir, "--format", "csv")
	if got.Code != 0 || !strings.Contains(got.Stdout, "succeeded: 320 records") ||
		!strings.Contains(got.Stdout, filepath.Join(dir, "train.csv")) {
		t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
	if files := e2etest.ListFiles(t, dir); !slices.Contains(files, "train.csv") {
		t.Errorf("downloaded %v", files)
	}
	empty := requestRuns(t, s, "--download", dir, "--rating", "thumbsUp", "--json")
	events := e2etest.JSONLines(t, empty.Stdout)
	if empty.Code != e2etest.ExitNoRecords || events[len(events)-1]["status"] != "succeeded" ||
		!strings.Contains(empty.Stderr, "nothing to download") {
		t.Errorf("of nothing: exit code %d\n%s%s", empty.Code, empty.Stdout, empty.Stderr)
	}
	if other := requestRuns(t, s, "--download", dir, "--format", "csv", "--run-id", "r-001",
		"--limit=0"); other.Code != e2etest.ExitFailed || !strings.Contains(other.Stderr, "train.csv") {
		t.Errorf("over another download: exit code %d\n%s%s", other.Code, other.Stdout, other.Stderr)
	}
	if lines := e2etest.ReadLines(t, filepath.Join(dir, "train.csv")); len(lines) < 320 {
		t.Errorf("the first download has %d lines left", len(lines))
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
	out := (e2etest.Environment{}).Run(t, "demo", "--dir", dir, "--runs", "800")
	ids := regexp.MustCompile(`millrace exports view (\S+) -n 1`).FindAllStringSubmatch(out, -1)
	bucket := regexp.MustCompile(`export MILLRACE_(BUCKET_URL=\S+)`).FindStringSubmatch(out)
	if len(ids) != 5 || bucket == nil {
		t.Fatalf("no commands to type in\n%s", out)
	}
	wanted := []string{"export_dataset   0%", "fine_tuning 100%", "EXPORT ", "record 1 of ", "match the manifest",
		filepath.Join(dir, "bucket", "exports", "default")}
	for _, purpose := range []string{"export_dataset", "recipe_evaluation", "node_evaluation", "node_optimization",
		"fine_tuning"} {
		wanted = append(wanted, "--purpose "+purpose, "The first record of "+purpose, purpose+" for ")
	}
	for _, want := range wanted {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, id := range ids {
		if again := (e2etest.Environment{bucket[1]}).Run(t, "exports", "verify", id[1]); !strings.Contains(out,
			strings.TrimSpace(again)) {
			t.Errorf("afterwards: %s", again)
		}
	}
	log, err := os.ReadFile(filepath.Join(dir, "millrace.log"))
	if alarms := e2etest.Alarms(string(log)); err != nil || len(log) == 0 || alarms != "" {
		t.Errorf("the log of the demo has %d bytes, and alarms (%v):\n%s", len(log), err, alarms)
	}
}
