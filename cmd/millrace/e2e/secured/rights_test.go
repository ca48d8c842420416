package secured

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/local/localtest"
	"github.com/millrace/millrace/pipeline/sample"
)

func randomName() string { return strings.ToLower(rand.Text()[:6]) }

// newSite returns a site whose topics are made by the user that the document has for it.
func newSite(t *testing.T) *e2etest.Site {
	t.Helper()
	localtest.ApacheKafka(t)
	s := e2etest.NewSite(t)
	return s.Elsewhere(t, "own.", "file://"+t.TempDir()+"/bucket")
}

func TestTheRightsOfTheDocumentAreEnough(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	as := func(user string) e2etest.Environment { return environment(t, s, documented(t, s, user)) }
	as("topics").Run(t, "topics")
	cfg := sample.Config{Seed: 5, Runs: 300, Start: time.Now().Add(-48 * time.Hour).Truncate(time.Second)}
	ingest := as("ingest").Start(t, "ingest")
	export := append(as("export"), "EXPORT_WINDOW_RECORDS=50").Start(t, "export")
	serve := append(as("serve"), "HTTP_ADDR=127.0.0.1:0").Start(t, "serve")

	as("producer").Run(t, "replay", "--no-wait", e2etest.SampleFile(t, cfg))
	e2etest.WaitForCounts(t, s.Conn, time.Minute, e2etest.SampleRows(cfg))
	e2etest.Produce(t, s, event.TopicRuns, "{")
	e2etest.WaitIngested(t, s)
	if got := as("dead-letters").Run(t, "dead-letters", "ls"); !strings.Contains(got, "invalid_json") {
		t.Errorf("the dead letters are\n%s", got)
	}

	app := e2etest.QueryTexts(t, s.Conn, "SELECT any(app_id) FROM runs_latest WHERE source = 'copilot'")[0]
	workspace := e2etest.QueryTexts(t, s.Conn, "SELECT any(workspace_id) FROM runs_latest WHERE app_id = '"+app+"'")[0]
	got := as("requester").Try(t, "", "request", "--workspace", workspace, "--source", "copilot", "--app", app,
		"--purpose", "export_dataset", "--limit", "1000", "--watch")
	if got.Code != 0 || !strings.Contains(got.Stdout, "succeeded: ") {
		t.Errorf("the requester's export ended with %d: %s%s", got.Code, got.Stdout, got.Stderr)
	}
	server := e2etest.Endpoint{URL: e2etest.WaitReady(t, serve)}.In(workspace)
	id := server.File(t, e2etest.Object{"purpose": "export_dataset", "source": "copilot", "app_id": app,
		"selection": e2etest.Object{"limit": 1000}})
	server.WaitFor(t, id, "succeeded")
	server.Call(t, "POST", "/v1/runs", `{"type":"dev.millrace.run.v1","workspace_id":"`+workspace+`","run_id":"by-http",`+
		`"source":"copilot","app_id":"a","started_at":"2026-11-01T08:00:00Z","status":"succeeded"}`).Want(t, http.StatusOK)
	e2etest.WaitForCounts(t, s.Conn, time.Minute, map[string]uint64{
		"SELECT count() FROM runs_latest WHERE run_id = 'by-http'": 1,
		"SELECT toUInt64(count() > 0) FROM audit":                  1,
	})
	for name, p := range map[string]*e2etest.Process{"ingest": ingest, "export": export, "serve": serve} {
		if code, _ := p.Stop(t); code != 0 {
			t.Errorf("%s ended with %d", name, code)
		}
		if alarms := p.Alarms(); strings.Contains(alarms, "AUTHORIZATION") {
			t.Errorf("%s lacked a right:\n%s", name, alarms)
		}
	}
}

// Every right is needed: without it a role does not start, and says what to grant.
func TestARoleThatLacksARightNamesIt(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	for _, role := range []string{"ingest", "export", "serve"} {
		all := documented(t, s, role)
		for i, lacking := range all {
			t.Run(fmt.Sprintf("%s without %s", role, strings.ReplaceAll(lacking.String(), s.Prefix, "")), func(t *testing.T) {
				t.Parallel()
				env := append(environment(t, s, slices.Delete(slices.Clone(all), i, i+1)), "HTTP_ADDR=127.0.0.1:0")
				got := env.Try(t, "", role)
				if got.Code != e2etest.ExitFailed || !strings.Contains(got.Stderr, "grant ") ||
					!strings.Contains(got.Stderr, lacking.String()) || !strings.Contains(got.Stderr, "MILLRACE_KAFKA_SASL_USER") {
					t.Errorf("exit code %d: %s", got.Code, got.Stderr)
				}
				for _, r := range all {
					if r.String() != lacking.String() && strings.Contains(got.Stderr+"\n", r.String()+",") {
						t.Errorf("it names %s too: %s", r, got.Stderr)
					}
				}
			})
		}
	}
}
