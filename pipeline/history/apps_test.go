package history

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/runs"
)

const aDay = 24 * time.Hour

// wantApps is the reference for apps, without their versions.
func (f *fixture) wantApps(workspace, source string, days int) []App {
	first := noon.Truncate(aDay).AddDate(0, 0, 1-days)
	verdicts := f.verdicts(workspace)
	var apps []App
	for _, r := range f.newest(workspace) { // so that the first of an app is its newest
		if source != "" && r.Source != source {
			continue
		}
		i := slices.IndexFunc(apps, func(a App) bool { return a.Source == r.Source && a.AppID == r.AppID })
		if i < 0 {
			i = len(apps)
			a := App{Source: r.Source, AppID: r.AppID, AppName: r.AppName, LastRunAt: r.StartedAt}
			for d := range days {
				a.Days = append(a.Days, Day{Date: first.AddDate(0, 0, d).Format(time.DateOnly)})
			}
			apps = append(apps, a)
		}
		a := &apps[i]
		d := slices.IndexFunc(a.Days, func(d Day) bool { return d.Date == r.StartedAt.Format(time.DateOnly) })
		if d < 0 {
			continue
		}
		a.Days[d].Runs++
		a.Runs++
		switch r.Status {
		case "succeeded":
			a.Succeeded++
		case "failed":
			a.Failed++
		}
		switch verdicts[r.RunID].rating {
		case "thumbsUp":
			a.ThumbsUp++
		case "thumbsDown":
			a.ThumbsDown++
		}
	}
	return apps
}

func TestAppsHaveTheNumbersOfTheirLastDays(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	seed := rand.Uint64()
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	f.random(rng, 300)
	f.insertRuns(
		run("old", 400*aDay, func(r *runs.Run) { r.AppID, r.AppName = "forgotten", "Old 'name'" }),
		run("a-old-name", 2*aDay, func(r *runs.Run) { r.AppID, r.AppName = "named", "Then" }),
		run("name", aDay, func(r *runs.Run) { r.AppID, r.AppName = "named", "Now" }),
		run("first-of-day", 12*time.Hour, func(r *runs.Run) { r.AppID = "edge" }),
		run("last-of-day", 12*time.Hour+time.Millisecond, func(r *runs.Run) { r.AppID = "edge" }),
		run("tomorrow", -12*time.Hour, func(r *runs.Run) { r.AppID = "edge" }),
	)
	for _, workspace := range []string{"acme", "umbrella"} {
		for _, source := range []string{"", "recipe", "copilot"} {
			for _, days := range []int{1, 14, 100} {
				got, err := f.store.Apps(t.Context(), workspace, source, days)
				if err != nil {
					t.Fatal(err)
				}
				want := f.wantApps(workspace, source, days)
				order := func(a, b App) int { return strings.Compare(a.Source+"/"+a.AppID, b.Source+"/"+b.AppID) }
				if !slices.IsSortedFunc(got, func(a, b App) int { return b.LastRunAt.Compare(a.LastRunAt) }) {
					t.Error("the app that ran last is not the first")
				}
				slices.SortFunc(got, order)
				slices.SortFunc(want, order)
				for i := range got {
					got[i].Versions = nil
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s, source %q, %d days:\n got %+v\nwant %+v", workspace, source, days, got, want)
				}
				for _, w := range want {
					a, err := f.store.App(t.Context(), workspace, w.Source, w.AppID, days)
					if err != nil {
						t.Fatal(err)
					}
					if a.Versions = nil; !reflect.DeepEqual(*a, w) {
						t.Errorf("app:\n got %+v\nwant %+v", *a, w)
					}
				}
			}
		}
	}
}

