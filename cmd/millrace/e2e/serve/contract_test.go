package serve

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/auth/authtest"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

// places are the servers of the tests. All read the same tables of ClickHouse.
type places struct {
	*e2etest.Site
	doc *document // against which every answer is held
	// a and b are two servers beside each other, with export and ingest.
	a, b e2etest.Endpoint
	// still is a server with topics and a bucket of its own where no export role runs. Tests share
	// it, so none of them may start one.
	still e2etest.Endpoint
	// keyed is a server beside a and b that has keys.
	keyed e2etest.Endpoint
	keys  *authtest.Keys
}

// as is the server with keys, for whoever may do this in a workspace.
func (p *places) as(workspace string, scopes ...string) e2etest.Endpoint {
	return p.keyed.With("Authorization: Bearer " + p.keys.Token("ES256", p.keys.Claims(workspace, scopes...)))
}

// client is the server with keys for a client of Answer Insights.
func (p *places) client(workspace string) e2etest.Endpoint {
	return p.keyed.With("auth: " + p.keys.Token("HS256", p.keys.Claims(workspace, auth.AnswerInsights)))
}

// At the places are: workspace acme with copilot a, of 320 runs, copilot bot, of 600 with feedback,
// and recipe r, of 12 runs with two nodes each; workspace other with 5 runs of copilot a.
func newPlaces(t *testing.T) *places {
	t.Helper()
	p := &places{Site: e2etest.NewSite(t)}
	p.Env = append(p.Env, "DEFAULT_WORKSPACE=acme", "LOG_LEVEL=warn", "HTTP_ADDR=127.0.0.1:0",
		"INGEST_BATCH_INTERVAL=50ms")
	p.Env.Start(t, "ingest")
	append(p.Env, "EXPORT_WINDOW_RECORDS=60").Start(t, "export")
	roles := []*e2etest.Process{p.Env.Start(t, "serve"), p.Env.Start(t, "serve")}
	still := p.Elsewhere(t, "still.", "file://"+filepath.Join(t.TempDir(), "bucket"))
	roles = append(roles, still.Env.Start(t, "serve"))
	p.keys = authtest.New(t)
	withKeys := slices.Clone(p.Env)
	for _, v := range p.keys.Environment() {
		withKeys = append(withKeys, strings.TrimPrefix(v, e2etest.EnvPrefix))
	}
	roles = append(roles, withKeys.Start(t, "serve"))
	p.a.URL = e2etest.WaitReady(t, roles[0])
	p.doc = newDocument(t, p.a.URL)
	p.a.Check = p.doc.check
	p.b, p.still = e2etest.Endpoint{URL: e2etest.WaitReady(t, roles[1]), Check: p.doc.check},
		e2etest.Endpoint{URL: e2etest.WaitReady(t, roles[2]), Check: p.doc.check}
	p.keyed = e2etest.Endpoint{URL: e2etest.WaitReady(t, roles[3]), Check: p.doc.check}
	p.seed(t)
	return p
}

func (p *places) seed(t *testing.T) {
	t.Helper()
	var lines, other strings.Builder
	for i := range 320 {
		fmt.Fprintf(&lines,
			`{"type":"dev.millrace.run.v1","workspace_id":"acme","run_id":"r-%03d","source":"copilot","app_id":"a","app_name":"Copilot A","app_version":"v%d","started_at":"2026-11-01T00:00:%02d.%03dZ","status":"succeeded","session_id":"s-%d","question":"say \"%d\"\nمرحبا","answer":"answer %d","metadata":{"k":"v"}}`+"\n", i, i%2, i/10%60, i, i%5, i, i)
	}
	for i := range 600 { // 150 on the first day, 400 on the third, 50 on the fifth
		day := 1
		if i >= 150 {
			day = 3
		}
		if i >= 550 {
			day = 5
		}
		fmt.Fprintf(&lines,
			`{"type":"dev.millrace.run.v1","workspace_id":"acme","run_id":"b-%03d","source":"copilot","app_id":"bot","started_at":"2026-10-%02dT%02d:00:00Z","status":"succeeded","question":"question %d","answer":"<b>answer</b> & \"%d\"\n\u2028 मिल"}`+"\n", i, day, i%24, i, i)
		if rating := []string{"thumbsUp", "thumbsDown", ""}[i%3]; rating != "" {
			fmt.Fprintf(&lines,
				`{"type":"dev.millrace.feedback.v1","workspace_id":"acme","run_id":"b-%03d","feedback_id":"f","rating":%q,"comment":"so so"}`+"\n", i, rating)
		}
	}
	for i := range 12 {
		fmt.Fprintf(&lines,
			`{"type":"dev.millrace.run.v1","workspace_id":"acme","run_id":"w-%02d","source":"recipe","app_id":"r","started_at":"2026-11-02T00:00:00Z","ended_at":"2026-11-02T00:00:02Z","status":"succeeded","inputs":{"n":%d.50},"outputs":{"m":1}}`+"\n", i, i)
		for j, node := range []string{"fetch", "solve"} {
			fmt.Fprintf(&lines,
				`{"type":"dev.millrace.node.v1","workspace_id":"acme","run_id":"w-%02d","node_run_id":"n-%d","source":"recipe","app_id":"r","node_id":%q,"node_type":"llm","sequence":%d,"started_at":"2026-11-02T00:00:00Z","status":"succeeded","prompt":{"template":"solve {n}"}}`+"\n", i, j, node, j)
		}
	}
	for i := range 5 {
		fmt.Fprintf(&other,
			`{"type":"dev.millrace.run.v1","workspace_id":"other","run_id":"r-%03d","source":"copilot","app_id":"a","started_at":"2026-11-01T00:00:00Z","status":"succeeded","question":"a secret"}`+"\n", i)
	}
	p.a.Call(t, "POST", "/v1/runs", lines.String(), "Content-Type: application/x-ndjson").Want(t, http.StatusOK)
	p.b.In("other").Call(t, "POST", "/v1/runs", other.String(), "Content-Type: application/x-ndjson").Want(t,
		http.StatusOK)
	e2etest.WaitForCounts(t, p.Conn, time.Minute, map[string]uint64{
		"SELECT count() FROM runs_latest": 937, "SELECT count() FROM nodes_latest": 24,
		"SELECT count() FROM feedback_latest": 400,
	})
}

