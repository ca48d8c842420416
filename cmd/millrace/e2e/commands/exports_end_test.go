package commands

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// slowDown makes queries that read whole runs fail with what is tried again for a time, so that exports
// stay running: the rows that are there lack the column, and its default is evaluated as they are
// read.
func slowDown(t *testing.T, s *e2etest.Site) {
	t.Helper()
	const spoil = "ALTER TABLE runs DROP COLUMN trace_id, ADD COLUMN trace_id String DEFAULT toString(intDiv(1, app_id " +
		"= ''))"
	if err := s.Conn.Exec(t.Context(), spoil); err != nil {
		t.Fatal(err)
	}
}

func TestARunningExportIsShownAndCancelledAndNothingElse(t *testing.T) {
	t.Parallel()
	s := exportSite(t)
	slowDown(t, s)
	s.Env.Start(t, "export")
	got := requestRuns(t, s)
	if got.Code != 0 {
		t.Fatal(got.Stderr)
	}
	id := strings.TrimSpace(got.Stdout)
	e2etest.Eventually(t, time.Minute, func() string {
		if got := s.Env.Try(t, "", "exports", "show", id, "--json"); got.Code != 0 ||
			!strings.Contains(got.Stdout, `"rows_planned":320`) {
			return got.Stdout + got.Stderr
		}
		return ""
	})
	if out := s.Env.Run(t, "exports", "show", id); !strings.Contains(out, "accepted") ||
		!strings.Contains(out, "0 of 320") {
		t.Errorf("show:\n%s", out)
	}
	e2etest.Eventually(t, 10*time.Second, func() string {
		if out := s.Env.Run(t, "exports", "ls"); !strings.Contains(out, "accepted") {
			return out
		}
		return ""
	})
	for command, says := range map[string]string{"view": "still running", "download": "still running",
		"verify": "still running", "delete": "cancel it first"} {
		if got := s.Env.Try(t, "", "exports", command, id); got.Code != e2etest.ExitFailed ||
			!strings.Contains(got.Stderr, says) {
			t.Errorf("%s: exit code %d, %q", command, got.Code, got.Stderr)
		}
	}
	watching := s.Env.Start(t, "request", "--source", "copilot", "--app", "a", "--purpose", "export_dataset", "--limit",
		"5", "--watch")
	watched := watching.Field(t, "export")
	for _, id := range []string{id, watched} {
		e2etest.Eventually(t, time.Minute, func() string {
			got := s.Env.Try(t, "", "exports", "cancel", id)
			if got.Code == e2etest.ExitFailed && strings.Contains(got.Stderr, "not planned yet") {
				return got.Stderr
			}
			if got.Code != 0 || got.Stdout != "cancelled\n" {
				t.Errorf("cancel: exit code %d, %q %q", got.Code, got.Stdout, got.Stderr)
			}
			return ""
		})
	}
	<-watching.Done
	if code := watching.Cmd.ProcessState.ExitCode(); code != e2etest.ExitCancelled {
		t.Errorf("request --watch of a cancelled export: exit code %d", code)
	}
	if got := s.Env.Try(t, "", "exports", "cancel", id); got.Code != 0 ||
		!strings.Contains(got.Stdout, "had been cancelled already") {
		t.Errorf("cancel again: exit code %d, %q %q", got.Code, got.Stdout, got.Stderr)
	}
	for _, command := range []string{"view", "download", "verify"} {
		if got := s.Env.Try(t, "", "exports", command, id); got.Code != e2etest.ExitCancelled ||
			!strings.Contains(got.Stderr, "cancelled") {
			t.Errorf("%s: exit code %d, %q", command, got.Code, got.Stderr)
		}
	}
	if out := s.Env.Run(t, "exports", "show", id); !strings.Contains(out, "status") ||
		!strings.Contains(out, "cancelled") {
		t.Errorf("show:\n%s", out)
	}
	if out := s.Env.Run(t, "exports", "delete", id); !strings.Contains(out, "deleted") {
		t.Errorf("delete: %q", out)
	}
}

