package commands

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// nodeSite is a site with runs r0 to r2 of recipe a, of which r2 is the newest. Each has two node
// runs of solve, and r0 has one of rare.
func nodeSite(t *testing.T) *e2etest.Site {
	t.Helper()
	s := e2etest.NewSite(t)
	s.Env = append(s.Env, "DEFAULT_WORKSPACE=acme", "LOG_LEVEL=warn")
	var lines strings.Builder
	add := func(kind, rest string, minute int) {
		fmt.Fprintf(&lines, `{"type":"dev.millrace.%s.v1","workspace_id":"acme","source":"recipe","app_id":"a",`+
			`"started_at":"2026-11-01T00:%02d:00Z","status":"succeeded",%s}`+"\n", kind, minute, rest)
	}
	for i := range 3 {
		add("run", fmt.Sprintf(`"run_id":"r%d","question":"=%d","answer":"a\u2028b\u0085c"`, i, i), 10*i)
		for j := range 2 {
			add("node", fmt.Sprintf(`"run_id":"r%d","node_run_id":"n%d","node_id":"solve","outputs":{"answer":"x"}`, i, j),
				10*i+j)
		}
	}
	add("node", `"run_id":"r0","node_run_id":"n9","node_id":"rare","outputs":{"answer":"x"}`, 5)
	s.Env.Start(t, "ingest")
	if got := s.Env.Try(t, lines.String(), "replay", "-"); got.Code != 0 {
		t.Fatal(got.Stderr)
	}
	e2etest.WaitForCounts(t, s.Conn, time.Minute, map[string]uint64{
		"SELECT count() FROM runs_latest": 3, "SELECT count() FROM nodes_latest": 7})
	s.Env.Start(t, "export")
	return s
}

func TestALimitCountsWhatItSays(t *testing.T) {
	t.Parallel()
	s := nodeSite(t)
	for flags, want := range map[string]string{
		"--node solve --limit 3":             "r1/n1 r2/n0 r2/n1",
		"--node solve --node rare --limit 2": "r0/n9 r2/n0 r2/n1", // the newest of each node
		"--node solve --limit-runs 2":        "r1/n0 r1/n1 r2/n0 r2/n1",
		"--node rare --limit-runs 1":         "r0/n9", // of the runs that have the node
		"--limit-runs 2":                     "r1/ r2/",
	} {
		t.Run(flags, func(t *testing.T) {
			t.Parallel()
			purpose := "node_evaluation"
			if !strings.Contains(flags, "--node") {
				purpose = "export_dataset"
			}
			dir := filepath.Join(t.TempDir(), "out")
			s.Env.Run(t, append([]string{"request", "--source", "recipe", "--app", "a", "--purpose", purpose, "--download", dir},
				strings.Fields(flags)...)...)
			var got []string
			for _, line := range e2etest.ReadLines(t, filepath.Join(dir, "train.jsonl")) {
				record := e2etest.ParseObject(t, line)
				node, _ := record["node_run_id"].(string)
				got = append(got, fmt.Sprint(record["run_id"], "/", node))
			}
			slices.Sort(got)
			if strings.Join(got, " ") != want {
				t.Errorf("%s: %v, want %s", flags, got, want)
			}
		})
	}
	both := s.Env.Try(t, "", "request", "--source", "recipe", "--app", "a", "--purpose", "export_dataset", "--limit", "1",
		"--limit-runs", "1")
	if both.Code != e2etest.ExitUsage || !strings.Contains(both.Stderr, "--limit-runs: ") {
		t.Errorf("both limits: exit code %d, %q", both.Code, both.Stderr)
	}
}

func TestAMistakeInANameIsNoEmptySuccess(t *testing.T) {
	t.Parallel()
	s := nodeSite(t)
	for flags, c := range map[string]struct {
		code int
		want []string
	}{
		"--app b --purpose export_dataset": {e2etest.ExitNoRecords, []string{"app_not_found", `"recipe a"`}},
		"--app a --purpose node_evaluation --node slove": {e2etest.ExitNoRecords,
			[]string{"node_not_found", `"slove"`, `"solve"`}},
		"--app a --purpose node_evaluation --node solve --node rear": {0, []string{"node_not_found", `"rear"`, `"rare"`}},
		"--app a --purpose export_dataset --version 2": {e2etest.ExitNoRecords,
			[]string{"version_not_found", `"2"`}},
	} {
		args := append([]string{"request", "--source", "recipe", "--watch", "--limit", "10"}, strings.Fields(flags)...)
		got := s.Env.Try(t, "", args...)
		if got.Code != c.code {
			t.Errorf("%s: exit code %d\n%s%s", flags, got.Code, got.Stdout, got.Stderr)
		}
		for _, want := range c.want {
			if !strings.Contains(got.Stdout, want) {
				t.Errorf("%s: no %s in %s", flags, want, got.Stdout)
			}
		}
	}
}

// A file's lines and cells are what the producer sent, whichever characters readers give a meaning.
func TestLinesAndCellsAreExact(t *testing.T) {
	t.Parallel()
	s := nodeSite(t)
	download := func(stdin string, flags ...string) string {
		dir := filepath.Join(t.TempDir(), "out")
		got := s.Env.Try(t, stdin, append([]string{"request", "--download", dir}, flags...)...)
		if got.Code != 0 {
			t.Fatalf("request %v: exit code %d\n%s%s", flags, got.Code, got.Stdout, got.Stderr)
		}
		return dir
	}
	// A byte order mark before the request, as editors write it.
	const request = "\ufeff" + `{"source":"recipe","app_id":"a","purpose":"export_dataset","selection":{"limit":9},` +
		`"options":{"columns":["question","answer"]}}`
	file := filepath.Join(download(request, "-f", "-"), "train.jsonl")
	for _, line := range e2etest.ReadLines(t, file) {
		if i := strings.IndexAny(line, "\r\u0085\u2028\u2029"); i >= 0 {
			t.Errorf("%q has a line break at %d", line, i)
		}
		if record := e2etest.ParseObject(t, line); record["answer"] != "a\u2028b\u0085c" {
			t.Errorf("the answer is %q", record["answer"])
		}
	}
	for option, want := range map[string]string{"excel=false": "=0", "excel=true": "'=0", "csv_raw=true": "=0"} {
		dir := download(request, "-f", "-", "--format", "csv", "--option", option)
		lines := e2etest.ReadLines(t, filepath.Join(dir, "train.csv"))
		if len(lines) < 2 || !strings.HasPrefix(lines[1], want+",") {
			t.Errorf("%s: %q", option, lines)
		}
	}
}