// routes are those of the contract.
var routes = []string{
	"POST /v1/exports", "GET /v1/exports", "GET /v1/exports/{id}", "GET /v1/exports/{id}/events",
	"GET /v1/exports/{id}/preview",
	"GET /v1/exports/{id}/files/{key}", "GET /v1/exports/{id}/download", "POST /v1/exports/{id}/cancel",
	"DELETE /v1/exports/{id}",
	"GET /v1/runs", "GET /v1/runs/{id}", "GET /v1/apps", "GET /v1/apps/{id}/nodes", "POST /v1/runs",
	"POST /api/public/bot/{appID}/search/analytics-export", "GET /api/public/bot/{appID}/search/jobs/{jobID}",
}

// Every route of the contract is called here, in every way that succeeds and every way that does
// not, and each answer is held against the OpenAPI document of the binary.
func TestServeKeepsTheContract(t *testing.T) {
	t.Parallel()
	localtest.ClickHouse(t)
	p := newPlaces(t)
	t.Run("routes", func(t *testing.T) {
		for name, f := range map[string]func(*testing.T, *places){
			"an export is there at once at every server":              exportsAreThereAtOnce,
			"an Idempotency-Key is one export":                        idempotencyKeysAreOneExport,
			"a trace goes from a request to its completion":           tracesGoThrough,
			"an id is one request":                                    idsAreOneRequest,
			"of two requests under one id one is filed":               oneOfTwoIsFiled,
			"a request names all its mistakes":                        requestsNameTheirMistakes,
			"a body that is no request is refused":                    bodiesAreRefused,
			"pages neither repeat nor skip":                           pagesNeitherRepeatNorSkip,
			"lists are filtered":                                      listsAreFiltered,
			"an export has the fields of the view":                    exportsHaveTheFieldsOfTheView,
			"a running export can be cancelled and nothing else":      runningExports,
			"a deleted export is gone":                                deletedExports,
			"a failed export says why":                                failedExports,
			"events are those of the topics":                          eventsAreThoseOfTheTopics,
			"a preview is JSON whatever the format":                   previewsAreJSON,
			"a file has ranges and tags":                              filesHaveRangesAndTags,
			"a file is one that the manifest lists":                   filesAreListed,
			"a file on S3 is at a signed URL":                         filesOnS3,
			"a download is what the manifest says":                    downloadsAreWhole,
			"a damaged download is cut":                               damagedDownloadsAreCut,
			"a dry run writes nothing":                                dryRuns,
			"filters of the page are those of the export":             filtersOfThePageAreThoseOfTheExport,
			"run events are accepted in every form":                   runEventsInEveryForm,
			"run events that are refused are named":                   runEventsThatAreRefused,
			"run events have limits":                                  runEventsHaveLimits,
			"runs and apps are those of the workspace":                runsAndApps,
			"health and metrics":                                      healthAndMetrics,
			"what is no route is a problem":                           noRoutes,
			"answers have the headers that browsers heed":             securityHeaders,
			"pages of other origins do nothing":                       otherOrigins,
			"a workspace sees nothing of another":                     workspacesAreApart,
			"what is no good token opens nothing":                     attacksOpenNothing,
			"a token opens one workspace":                             tokensOpenOneWorkspace,
			"a token opens what its scopes say":                       scopesOpenTheirRoutes,
			"what callers do is in the trail":                         trailsAreKept,
			"Answer Insights: one file of 150 records":                insightsOneFile,
			"Answer Insights: 400 records in three files":             insightsThreeFiles,
			"Answer Insights: names of files":                         insightsNames,
			"Answer Insights: an empty file":                          insightsEmpty,
			"Answer Insights: a job that runs, and one that failed":   insightsRunningAndFailed,
			"Answer Insights: what is not asked for as it must be":    insightsMistakes,
			"Answer Insights: a fileUrl cannot be made or prolonged":  insightsURLs,
			"Answer Insights: a job is its app's and its workspace's": insightsJobsAreApart,
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); f(t, p) })
		}
	})
	have := p.doc.operations()
	for _, route := range routes {
		if !slices.Contains(have, route) {
			t.Errorf("the document has no %s", route)
		}
	}
	if t.Failed() {
		return
	}
	for _, op := range have {
		if !p.doc.met[op] {
			t.Errorf("no test has called %s", op)
		}
	}
}