func TestACancelThatNobodyTakesSaysSo(t *testing.T) {
	t.Parallel()
	s := exportSite(t)
	slowDown(t, s)
	role := s.Env.Start(t, "export")
	id := strings.TrimSpace(requestRuns(t, s).Stdout)
	e2etest.Eventually(t, time.Minute, func() string { return s.Env.Try(t, "", "exports", "show", id).Stderr })
	role.Stop(t)
	if got := s.Env.Try(t, "", "exports", "cancel", id, "--timeout", "1s"); got.Code != e2etest.ExitFailed ||
		!strings.Contains(got.Stderr, "the cancel is filed") {
		t.Errorf("exit code %d, %q %q", got.Code, got.Stdout, got.Stderr)
	}
	s.Env.Start(t, "export")
	e2etest.Eventually(t, time.Minute, func() string {
		if out := s.Env.Run(t, "exports", "show", id, "--json"); !strings.Contains(out, `"status":"cancelled"`) {
			return out
		}
		return ""
	})
}

func TestWhatCannotBeReadSaysWhy(t *testing.T) {
	t.Parallel()
	s := exportSite(t)
	s.Env.Start(t, "export")
	good := exportRuns(t, s)
	failed := "failed-1"
	text := `{"export_id":"failed-1","workspace_id":"acme","purpose":"nonsense","source":"copilot","app_id":"a","selection":{"limit":1}}`
	e2etest.Produce(t, s, "export-requests", text)
	e2etest.Eventually(t, time.Minute, func() string {
		if got := s.Env.Try(t, "", "exports", "show", failed, "--json"); !strings.Contains(got.Stdout, `"status":"failed"`) {
			return got.Stdout + got.Stderr
		}
		return ""
	})
	if out := s.Env.Run(t, "exports", "show", failed); !strings.Contains(out, "/purpose") {
		t.Errorf("show:\n%s", out)
	}
	commands := []string{"show", "view", "download", "verify", "cancel", "delete"}
	for _, c := range []struct {
		name     string
		args     []string // after the command
		commands []string
		code     int
		says     string
	}{
		{"there is none", []string{"nope"}, commands, e2etest.ExitFailed, "no export nope in workspace acme"},
		{"of another workspace", []string{good, "--workspace", "other"}, commands, e2etest.ExitFailed, "in workspace other"},
		{"no id at all", []string{"../" + good}, commands, e2etest.ExitUsage, "is not the id"},
		{"a workspace that is none", []string{good, "--workspace", "../acme"}, commands, e2etest.ExitUsage, "--workspace"},
		{"no argument", nil, commands, e2etest.ExitUsage, "expected"},
		{"no records wanted", []string{good, "-n", "0"}, []string{"view"}, e2etest.ExitUsage, "-n"},
		{"failed", []string{failed}, []string{"view", "download", "verify"}, e2etest.ExitExportFailed, "/purpose"},
		{"failed", []string{failed}, []string{"cancel"}, e2etest.ExitFailed, "had ended already"},
		{"succeeded", []string{good}, []string{"cancel"}, e2etest.ExitFailed, "succeeded"},
	} {
		for _, command := range c.commands {
			got := s.Env.Try(t, "", append([]string{"exports", command}, c.args...)...)
			if got.Code != c.code || !strings.Contains(got.Stderr, c.says) || got.Stdout != "" {
				t.Errorf("%s: %s: exit code %d, %q %q", command, c.name, got.Code, got.Stdout, got.Stderr)
			}
		}
	}
	if out := s.Env.Run(t, "exports", "delete", good); !strings.Contains(out, "deleted 3 files with 320 records") {
		t.Errorf("delete: %q", out)
	}
	if out := s.Env.Run(t, "exports", "delete", good); !strings.Contains(out, "was deleted") {
		t.Errorf("delete again: %q", out)
	}
	for _, command := range []string{"view", "download", "verify"} {
		if got := s.Env.Try(t, "", "exports", command, good); got.Code != e2etest.ExitFailed ||
			!strings.Contains(got.Stderr, "deleted") {
			t.Errorf("%s: deleted: exit code %d, %q", command, got.Code, got.Stderr)
		}
	}
	if out := s.Env.Run(t, "exports", "show", good); !strings.Contains(out, "succeeded, and deleted") {
		t.Errorf("show:\n%s", out)
	}
	if files := e2etest.ListFiles(t, s.ExportFolder(t, "acme", good)); !slices.Equal(files,
		[]string{"deleted.json", "manifest.json",
			"plan.json", "windows/00000.json"}) {
		t.Errorf("left are %v", files)
	}
}

