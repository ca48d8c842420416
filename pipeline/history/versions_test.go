package history

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestVersionsOfALargeAppAreKeptForAMinute(t *testing.T) {
	t.Parallel()
	var k keptVersions
	one := appKey{"recipe", "a"}
	recall := func(workspace string, at time.Time) []string {
		a := &App{}
		if !k.recall(workspace, map[appKey]*App{one: a}, at) {
			return nil
		}
		return a.Versions
	}
	k.keep("acme", map[appKey]*App{one: {Versions: []string{"v1"}}}, noon)
	if got := recall("acme", noon.Add(versionsAge-1)); !slices.Equal(got, []string{"v1"}) {
		t.Errorf("%v", got)
	}
	if got := recall("acme", noon.Add(versionsAge)); got != nil {
		t.Errorf("%v are as old as a minute", got)
	}
	if got := recall("other", noon); got != nil {
		t.Errorf("%v are of another workspace", got)
	}
	for i := range 3 * maxKept {
		k.keep(fmt.Sprint(i), map[appKey]*App{one: {}}, noon)
		if len(k.apps) > maxKept {
			t.Fatalf("%d apps are kept", len(k.apps))
		}
	}
}
