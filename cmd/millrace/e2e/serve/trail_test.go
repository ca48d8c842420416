package serve

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/api/auth/authtest"
	"github.com/millrace/millrace/pipeline/event"
)

// trailsAreKept does everything with an export that the trail has, and then takes the trail away.
func trailsAreKept(t *testing.T, p *places) {
	const workspace = "audited"
	v := newVault(t, p, workspace)
	s := p.as(workspace)
	id := s.File(t, ofA(object{"app_id": v.app, "requested_by": "the board"}))
	s.WaitFor(t, id, "succeeded")
	s.Call(t, "POST", "/v1/exports/"+id+"/cancel", nil).Problem(t, http.StatusConflict)
	s.Get(t, "/v1/exports/"+id+"/preview").Want(t, http.StatusOK)
	s.Get(t, "/v1/exports/"+id+"/files/manifest.json").Want(t, http.StatusOK)
	s.Get(t, "/v1/exports/"+id+"/download").Want(t, http.StatusOK)
	s.Get(t, "/v1/exports/none/download").Problem(t, http.StatusNotFound) // leaves no entry
	p.client(workspace).Get(t, "/api/public/bot/"+v.app+"/search/jobs/"+v.job).Want(t, http.StatusOK)
	s.Get(t, "/v1/runs/"+v.run).Want(t, http.StatusOK)
	p.as(workspace, "millrace.runs.read").Get(t, "/v1/exports/"+id).Problem(t, http.StatusForbidden)
	page := p.keyed.With("Content-Type: application/x-www-form-urlencoded")
	page.Check = nil
	claims := p.keys.Claims(workspace)
	claims["jti"] = "of the page" // without it, a token of the same second is the same token, and revoked with it
	login := url.Values{"token": {p.keys.Token("ES256", claims)}}.Encode()
	cookie := page.Call(t, "POST", "/login", login).Want(t, http.StatusSeeOther).Header.Get("Set-Cookie")
	cookie, _, _ = strings.Cut(cookie, ";")
	if got := page.Get(t, "/exports/"+id+"?tab=trail", "Cookie: "+cookie).Want(t, http.StatusOK); !strings.Contains(
		string(got.Body), authtest.Subject) {
		t.Errorf("the page of the trail is %s", got.Body)
	}
	page.Get(t, "/exports/"+id, "Cookie: "+cookie).Want(t, http.StatusOK)
	page.Call(t, "POST", "/logout", "", "Cookie: "+cookie).Want(t, http.StatusSeeOther)
	if got := page.Get(t, "/exports/"+id, "Cookie: "+cookie).Want(t, http.StatusSeeOther); !strings.HasPrefix(
		got.Header.Get("Location"), "/login?") {
		t.Errorf("after sign-out the cookie leads to %s", got.Header.Get("Location"))
	}
	token := strings.TrimPrefix(cookie, "millrace_token=")
	p.keyed.Get(t, "/v1/exports", "Authorization: Bearer "+token).Problem(t, http.StatusUnauthorized)
	s.Call(t, "DELETE", "/v1/exports/"+id, nil).Want(t, http.StatusNoContent)

	by := authtest.Subject
	want := []string{
		"cancelled conflict " + by + " serve", "deleted ok " + by + " serve", "downloaded ok " + by + " manifest.json serve",
		"downloaded ok " + by + " serve", "ended succeeded  seal", "filed accepted " + by + " for the board plan",
		"filed ok " + by + " for the board serve", "viewed ok " + by + " serve", "viewed ok " + by + " serve",
	}
	e2etest.Eventually(t, time.Minute, func() string {
		var got []string
		answer := s.Get(t, "/v1/exports/"+id+"/audit").Want(t, http.StatusOK).Object(t)
		for _, e := range answer["entries"].([]any) {
			e := e.(object)
			if e["action"] == "refused" { // told once a minute for an address, which all tests share
				continue
			}
			text := fmt.Sprintf("%v %v %v", e["action"], e["outcome"], e["subject"])
			if of, ok := e["on_behalf_of"]; ok {
				text += fmt.Sprint(" for ", of)
			}
			if file, ok := e["file"]; ok {
				text += fmt.Sprint(" ", file)
			}
			got = append(got, fmt.Sprint(text, " ", e["via"]))
			if e["via"] == "serve" && e["address"] != "127.0.0.1" {
				t.Errorf("the entry %s is from %v", text, e["address"])
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			return fmt.Sprintf("the trail is %q", got)
		}
		return ""
	})
	for what, n := range map[string]int{
		"action = 'signed_in'": 1, "action = 'signed_out'": 1, "action = 'viewed' AND run_id = '" + v.run + "'": 1,
		"action = 'downloaded' AND outcome = 'signed_url'": 1,
	} {
		query := "SELECT count() FROM audit FINAL WHERE workspace_id = '" + workspace + "' AND via != 'plan' AND " + what
		e2etest.Eventually(t, time.Minute, func() string {
			if got := e2etest.Count(t, p.Conn, query); got < uint64(n) {
				return fmt.Sprint(what, ": ", got)
			}
			return ""
		})
	}
	if shown := p.Env.Run(t, "exports", "show", id, "--workspace", workspace); !strings.Contains(shown, "deleted") ||
		!strings.Contains(shown, "127.0.0.1") {
		t.Errorf("exports show prints %s", shown)
	}
	withoutTrail(t, p, workspace, v)
}

// Where the trail cannot be written, nothing is handed out.
func withoutTrail(t *testing.T, p *places, workspace string, v vault) {
	bucket := filepath.Dir(filepath.Dir(filepath.Dir(p.ExportFolder(t, workspace, v.export))))
	mute := p.Elsewhere(t, "mute.", "file://"+bucket+"/") // with another text, since Elsewhere removes its own
	s := e2etest.Endpoint{URL: e2etest.WaitReady(t, mute.Env.Start(t, "serve"))}.In(workspace)
	file := "/v1/exports/" + v.export + "/files/" + v.key
	s.Get(t, file).Want(t, http.StatusOK)
	admin := kadm.NewClient(e2etest.KafkaClient(t, p.Kafka))
	if _, err := admin.DeleteTopics(t.Context(), mute.Prefix+event.TopicAudit); err != nil {
		t.Fatal(err)
	}
	answers := make(chan *e2etest.Answer, 3)
	for _, path := range []string{file, "/v1/exports/" + v.export + "/files/manifest.json",
		"/v1/exports/" + v.export + "/download"} {
		go func() { answers <- s.Get(t, path) }()
	}
	for range cap(answers) {
		(<-answers).Problem(t, http.StatusServiceUnavailable)
	}
	s.Get(t, "/v1/exports/"+v.export).Want(t, http.StatusOK)
	e2etest.Eventually(t, time.Minute, func() string {
		if got := s.Get(t, "/readyz"); got.Status != http.StatusServiceUnavailable {
			return fmt.Sprintf("without the topic of the trail, /readyz is %d %s", got.Status, got.Body)
		}
		return ""
	})
}
