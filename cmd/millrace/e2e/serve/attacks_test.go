package serve

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/auth/authtest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
)

// guarded is an operation of the document, as it would succeed in a workspace that has all that it
// names.
type guarded struct {
	op, path string
	scope    string
	body     any
	headers  []string
	named    bool // names something of the workspace
}

func (g guarded) call(t *testing.T, s e2etest.Endpoint, path string) *e2etest.Answer {
	t.Helper()
	method, _, _ := strings.Cut(g.op, " ")
	return s.Call(t, method, path, g.body, g.headers...)
}

// vault is what a workspace has.
type vault struct{ export, key, run, app, job string }

// newVault fills a workspace.
func newVault(t *testing.T, p *places, workspace string) vault {
	t.Helper()
	s := p.a.In(workspace)
	v := vault{run: "secret-run", app: "secret-app"}
	s.Call(t, "POST", "/v1/runs", strings.ReplaceAll(runEvent(workspace, v.run, `,"question":"secret question"`),
		`"app_id":"p"`, `"app_id":"secret-app"`)).Want(t, http.StatusOK)
	e2etest.Eventually(t, time.Minute, func() string {
		if n := e2etest.Count(t, p.Conn, "SELECT count() FROM runs_latest WHERE workspace_id = '"+workspace+"'"); n != 1 {
			return fmt.Sprint(n, " runs")
		}
		return ""
	})
	v.export = s.File(t, ofA(object{"app_id": v.app, "name": "secret name"}))
	s.WaitFor(t, v.export, "succeeded")
	v.key = keys(t, readManifest(t, s, v.export))[0]
	v.job = exportAnalytics(t, s, v.app, `{"filters":{"from":"2026-11-01","to":"2026-11-01"}}`)["_id"].(string)
	return v
}

// operations are all of the document that ask who calls, on what a workspace has.
func (v vault) operations(t *testing.T, d *document, workspace string) (list []guarded) {
	t.Helper()
	bodies := map[string]any{
		"POST /v1/exports": ofA(nil), "POST /v1/exports/dry-run": ofA(nil), "POST /v1/runs": runEvent(workspace, "forged",
			""),
		"POST /api/public/bot/{appID}/search/analytics-export": `{"filters":{"from":"2026-11-01","to":"2026-11-01"}}`,
	}
	for _, op := range d.operations() {
		method, path, _ := strings.Cut(op, " ")
		o, _ := d.model.Paths.PathItems.GetOrZero(path).GetOperations().Get(strings.ToLower(method))
		g := guarded{op: op, body: bodies[op]}
		for _, requirement := range o.Security {
			for _, scopes := range requirement.Requirements.FromOldest() {
				g.scope = strings.Join(scopes, " ")
			}
		}
		if g.scope == "" {
			t.Errorf("%s asks nobody who they are", op)
		}
		id := v.export
		switch {
		case strings.HasPrefix(path, "/v1/runs/"):
			id = v.run
		case strings.HasPrefix(path, "/v1/apps/"):
			id = v.app
		}
		g.path = strings.NewReplacer("{id}", id, "{key}", v.key, "{appID}", v.app, "{jobID}", v.job).Replace(path)
		g.named = g.path != path && g.body == nil
		list = append(list, g)
	}
	return list
}

// attacksOpenNothing sends every attack to every route: its answer tells nothing, and nothing comes
// of it.
func attacksOpenNothing(t *testing.T, p *places) {
	const workspace = "vault"
	v := newVault(t, p, workspace)
	before := p.a.In(workspace).Get(t, "/v1/exports").Want(t, http.StatusOK)
	refused := 0
	for _, attack := range authtest.Attacks(p.keys, workspace) {
		for _, g := range v.operations(t, p.doc, workspace) {
			at := p.keyed
			at.Prepare = attack.Set
			insights := g.scope == auth.AnswerInsights
			got := g.call(t, at, g.path)
			wanted := attack.Status
			if insights && attack.Header != nil && attack.Header.Get("Cookie") != "" {
				wanted = http.StatusUnauthorized
			}
			if got.Status != wanted {
				t.Errorf("%s: %s: %d, want %d\n%.300s", attack.Name, g.op, got.Status, wanted, got.Body)
				continue
			}
			got.Problem(t, wanted)
			if challenge := got.Header.Get("WWW-Authenticate"); wanted == http.StatusUnauthorized &&
				(!strings.HasPrefix(challenge, "Bearer ") || attack.Header == nil &&
					!strings.Contains(challenge, `error="invalid_token"`)) {
				t.Errorf("%s: %s: WWW-Authenticate: %s", attack.Name, g.op, challenge)
			}
			if strings.Contains(string(got.Body), "secret") || strings.Contains(string(got.Body), v.export) {
				t.Errorf("%s: %s: %s", attack.Name, g.op, got.Body)
			}
			if insights && attack.Header == nil { // the same in their own header
				at.Prepare = func(r *http.Request) { r.Header.Set(auth.InsightsHeader, attack.Token) }
				g.call(t, at, g.path).Problem(t, attack.Status)
			}
			refused++
		}
	}
	if refused < 1000 {
		t.Errorf("only %d attacks were sent", refused)
	}
	if after := p.a.In(workspace).Get(t, "/v1/exports").Want(t, http.StatusOK); string(after.Body) != string(before.Body) {
		t.Errorf("filed is\n%s\nand was\n%s", after.Body, before.Body)
	}
	p.a.In(workspace).Get(t, "/v1/exports/"+v.export+"/files/"+v.key).Want(t, http.StatusOK)
	for _, topic := range []string{event.TopicRuns, event.TopicExportRequests} {
		for _, r := range p.ReadTopic(t, topic) {
			ours := strings.HasPrefix(string(r.Key), workspace+"/")
			if value := string(r.Value); ours && !strings.Contains(value, "secret") || ours &&
				strings.Contains(value, export.TypeCancelled) {
				t.Errorf("topic %s has %s", topic, r.Value)
			}
		}
	}
	for _, good := range authtest.Accepted(p.keys, workspace) {
		at := p.keyed
		at.Prepare = good.Set
		at.Get(t, "/v1/exports/"+v.export).Want(t, http.StatusOK)
	}
}

