package history

import (
	"slices"
	"sync"
	"time"
)

// The versions of an app that take at least slowVersions to read, which are those of millions of runs, are read again
// after versionsAge only. Nothing but the choices of a filter by version is as old as that.
const (
	slowVersions = 100 * time.Millisecond
	versionsAge  = time.Minute
	maxKept      = 1000 // apps
)

// keptVersions remembers the versions of apps that take at least slow to read.
type keptVersions struct {
	slow time.Duration
	mu   sync.Mutex
	apps map[workspaceApp]versionsAt
}

type workspaceApp struct {
	workspace string
	app       appKey
}

type versionsAt struct {
	versions []string
	at       time.Time
}

// fill sets the versions of an app to those that it remembers; else read has to set them.
func (k *keptVersions) fill(workspace string, a *App, now time.Time, read func() error) error {
	key := workspaceApp{workspace, appKey{a.Source, a.AppID}}
	k.mu.Lock()
	kept, ok := k.apps[key]
	k.mu.Unlock()
	if ok && now.Sub(kept.at) < versionsAge {
		a.Versions = slices.Clone(kept.versions)
		return nil
	}
	began := time.Now()
	if err := read(); err != nil || time.Since(began) < k.slow {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.apps == nil || len(k.apps) >= maxKept {
		k.apps = map[workspaceApp]versionsAt{}
	}
	k.apps[key] = versionsAt{slices.Clone(a.Versions), now}
	return nil
}
