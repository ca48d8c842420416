package commands

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// Whoever looks at the log for what is wrong finds nothing else there.
func TestAHealthyStackLogsNothingAboveInfo(t *testing.T) {
	t.Parallel()
	const runs = 1000 // a window each, so that the export does not end before it is cancelled
	data := filepath.Join(t.TempDir(), `a folder \ with "odd" 'names' & <more>`)
	local, env := e2etest.StartLocalIn(t, data, "EXPORT_WINDOW_RECORDS=1")
	api := e2etest.Endpoint{URL: local.Field(t, "pages")}
	var lines strings.Builder
	for i := range runs {
		fmt.Fprintf(&lines, `{"type":"dev.millrace.run.v1","workspace_id":"default","run_id":"r-%d","source":"copilot",`+
			`"app_id":"desk","started_at":"2026-11-01T08:00:00.%03dZ","status":"succeeded","answer":"a"}`+"\n", i, i)
	}
	api.Call(t, http.MethodPost, "/v1/runs", lines.String(), "Content-Type: application/x-ndjson").Want(t, http.StatusOK)
	e2etest.WaitForCounts(t, e2etest.Connect(t, local.DSN), time.Minute,
		map[string]uint64{"SELECT count() FROM runs_latest": runs})

	env.Run(t, "request", "--source", "copilot", "--app", "desk", "--purpose", "export_dataset", "--limit", "10",
		"--watch", "--download", t.TempDir())
	id := api.File(t, e2etest.Object{"purpose": "export_dataset", "source": "copilot", "app_id": "desk",
		"selection": e2etest.Object{"limit": runs}, "fragment": e2etest.Object{"max_records": 1}})
	api.WaitFor(t, id, "running")
	watching, leave := context.WithCancel(t.Context())
	response := api.Open(watching, t, http.MethodGet, "/v1/exports/"+id+"/events", nil)
	defer response.Body.Close()
	if _, err := response.Body.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	leave() // as a browser whose tab is closed
	api.Call(t, http.MethodPost, "/v1/exports/"+id+"/cancel", "").Want(t, http.StatusAccepted)
	api.WaitFor(t, id, "cancelled")
	for _, page := range []string{"/copilots", "/history?source=copilot&app=desk", "/exports"} {
		api.Get(t, page, "Accept: text/html").Want(t, http.StatusOK)
	}
	onlyOurs(t, data)
	line := regexp.MustCompile(`(?m)^  curl +(.*)$`).FindStringSubmatch(local.Stdout())
	tables, err := exec.Command("bash", "-c", line[1]).Output()
	if err != nil || !strings.Contains(string(tables), "runs_latest\n") {
		t.Errorf("%s: %s, %v", line, tables, err)
	}
	if code, _ := local.Stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if alarms := local.Alarms(); alarms != "" {
		t.Errorf("the log has\n%s", alarms)
	}
}

// onlyOurs checks that other users of the machine can read neither the folder of a stack nor what
// is in it.
func onlyOurs(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 4 {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, name := range append([]string{".", "bucket/exports"}, names(entries)...) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %04o", name, info.Mode().Perm())
		}
	}
}

func names(entries []os.DirEntry) (list []string) {
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}
