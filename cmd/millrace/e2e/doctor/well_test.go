package doctor

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// finding is a line of `millrace doctor --json`.
type finding struct{ Area, Severity, Message, Action string }

func (f finding) String() string {
	return fmt.Sprintf("%s %s: %s → %s", f.Area, f.Severity, f.Message, f.Action)
}

// examine runs the doctor, and returns what it found and its exit code.
func examine(t *testing.T, env e2etest.Environment, flags ...string) (findings []finding, code int) {
	t.Helper()
	got := env.Try(t, "", append([]string{"doctor", "--json"}, flags...)...)
	for line := range strings.Lines(got.Stdout) {
		var f finding
		e2etest.Decode(t, []byte(line), &f)
		findings = append(findings, f)
	}
	if findings == nil {
		t.Fatalf("exit code %d, without a finding: %s", got.Code, got.Stderr)
	}
	return findings, got.Code
}

func TestALocalStackIsWell(t *testing.T) {
	t.Parallel()
	stack, env := e2etest.StartLocal(t)
	findings, code := examine(t, env, "--deep")
	areas := map[string]bool{}
	for _, f := range findings {
		if f.Severity == "ok" {
			areas[f.Area] = true
		} else if f.Severity != "note" {
			t.Error(f)
		}
	}
	for _, area := range strings.Fields("kafka rights groups clickhouse bucket clocks canary") {
		if !areas[area] {
			t.Errorf("nothing is said to be well about %s: %v", area, findings)
		}
	}
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	conn := e2etest.Connect(t, stack.DSN)
	for _, table := range []string{"runs", "export_events", "run_identity"} {
		if n := e2etest.Count(t, conn, "SELECT count() FROM "+table); n != 0 {
			t.Errorf("the canary has left %d rows in %s", n, table)
		}
	}
	bucket := ""
	for _, v := range env {
		if path, ok := strings.CutPrefix(v, "BUCKET_URL=file://"); ok {
			bucket = path
		}
	}
	for _, file := range e2etest.ListFiles(t, filepath.FromSlash(bucket)) {
		if strings.Contains(file, "doctor-") || strings.Contains(file, "probe-") {
			t.Errorf("the doctor has left %s", file)
		}
	}
	text := env.Run(t, "doctor")
	for _, part := range []string{"\nclickhouse\n", "  ok       ", "\nnothing is wrong\n"} {
		if !strings.Contains("\n"+text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
}