// To a token of one workspace what another one has is what is not there.
func tokensOpenOneWorkspace(t *testing.T, p *places) {
	const workspace = "treasury"
	v := newVault(t, p, workspace)
	none := vault{export: strings.Repeat("0", len(v.export)), key: strings.Repeat("x", len(v.key)), run: "public-run",
		app: "public-app", job: "fj-" + strings.Repeat("0", len(v.job)-3)}
	thief := p.as("thief")
	missing := none.operations(t, p.doc, workspace)
	for i, g := range v.operations(t, p.doc, workspace) {
		if !g.named {
			continue
		}
		got, want := g.call(t, thief, g.path), g.call(t, thief, missing[i].path)
		got.Header.Del("Date")
		want.Header.Del("Date")
		if got.Status != http.StatusNotFound || got.Status != want.Status || string(got.Body) != string(want.Body) ||
			!maps.EqualFunc(got.Header, want.Header, slices.Equal) {
			t.Errorf("%s: %d %s %v\nof what is not there: %d %s %v", g.op, got.Status, got.Body, got.Header, want.Status,
				want.Body, want.Header)
		}
	}
	checkNoExports(t, thief)
	if got := thief.Get(t, "/v1/runs").Want(t, http.StatusOK); strings.Contains(string(got.Body), "secret") {
		t.Errorf("the runs are %s", got.Body)
	}
	thief.Call(t, "POST", "/v1/runs", runEvent(workspace, "planted", "")).Problem(t, http.StatusForbidden)
	thief.Call(t, "POST", "/v1/exports", ofA(object{"workspace_id": workspace})).Problem(t, http.StatusForbidden,
		"/workspace_id")
	thief.In(workspace).Get(t, "/v1/exports").Problem(t, http.StatusForbidden)
	// It is another export.
	if id := thief.File(t, ofA(object{"export_id": v.export, "requested_by": "the board"})); id != v.export {
		t.Errorf("filed is %s", id)
	}
	if x := p.as(workspace).Get(t, "/v1/exports/"+v.export).Want(t, http.StatusOK).Object(t); x["name"] != "secret name" {
		t.Errorf("the export is %v", x)
	}
	if x := thief.Get(t, "/v1/exports/"+v.export).Want(t, http.StatusOK).Object(t); x["name"] != "" ||
		x["workspace_id"] != "thief" || x["requested_by"] != authtest.Subject || x["on_behalf_of"] != "the board" {
		t.Errorf("the export is %v", x)
	}
}

func scopesOpenTheirRoutes(t *testing.T, p *places) {
	const workspace = "scopes"
	v := newVault(t, p, workspace)
	list := v.operations(t, p.doc, workspace)
	slices.SortStableFunc(list, func(a, b guarded) int { return strings.Compare(b.op, a.op) }) // DELETE comes last
	for _, g := range list {
		others := slices.DeleteFunc(slices.Clone(auth.Scopes), func(s string) bool { return s == g.scope })
		got := g.call(t, p.as(workspace, others...), g.path)
		got.Problem(t, http.StatusForbidden)
		if challenge := got.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="insufficient_scope"`) ||
			!strings.Contains(challenge, g.scope) {
			t.Errorf("%s: WWW-Authenticate: %s", g.op, challenge)
		}
	}
	for _, g := range list {
		if got := g.call(t, p.as(workspace, g.scope), g.path); got.Status == http.StatusUnauthorized ||
			got.Status == http.StatusForbidden || got.Status == http.StatusNotFound {
			t.Errorf("%s: %d %s", g.op, got.Status, got.Body)
		}
	}
}
