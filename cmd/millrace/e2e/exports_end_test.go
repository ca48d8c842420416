package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// slow makes queries that read whole runs fail with what is tried again for a time, so that exports
// stay running: the rows that are there lack the column, and its default is evaluated as they are
// read.
func (s *site) slow(t *testing.T) {
	t.Helper()
	const spoil = "ALTER TABLE runs DROP COLUMN trace_id, ADD COLUMN trace_id String DEFAULT toString(throwIf(app_id != " +
		"'', 'not now'))"
	if err := s.conn.Exec(t.Context(), spoil); err != nil {
		t.Fatal(err)
	}
}

func TestARunningExportIsShownAndCancelledAndNothingElse(t *testing.T) {
	t.Parallel()
	s := exportSite(t)
	s.slow(t)
	s.env.start(t, "export")
	got := s.request(t)
	if got.code != 0 {
		t.Fatal(got.stderr)
	}
	id := strings.TrimSpace(got.stdout)
	eventually(t, time.Minute, func() string {
		if got := s.env.try(t, "", "exports", "show", id, "--json"); got.code != 0 ||
			!strings.Contains(got.stdout, `"rows_planned":320`) {
			return got.stdout + got.stderr
		}
		return ""
	})
	if out := s.env.run(t, "exports", "show", id); !strings.Contains(out, "accepted") ||
		!strings.Contains(out, "0 of 320") {
		t.Errorf("show:\n%s", out)
	}
	eventually(t, 10*time.Second, func() string {
		if out := s.env.run(t, "exports", "ls"); !strings.Contains(out, "accepted") {
			return out
		}
		return ""
	})
	for command, says := range map[string]string{"view": "still running", "download": "still running",
		"verify": "still running", "delete": "cancel it first"} {
		if got := s.env.try(t, "", "exports", command, id); got.code != exitFailed || !strings.Contains(got.stderr, says) {
			t.Errorf("%s: exit code %d, %q", command, got.code, got.stderr)
		}
	}
	watching := s.env.start(t, "request", "--source", "copilot", "--app", "a", "--purpose", "export_dataset", "--limit",
		"5", "--watch")
	watched := watching.field(t, "export")
	for _, id := range []string{id, watched} {
		eventually(t, time.Minute, func() string {
			got := s.env.try(t, "", "exports", "cancel", id)
			if got.code == exitFailed && strings.Contains(got.stderr, "not planned yet") {
				return got.stderr
			}
			if got.code != 0 || got.stdout != "cancelled\n" {
				t.Errorf("cancel: exit code %d, %q %q", got.code, got.stdout, got.stderr)
			}
			return ""
		})
	}
	<-watching.done
	if code := watching.cmd.ProcessState.ExitCode(); code != exitCancelled {
		t.Errorf("request --watch of a cancelled export: exit code %d", code)
	}
	if got := s.env.try(t, "", "exports", "cancel", id); got.code != 0 ||
		!strings.Contains(got.stdout, "had been cancelled already") {
		t.Errorf("cancel again: exit code %d, %q %q", got.code, got.stdout, got.stderr)
	}
	for _, command := range []string{"view", "download", "verify"} {
		if got := s.env.try(t, "", "exports", command, id); got.code != exitCancelled ||
			!strings.Contains(got.stderr, "cancelled") {
			t.Errorf("%s: exit code %d, %q", command, got.code, got.stderr)
		}
	}
	if out := s.env.run(t, "exports", "show", id); !strings.Contains(out, "status") ||
		!strings.Contains(out, "cancelled") {
		t.Errorf("show:\n%s", out)
	}
	if out := s.env.run(t, "exports", "delete", id); !strings.Contains(out, "deleted") {
		t.Errorf("delete: %q", out)
	}
}

func TestACancelThatNobodyTakesSaysSo(t *testing.T) {
	t.Parallel()
	s := exportSite(t)
	s.slow(t)
	role := s.env.start(t, "export")
	id := strings.TrimSpace(s.request(t).stdout)
	eventually(t, time.Minute, func() string { return s.env.try(t, "", "exports", "show", id).stderr })
	role.stop(t)
	if got := s.env.try(t, "", "exports", "cancel", id, "--timeout", "1s"); got.code != exitFailed ||
		!strings.Contains(got.stderr, "the cancel is filed") {
		t.Errorf("exit code %d, %q %q", got.code, got.stdout, got.stderr)
	}
	s.env.start(t, "export")
	eventually(t, time.Minute, func() string {
		if out := s.env.run(t, "exports", "show", id, "--json"); !strings.Contains(out, `"status":"cancelled"`) {
			return out
		}
		return ""
	})
}

