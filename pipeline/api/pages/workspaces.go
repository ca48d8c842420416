package pages

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
)

// The switcher lists up to listedWorkspaces, as they were up to workspacesAge ago. A page waits for them
// up to workspacesTime.
const (
	listedWorkspaces = 50
	workspacesAge    = 15 * time.Second
	workspacesTime   = time.Second
)

// workspaces are those that the switcher lists.
type workspaces struct {
	mu   sync.Mutex
	ids  []string
	read time.Time
}

// workspaceList returns the workspaces for the switcher, with that of the caller. With keys there is no
// switcher: the token names the workspace.
func (p *Pages) workspaceList(ctx context.Context, current string) []string {
	if !p.auth.Keyless() || p.runs == nil {
		return nil
	}
	w := &p.workspaces
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.read) > workspacesAge {
		ctx, cancel := context.WithTimeout(ctx, workspacesTime)
		defer cancel()
		ids, err := p.runs.Workspaces(ctx, listedWorkspaces)
		if err != nil {
			p.cfg.Log.DebugContext(ctx, "the workspaces are not listed", "error", err)
		} else {
			w.ids = ids
		}
		w.read = time.Now()
	}
	list := slices.Clone(w.ids)
	if !slices.Contains(list, current) {
		list = append(list, current)
	}
	return list
}

// loadSample fills the workspace with generated runs, on the local stack.
func (p *Pages) loadSample(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
	if !p.canLoadSample(c) {
		return notFound("page", "Sample data is loaded on the local stack only.")
	}
	if err := p.cfg.Sample(r.Context(), c.Workspace); err != nil {
		return err
	}
	http.Redirect(w, r, "/copilots", http.StatusSeeOther)
	return nil
}

func (p *Pages) canLoadSample(c *auth.Caller) bool {
	return p.cfg.Sample != nil && p.auth.Keyless() && c.Has(auth.RunsWrite)
}
