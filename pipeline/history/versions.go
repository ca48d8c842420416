package history

import (
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

// keptVersions remembers the versions of large apps. The zero value is empty.
type keptVersions struct {
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

// keep remembers the versions of these apps.
func (k *keptVersions) keep(workspace string, apps map[appKey]*App, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.apps == nil || len(k.apps) >= maxKept {
		k.apps = map[workspaceApp]versionsAt{}
	}
	for key, a := range apps {
		k.apps[workspaceApp{workspace, key}] = versionsAt{a.Versions, now}
	}
}

// recall sets the versions of these apps, and reports whether it knows those of all.
func (k *keptVersions) recall(workspace string, apps map[appKey]*App, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, a := range apps {
		kept, ok := k.apps[workspaceApp{workspace, key}]
		if !ok || now.Sub(kept.at) >= versionsAge {
			return false
		}
		a.Versions = kept.versions
	}
	return true
}