func TestWhatCannotBeReadSaysWhy(t *testing.T) {
	t.Parallel()
	s := exportSite(t)
	s.env.start(t, "export")
	good := s.exported(t)
	failed := "failed-1"
	text := `{"export_id":"failed-1","workspace_id":"acme","purpose":"nonsense","source":"copilot","app_id":"a","selection":{"limit":1}}`
	produceTo(t, s, "export-requests", text)
	eventually(t, time.Minute, func() string {
		if got := s.env.try(t, "", "exports", "show", failed, "--json"); !strings.Contains(got.stdout, `"status":"failed"`) {
			return got.stdout + got.stderr
		}
		return ""
	})
	if out := s.env.run(t, "exports", "show", failed); !strings.Contains(out, "/purpose") {
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
		{"there is none", []string{"nope"}, commands, exitFailed, "no export nope in workspace acme"},
		{"of another workspace", []string{good, "--workspace", "other"}, commands, exitFailed, "in workspace other"},
		{"a part of an id", []string{good[:10]}, commands, exitFailed, "there is no export"},
		{"no id at all", []string{"../" + good}, commands, exitUsage, "is not the id"},
		{"a workspace that is none", []string{good, "--workspace", "../acme"}, commands, exitUsage, "--workspace"},
		{"no argument", nil, commands, exitUsage, "expected"},
		{"no records wanted", []string{good, "-n", "0"}, []string{"view"}, exitUsage, "-n"},
		{"failed", []string{failed}, []string{"view", "download", "verify"}, exitExportFailed, "/purpose"},
		{"failed", []string{failed}, []string{"cancel"}, exitFailed, "had ended already"},
		{"succeeded", []string{good}, []string{"cancel"}, exitFailed, "succeeded"},
	} {
		for _, command := range c.commands {
			got := s.env.try(t, "", append([]string{"exports", command}, c.args...)...)
			if got.code != c.code || !strings.Contains(got.stderr, c.says) || got.stdout != "" {
				t.Errorf("%s: %s: exit code %d, %q %q", command, c.name, got.code, got.stdout, got.stderr)
			}
		}
	}
	if out := s.env.run(t, "exports", "delete", good); !strings.Contains(out, "deleted 3 files with 320 records") {
		t.Errorf("delete: %q", out)
	}
	if out := s.env.run(t, "exports", "delete", good); !strings.Contains(out, "was deleted") {
		t.Errorf("delete again: %q", out)
	}
	for _, command := range []string{"view", "download", "verify"} {
		if got := s.env.try(t, "", "exports", command, good); got.code != exitFailed ||
			!strings.Contains(got.stderr, "deleted") {
			t.Errorf("%s: deleted: exit code %d, %q", command, got.code, got.stderr)
		}
	}
	if out := s.env.run(t, "exports", "show", good); !strings.Contains(out, "succeeded, and deleted") {
		t.Errorf("show:\n%s", out)
	}
	if files := tree(t, s.folder(t, "acme", good)); !slices.Equal(files, []string{"deleted.json", "manifest.json",
		"plan.json", "windows/00000.json"}) {
		t.Errorf("left are %v", files)
	}
}

func TestVerifyNamesTheObjectThatWasTamperedWith(t *testing.T) {
	t.Parallel()
	s := exportSite(t)
	s.env.start(t, "export")
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
			return replaceFile(path, body)
		}, "wrong_sha256"},
		"truncated": {func(path string) error { return os.Truncate(path, 1000) }, "wrong_size"},
		"removed":   {os.Remove, "missing"},
	} {
		id := s.exported(t)
		folder := s.folder(t, "acme", id)
		data, err := filepath.Glob(filepath.Join(folder, "data", "*"))
		if err != nil || len(data) != 3 {
			t.Fatalf("%v, %v", data, err)
		}
		if err := c.spoil(data[1]); err != nil {
			t.Fatal(err)
		}
		key := "data/" + filepath.Base(data[1])
		if got := s.env.try(t, "", "exports", "verify", id); got.code != exitFailed || !strings.Contains(got.stdout, key) ||
			strings.Contains(got.stdout, filepath.Base(data[0])) {
			t.Errorf("%s: exit code %d\n%s%s", name, got.code, got.stdout, got.stderr)
		}
		report := s.env.try(t, "", "exports", "verify", id, "--json")
		if report.code != exitFailed || !strings.Contains(report.stdout, `{"key":"`+key+`","code":"`+c.code+`"`) {
			t.Errorf("%s: exit code %d\n%s%s", name, report.code, report.stdout, report.stderr)
		}
		dir := filepath.Join(t.TempDir(), "out")
		if got := s.env.try(t, "", "exports", "download", id, dir); got.code != exitFailed ||
			!strings.Contains(got.stderr, key) || tree(t, dir) != nil {
			t.Errorf("download, %s: exit code %d, left %v\n%s%s", name, got.code, tree(t, dir), got.stdout, got.stderr)
		}
	}
}

// replaceFile writes a file of its own, since the bucket's may be read-only.
func replaceFile(path string, body []byte) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return os.WriteFile(path, body, 0o600)
}

// produceTo puts a bare value into a topic of the site.
func produceTo(t *testing.T, s *site, topic, value string) {
	t.Helper()
	client := kafkaClient(t, s.kafka)
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: s.prefix + topic, Value: []byte(value)}).
		FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// A download that is killed while it waits for an object has named no file, and the next one does
// it all.
func TestAKilledDownloadLeavesNoHalfFile(t *testing.T) {
	t.Parallel()
	s := exportSite(t)
	s.env.start(t, "export")
	id := s.exported(t)
	data, err := filepath.Glob(filepath.Join(s.folder(t, "acme", id), "data", "*"))
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
	download := s.env.start(t, "exports", "download", id, dir)
	eventually(t, time.Minute, func() string {
		if n := len(tree(t, dir)); n < 3 { // two fragments and the card
			return fmt.Sprintf("%d files are there", n)
		}
		return ""
	})
	download.kill()
	for _, name := range tree(t, dir) {
		if !strings.HasPrefix(name, ".millrace-") {
			t.Errorf("left is %s", name)
		}
	}
	if err := replaceFile(data[2], body); err != nil {
		t.Fatal(err)
	}
	s.env.run(t, "exports", "download", id, dir)
	if lines := readLines(t, filepath.Join(dir, "train.jsonl")); len(lines) != 320 {
		t.Errorf("%d lines", len(lines))
	}
}
