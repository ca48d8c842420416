package history

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/runs"
)

func TestVersionsOfALargeAppAreReadOnceAMinute(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	version := func(id, v string, before time.Duration) {
		f.insertRuns(run(id, before, func(r *runs.Run) { r.AppVersion = v }))
	}
	expect := func(slow, later time.Duration, last time.Duration, versions ...string) {
		t.Helper()
		f.store.versions.slow = slow
		f.store.now = func() time.Time { return noon.Add(later) }
		a, err := f.store.App(t.Context(), "acme", "recipe", "app", 1)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(a.Versions, versions) || !a.LastRunAt.Equal(noon.Add(-last)) {
			t.Errorf("%v, last run %v; want %v, %v", a.Versions, a.LastRunAt, versions, noon.Add(-last))
		}
		slices.Reverse(a.Versions) // a caller may change its own
	}
	const never, always = math.MaxInt64, 0
	version("a", "v1", 3*time.Hour)
	expect(never, 0, 3*time.Hour, "v1")
	version("b", "v2", 2*time.Hour)
	expect(always, 0, 2*time.Hour, "v2", "v1") // what is fast is not kept
	version("c", "v3", time.Hour)
	expect(always, versionsAge-1, time.Hour, "v2", "v1")
	expect(always, versionsAge, time.Hour, "v3", "v2", "v1")
}

func TestVersionsOfFewAppsAreKept(t *testing.T) {
	t.Parallel()
	var k keptVersions
	app := func(id string) *App { return &App{Source: "recipe", AppID: id} }
	broken := errors.New("broken")
	if err := k.fill("acme", app("a"), noon, func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	reads := 0
	read := func() error { reads++; return nil }
	for i := range 3 * maxKept {
		if err := k.fill("acme", app(fmt.Sprint(i)), noon, read); err != nil {
			t.Fatal(err)
		}
		if len(k.apps) > maxKept {
			t.Fatalf("%d apps are kept", len(k.apps))
		}
	}
	last := fmt.Sprint(3*maxKept - 1)
	if err := k.fill("acme", app(last), noon, read); err != nil || reads != 3*maxKept {
		t.Errorf("%d reads, %v", reads, err)
	}
	if err := k.fill("other", app(last), noon, read); err != nil || reads != 3*maxKept+1 {
		t.Errorf("versions of another workspace: %d reads, %v", reads, err)
	}
}
