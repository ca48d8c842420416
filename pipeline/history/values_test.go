package history

import (
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/runs"
)

func TestValuesOfAFilterAreThoseOfTheAppsRuns(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i, version := range []string{"v1", "v2", "v2", "Beta"} {
		id := "r" + version + string(rune('0'+i))
		f.insertRuns(run(id, time.Duration(i)*time.Hour, func(r *runs.Run) {
			r.AppVersion, r.Model = version, "gpt "+version
			r.Metadata = []runs.Pair{{Key: "region", Value: "eu-" + version}, {Key: "team's", Value: "x"}}
		}))
		f.insertFeedback(judgement(id, "f", "thumbsUp", noon, func(j *runs.Feedback) {
			j.Tags, j.Name, j.Score = []string{"wrong", "tag-" + version}, "fair", new(0.5)
		}))
	}
	f.insertRuns(run("other", 0, func(r *runs.Run) { r.AppID, r.AppVersion = "another", "v9" }),
		run("foreign", 0, func(r *runs.Run) { r.WorkspaceID, r.AppVersion = "rival", "v8" }))
	for _, c := range []struct {
		key, name, part string
		want            []string
	}{
		{"version", "", "", []string{"v2", "Beta", "v1"}}, {"version", "", "b", []string{"Beta"}},
		{"version", "", "'", nil}, {"model", "", "PT v2", []string{"gpt v2"}}, {"trigger", "", "", nil},
		{"tag", "", "", []string{"wrong", "tag-v2", "tag-Beta", "tag-v1"}}, {"score", "", "", []string{"fair"}},
		{"metadata", "", "", []string{"region", "team's"}}, {"metadata", "team's", "", []string{"x"}},
		{"metadata", "region", "v1", []string{"eu-v1"}}, {"metadata", "none", "", nil}, {"workspace_id", "", "", nil},
	} {
		got, err := f.store.Values(t.Context(), "acme", "recipe", "app", c.key, c.name, c.part)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%v: %q, %v", c, got, err)
		}
	}
}
