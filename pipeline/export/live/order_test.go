package live_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export/live"
)

// The command lists the exports in ClickHouse. A server also applies the records of the topics.
func TestTheCommandAndServersListExportsOfOneTimeInOneOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	defer w.track()()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, name := range []string{"b", "d", "a", "c"} {
		w.progress(w.plan(name, at), 0)
	}
	w.progress(w.plan("newer", at.Add(time.Millisecond)), 0)
	want := []string{"newer", "d", "c", "b", "a"}

	conn, err := w.dsn.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stored, server := live.Stored{Conn: conn}, w.server()
	for door, list := range map[string]func(live.Query) (*live.Page, error){
		"the command": func(q live.Query) (*live.Page, error) { return stored.List(t.Context(), q) },
		"a server":    func(q live.Query) (*live.Page, error) { return server.List(t.Context(), q) },
	} {
		w.eventually(func() string { // track stores each export when its event comes
			page, err := list(live.Query{Workspace: "acme", Limit: 200})
			if err != nil || !slices.Equal(names(page), want) {
				return fmt.Sprintf("%s lists %+v, %v", door, page, err)
			}
			return ""
		})
		var paged []string
		for q := (live.Query{Workspace: "acme", Limit: 2}); ; {
			page, err := list(q)
			if err != nil {
				t.Fatal(err)
			}
			paged = append(paged, names(page)...)
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
		if !slices.Equal(paged, want) {
			t.Errorf("%s lists page by page %q, want %q", door, paged, want)
		}
	}
}