func TestVerifyNamesTheObjectThatWasTamperedWith(t *testing.T) {
	t.Parallel()
	s := exportSite(t)
	s.Env.Start(t, "export")
	for name, c := range map[string]struct {
		spoil func(path string) error
		code  string
	}{
		"one byte changed": {func(path string) error {
			body, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			body[len(body)/2] ^= 1
			return e2etest.ReplaceFile(path, body)
		}, "wrong_sha256"},
		"truncated": {func(path string) error { return os.Truncate(path, 1000) }, "wrong_size"},
		"removed":   {os.Remove, "missing"},
	} {
		id := exportRuns(t, s)
		folder := s.ExportFolder(t, "acme", id)
		data, err := filepath.Glob(filepath.Join(folder, "data", "*"))
		if err != nil || len(data) != 3 {
			t.Fatalf("%v, %v", data, err)
		}
		if err := c.spoil(data[1]); err != nil {
			t.Fatal(err)
		}
		key := "data/" + filepath.Base(data[1])
		if got := s.Env.Try(t, "", "exports", "verify", id); got.Code != e2etest.ExitFailed ||
			!strings.Contains(got.Stdout, key) ||
			strings.Contains(got.Stdout, filepath.Base(data[0])) {
			t.Errorf("%s: exit code %d\n%s%s", name, got.Code, got.Stdout, got.Stderr)
		}
		report := s.Env.Try(t, "", "exports", "verify", id, "--json")
		if report.Code != e2etest.ExitFailed || !strings.Contains(report.Stdout, `{"key":"`+key+`","code":"`+c.code+`"`) {
			t.Errorf("%s: exit code %d\n%s%s", name, report.Code, report.Stdout, report.Stderr)
		}
		dir := filepath.Join(t.TempDir(), "out")
		if got := s.Env.Try(t, "", "exports", "download", id, dir); got.Code != e2etest.ExitFailed ||
			!strings.Contains(got.Stderr, key) || e2etest.ListFiles(t, dir) != nil {
			t.Errorf("download, %s: exit code %d, left %v\n%s%s", name, got.Code, e2etest.ListFiles(t, dir), got.Stdout,
				got.Stderr)
		}
	}
}

// A download that is killed while it waits for an object has named no file, and the next one does
// it all.
func TestAKilledDownloadLeavesNoHalfFile(t *testing.T) {
	t.Parallel()
	s := exportSite(t)
	s.Env.Start(t, "export")
	id := exportRuns(t, s)
	data, err := filepath.Glob(filepath.Join(s.ExportFolder(t, "acme", id), "data", "*"))
	if err != nil || len(data) != 3 {
		t.Fatalf("%v, %v", data, err)
	}
	body, err := os.ReadFile(data[2])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(data[2]); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(data[2], 0o600); err != nil { // who opens it waits for a writer
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "out")
	download := s.Env.Start(t, "exports", "download", id, dir)
	e2etest.Eventually(t, time.Minute, func() string {
		if n := len(e2etest.ListFiles(t, dir)); n < 3 { // two fragments and the card
			return fmt.Sprintf("%d files are there", n)
		}
		return ""
	})
	download.Kill()
	for _, name := range e2etest.ListFiles(t, dir) {
		if !strings.HasPrefix(name, ".millrace-") {
			t.Errorf("left is %s", name)
		}
	}
	if err := e2etest.ReplaceFile(data[2], body); err != nil {
		t.Fatal(err)
	}
	s.Env.Run(t, "exports", "download", id, dir)
	if lines := e2etest.ReadLines(t, filepath.Join(dir, "train.jsonl")); len(lines) != 320 {
		t.Errorf("%d lines", len(lines))
	}
}