func TestAnAppHasItsNewestVersions(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var rows []*runs.Run
	version := func(v string, before time.Duration) {
		rows = append(rows, run(fmt.Sprint("r", len(rows)), before, func(r *runs.Run) { r.AppVersion = v }))
	}
	version("", 0)
	version("again", 60*aDay)
	for i := range 60 {
		version(fmt.Sprint("v", i), time.Duration(i+1)*time.Hour)
	}
	version("again", time.Minute)
	f.insertRuns(rows...)
	f.insertRuns(
		run("x", aDay, func(r *runs.Run) { r.AppID, r.AppVersion = "two", "new" }),
		run("y", 89*aDay, func(r *runs.Run) { r.AppID, r.AppVersion = "two", "'older'" }),
		run("z", 91*aDay, func(r *runs.Run) { r.AppID, r.AppVersion = "two", "too old" }))
	a, err := f.store.App(t.Context(), "acme", "", "app", 14)
	if err != nil {
		t.Fatal(err)
	}
	if v := a.Versions; len(v) != 50 || v[0] != "again" || v[1] != "v0" || v[49] != "v48" || !a.LastRunAt.Equal(noon) {
		t.Errorf("%q, %v", v, a.LastRunAt)
	}
	if a, err = f.store.App(t.Context(), "acme", "recipe", "two", 14); err != nil ||
		!slices.Equal(a.Versions, []string{"new", "'older'"}) {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestRunsThatMovedCountWhereTheyAreNow(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	as := func(app, version, session string, snapshot int) func(*runs.Run) {
		return func(r *runs.Run) {
			r.AppID, r.AppName, r.AppVersion, r.SessionID = app, "Name "+version, version, session
			r.UpdatedAt = noon.Add(time.Duration(snapshot) * time.Second)
		}
	}
	f.insertRuns(run("stays", 3*time.Hour, as("app", "kept", "s", 1)))
	f.insertRuns(run("leaves", time.Hour, as("app", "kept", "left", 1)),
		run("starts", 2*time.Hour, as("app", "old", "s", 1)), run("comes", 4*time.Hour, as("gone", "old", "came", 1)))
	f.insertRuns(run("leaves", time.Hour, as("other", "elsewhere", "left", 2)),
		run("starts", 50*time.Hour, as("app", "new", "s", 2)), run("comes", 4*time.Hour, as("app", "came", "came", 2)))
	got, err := f.store.Apps(t.Context(), "acme", "recipe", 1)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, a := range got {
		list = append(list, fmt.Sprint(a.AppID, " ", a.AppName, " ", a.Versions, " ", a.Runs, " ", noon.Sub(a.LastRunAt)))
	}
	want := []string{"other Name elsewhere [elsewhere] 1 1h0m0s", "app Name kept [kept came new] 2 3h0m0s"}
	if !slices.Equal(list, want) {
		t.Errorf("%q, want %q", list, want)
	}
	for _, want := range got {
		if a, err := f.store.App(t.Context(), "acme", "recipe", want.AppID, 1); err != nil || !reflect.DeepEqual(*a, want) {
			t.Errorf("%+v, want %+v, %v", a, want, err)
		}
	}
	if a, err := f.store.App(t.Context(), "acme", "recipe", "gone", 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("all runs of the app have moved: %+v, %v", a, err)
	}
	for _, q := range []Query{{}, {AppID: "app"}, {AppID: "gone"},
		{Filters: filters{AppVersions: []string{"old", "elsewhere"}}}, {Filters: filters{SessionID: new("left")}},
		{AppID: "app", Filters: filters{SessionID: new("left")}}, {Filters: filters{SessionID: new("came")}},
		{RunIDs: []string{"starts", "leaves"}},
		{From: noon.Add(-150 * time.Minute), To: noon}} {
		q.Workspace, q.Source, q.Limit = "acme", "recipe", 2
		f.same(q)
	}
}

func TestNodesOfAnAppAreThoseThatRanLately(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	as := func(source, app, id, name, kind string) func(*runs.Node) {
		return func(n *runs.Node) { n.Source, n.AppID, n.NodeID, n.NodeName, n.NodeType = source, app, id, name, kind }
	}
	f.insertRuns(run("r", 0), run("bare", 0, func(r *runs.Run) { r.AppID = "bare" }))
	f.insertNodes(
		node("r", "n1", nil, -time.Hour, as("recipe", "app", "solve", "Then", "tool")),
		node("r", "n2", nil, 0, as("recipe", "app", "solve", "Not yet", "llm")),
		node("r", "n3", nil, 0, as("recipe", "app", "check", "Check", "code")),
		node("r", "n4", nil, time.Second, as("copilot", "app", "check", "Check it", "router")),
		node("r", "n5", nil, time.Second, as("copilot", "app", "check", "Check them", "router")),
		node("r", "n6", nil, -91*aDay, as("recipe", "app", "gone", "", "")),
		node("r", "n7", nil, -91*aDay, as("recipe", "old", "gone", "Gone", "llm")),
		node("r", "n8", nil, 0, as("recipe", "app", "solve", "Theirs", "llm"),
			func(n *runs.Node) { n.WorkspaceID = "umbrella" }))
	f.insertNodes(node("r", "n2", nil, 0, as("recipe", "app", "solve", "Now", "llm"),
		func(n *runs.Node) { n.UpdatedAt = noon.Add(time.Second) }))
	solve, check := Node{"solve", "Now", "llm", 2, noon}, Node{"check", "Check", "code", 1, noon}
	for _, c := range []struct {
		source, app string
		want        []Node
	}{
		{"recipe", "app", []Node{solve, check}},
		{"", "app", []Node{{"check", "Check them", "router", 3, noon.Add(time.Second)}, solve}},
		{"recipe", "old", []Node{{"gone", "Gone", "llm", 1, noon.Add(-91 * aDay)}}},
		{"recipe", "bare", []Node{}},
	} {
		if got, err := f.store.Nodes(t.Context(), "acme", c.source, c.app); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s of %q: %+v, %v; want %+v", c.app, c.source, got, err, c.want)
		}
	}
}
