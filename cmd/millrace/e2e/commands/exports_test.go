package commands

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// exportSite is a site with 320 runs of app a in workspace acme, which is the default.
func exportSite(t *testing.T) *e2etest.Site {
	t.Helper()
	s := e2etest.NewSite(t)
	s.Env = append(s.Env, "DEFAULT_WORKSPACE=acme", "LOG_LEVEL=warn")
	ingest := s.Env.Start(t, "ingest")
	var lines strings.Builder
	for i := range 320 {
		fmt.Fprintf(&lines,
			`{"type":"dev.millrace.run.v1","workspace_id":"acme","run_id":"r-%03d","source":"copilot","app_id":"a","started_at":"2026-11-01T00:00:00Z","status":"succeeded","question":"say \"%d\"\nمرحبا","metadata":{"k":"v"}}`+"\n", i, i)
	}
	if got := s.Env.Try(t, lines.String(), "replay", "-"); got.Code != 0 {
		t.Fatal(got.Stderr)
	}
	e2etest.WaitForCounts(t, s.Conn, time.Minute, map[string]uint64{"SELECT count() FROM runs_latest": 320})
	ingest.Stop(t)
	return s
}

// requestRuns files a request for the 320 runs, with these flags beside.
func requestRuns(t *testing.T, s *e2etest.Site, args ...string) e2etest.Outcome {
	t.Helper()
	return s.Env.Try(t, "", append([]string{"request", "--source", "copilot", "--app", "a", "--purpose", "export_dataset",
		"--limit", "1000"}, args...)...)
}

// exportRuns files a request, waits for its end and returns its id.
func exportRuns(t *testing.T, s *e2etest.Site, args ...string) string {
	t.Helper()
	got := requestRuns(t, s, append(args, "--watch", "--json")...)
	if got.Code != 0 && got.Code != e2etest.ExitNoRecords {
		t.Fatalf("request %v: exit code %d\n%s%s", args, got.Code, got.Stdout, got.Stderr)
	}
	events := e2etest.JSONLines(t, got.Stdout)
	return events[len(events)-1]["export_id"].(string)
}

// Everything that is done with an export works the moment its completion is there, in every format,
// from the bucket alone: neither Kafka nor ClickHouse is asked.
func TestAnExportIsLookedAtVerifiedAndDownloadedAsSoonAsItIsComplete(t *testing.T) {
	t.Parallel()
	s := exportSite(t)
	s.Env.Start(t, "export")
	for _, format := range []string{"jsonl", "json", "csv", "parquet"} {
		for _, compression := range []string{"none", "gzip", "zstd"} {
			t.Run(format+"/"+compression, func(t *testing.T) {
				t.Parallel()
				args := []string{"--format", format, "--compression", compression, "--name", "runs as " + format}
				if format == "parquet" { // whose fragments are larger by default
					file := filepath.Join(t.TempDir(), "request.json")
					if err := os.WriteFile(file, []byte(`{"fragment": {"max_records": 150}}`), 0o600); err != nil {
						t.Fatal(err)
					}
					args = append(args, "-f", file)
				}
				id := exportRuns(t, s, args...)
				alone := append(slices.Clone(s.Env), "KAFKA_BROKERS=127.0.0.1:1", "CLICKHOUSE_DSN=clickhouse://127.0.0.1:1/x")
				checkViewed(t, alone, id, format)
				checkShown(t, alone, id, format)
				if out := alone.Run(t, "exports", "verify", id); !strings.Contains(out, "verified 5 objects, 320 records") {
					t.Errorf("verify: %s", out)
				}
				if report := e2etest.ParseObject(t, alone.Run(t, "exports", "verify", id, "--json")); fmt.Sprintf("%v %v",
					report["records"],
					report["problems"]) != "320 []" {
					t.Errorf("verify --json: %v", report)
				}
				checkDownloaded(t, alone, id, format, compression)
			})
		}
	}
}

func checkViewed(t *testing.T, env e2etest.Environment, id, format string) {
	t.Helper()
	records := e2etest.JSONLines(t, env.Run(t, "exports", "view", id, "-n", "1000", "--json"))
	if len(records) != 320 {
		t.Errorf("view --json: %d records", len(records))
	}
	for i, r := range records {
		if want := fmt.Sprintf("say \"%d\"\nمرحبا", i); r["run_id"] != fmt.Sprintf("r-%03d", i) || r["question"] != want {
			t.Fatalf("record %d of %s is %v", i, format, r)
		}
	}
	if n := strings.Count(env.Run(t, "exports", "view", id, "--json"), "\n"); n != 20 {
		t.Errorf("view shows %d records by default, want 20", n)
	}
	out := env.Run(t, "exports", "view", id, "-n", "2")
	for _, want := range []string{"record 1 of 320\n", "record 2 of 320\n", "run_id ", " r-001\n", "say \"1\"\n",
		"مرحبا\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("view: no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "record 3") || strings.Contains(out, "null") {
		t.Errorf("view:\n%s", out)
	}
}

