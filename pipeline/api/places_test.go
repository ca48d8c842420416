package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
)

func TestAPagePreviewTakesAPlaceAmongThePreviewsOfItsWorkspace(t *testing.T) {
	t.Parallel()
	attack(t, func(t *testing.T, m *inMemory) {
		look := func(path, workspace string) string {
			return "GET " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + tokenOf(t, workspace) + "\r\n\r\n"
		}
		view := func(workspace string) string { return look("/exports/e", workspace) }
		places := m.api.limits.of[previewOperation]
		var leave []func()
		for range places.Each {
			end, err := places.Enter(t.Context(), "hostile")
			if err != nil {
				t.Fatal(err)
			}
			leave = append(leave, end)
		}
		for _, path := range []string{"/exports/e", "/history/run/exports?id=r1"} { // both read files of exports
			if got := answer(t, m.dial(t, attacker, look(path, "hostile"))); got.status != http.StatusTooManyRequests ||
				got.header.Get("Retry-After") == "" || !strings.Contains(got.body, "too many previews") ||
				!strings.HasPrefix(got.header.Get("Content-Type"), "text/html") {
				t.Errorf("%s beyond the share: %d %v %s", path, got.status, got.header, got.body)
			}
		}
		if got := answer(t, m.dial(t, neighbour, view("small"))); got.status != http.StatusOK {
			t.Errorf("a preview of another workspace: %d %s", got.status, got.body)
		}
		for _, end := range leave {
			end()
		}
		for range places.Each + places.Queue + 1 { // each leaves its place
			if got := answer(t, m.dial(t, attacker, view("hostile"))); got.status != http.StatusOK {
				t.Fatalf("a preview within the share: %d %s", got.status, got.body)
			}
		}
	})
}

func TestAStreamEndsWithItsToken(t *testing.T) {
	t.Parallel()
	attackAll(t, 2, func(t *testing.T, servers []*inMemory) {
		here, there := servers[0], servers[1]
		began := time.Now()
		stream := func(m *inMemory, token string) <-chan time.Duration {
			ended := make(chan time.Duration, 1)
			c := m.dial(t, neighbour, "GET /v1/exports/e/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+token+
				"\r\n\r\n")
			go func() {
				if got := answer(t, c); got.status != http.StatusOK || !strings.Contains(got.body, `"accepted"`) ||
					strings.Count(got.body, ": still here") > 6 {
					t.Errorf("the stream is %d %s", got.status, got.body)
				}
				ended <- time.Since(began)
			}()
			return ended
		}
		gone, kept := tokenUntil(t, "small", began.Add(2*time.Hour)), tokenUntil(t, "small", began.Add(90*time.Second))
		revoked := map[string]<-chan time.Duration{"here": stream(here, gone), "there": stream(there, gone)}
		expiring := stream(here, kept)
		const signOut = 40 * time.Second
		<-time.After(signOut)
		answer(t, here.dial(t, neighbour, "POST /logout HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nCookie: "+
			auth.TokenCookie+"="+gone+"\r\n\r\n"))
		for where, ended := range revoked {
			if after := <-ended - signOut; after > 5*time.Second {
				t.Errorf("the stream %s ended %s after its owner signed out", where, after)
			}
		}
		if after := <-expiring; after < 89*time.Second || after > 91*time.Second {
			t.Errorf("a stream of a token of 90 s ended after %s", after)
		}
	})
}