func checkShown(t *testing.T, env e2etest.Environment, id, format string) {
	t.Helper()
	out := env.Run(t, "exports", "show", id)
	for _, want := range []string{"runs as " + format + "\n", id, "succeeded", "320 records in 3 files",
		"320 planned, 320 used", "copilot a", "the most recent 1000", "data/train-00000-00002", "README.md",
		"manifest.json"} {
		if !strings.Contains(out, want) {
			t.Errorf("show: no %q in\n%s", want, out)
		}
	}
	if out := env.Run(t, "exports", "show", id, "--columns"); !strings.Contains(out, "counted in 320 records") ||
		!regexp.MustCompile(`(?m)^  status +text +0 +9 +succeeded \(320\)$`).MatchString(out) {
		t.Errorf("show --columns:\n%s", out)
	}
	shown := e2etest.ParseObject(t, env.Run(t, "exports", "show", id, "--json"))
	if shown["status"] != "succeeded" || fmt.Sprint(shown["records"]) != "320" || len(shown["files"].([]any)) != 5 ||
		shown["manifest_sha256"] == "" ||
		shown["request"].(object)["format"] != format {
		t.Errorf("show --json: %v", shown)
	}
}

// checkDownloaded reads what was downloaded with readers that are not Millrace's.
func checkDownloaded(t *testing.T, env e2etest.Environment, id, format, compression string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	env.Run(t, "exports", "download", id, dir)
	files := e2etest.ListFiles(t, dir)
	if format == "json" || format == "parquet" {
		if len(files) != 7 || !slices.Contains(files, "manifest.json") || !slices.Contains(files, "README.md") {
			t.Errorf("downloaded %v", files)
		}
		return
	}
	name := "train." + format + map[string]string{"none": "", "gzip": ".gz", "zstd": ".zst"}[compression]
	if want := []string{"__meta__/README.md", "__meta__/columns.json", "__meta__/manifest.json", "load.sh",
		name}; !slices.Equal(files, want) {
		t.Fatalf("downloaded %v, want %v", files, want)
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var plain io.Reader = f
	switch compression {
	case "gzip":
		plain, err = gzip.NewReader(f)
	case "zstd":
		plain, err = zstd.NewReader(f)
	}
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	ids := regexp.MustCompile(`r-\d{3}`).FindAllString(string(body), -1)
	if len(ids) != 320 || !slices.IsSorted(ids) {
		t.Errorf("%d runs are in %s", len(ids), name)
	}
	if format == "csv" {
		rows, err := csv.NewReader(bytes.NewReader(body)).ReadAll()
		if err != nil || len(rows) != 321 || bytes.Count(body, []byte("run_id")) != 1 {
			t.Errorf("%d rows, %d headers, %v", len(rows), bytes.Count(body, []byte("run_id")), err)
		}
	}
}

func TestExportsAreListedNewestFirstAndHostileNamesDoNoHarm(t *testing.T) {
	t.Parallel()
	s := exportSite(t)
	if out := s.Env.Run(t, "exports", "ls"); !strings.Contains(out, "No exports in workspace acme") ||
		!strings.Contains(out, "millrace request") {
		t.Errorf("an empty list: %q", out)
	}
	s.Env.Start(t, "export")
	hostile := "\x1b[2J\x1b]0;owned\a\r\u009b31m\u202eevil\n"
	first := exportRuns(t, s, "--name", "日本語の名前")
	second := exportRuns(t, s, "--name", hostile+strings.Repeat("long ", 40))
	third := exportRuns(t, s, "--rating", "thumbsDown")
	var out string
	e2etest.Eventually(t, 10*time.Second, func() string {
		if out = s.Env.Run(t, "exports", "ls"); strings.Count(out, "succeeded") != 3 {
			return out
		}
		return ""
	})
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], "EXPORT ") {
		t.Fatalf("ls:\n%s", out)
	}
	for i, id := range []string{third, second, first} {
		if !strings.HasPrefix(lines[i+1], id+" ") {
			t.Errorf("line %d is not of %s:\n%s", i+1, id, out)
		}
	}
	if !strings.Contains(lines[3], "日本語の名前") || !regexp.MustCompile(` 320  +\d+ kB  succeeded `).MatchString(lines[3]) ||
		!regexp.MustCompile(`  0  +0 B  succeeded `).MatchString(lines[1]) {
		t.Errorf("ls:\n%s", out)
	}
	for _, text := range []string{out, s.Env.Run(t, "exports", "show", second)} {
		if strings.ContainsAny(text, "\x1b\a\r\u009b\u202e") || !strings.Contains(text, "evil") {
			t.Errorf("a hostile name is printed as %q", text)
		}
	}
	if out := s.Env.Run(t, "exports", "ls", "-n", "2"); strings.Contains(out, first) ||
		!strings.Contains(out, "newest 2") {
		t.Errorf("ls -n 2:\n%s", out)
	}
	if list := e2etest.JSONLines(t, s.Env.Run(t, "exports", "ls", "--json")); len(list) != 3 || list[1]["name"] != hostile+
		strings.Repeat("long ", 40) {
		t.Errorf("ls --json: %v", list)
	}
	if out := s.Env.Run(t, "exports", "view", third); out != "The export has no records.\n" {
		t.Errorf("view of nothing: %q", out)
	}
	if out := s.Env.Run(t, "exports", "verify", third); !strings.Contains(out, "verified 2 objects, 0 records") {
		t.Errorf("verify of nothing: %q", out)
	}
}
