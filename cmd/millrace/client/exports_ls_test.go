package client

import (
	"bytes"
	"strings"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/live"
)

func TestAListWithoutTheBucketRepeatsNoCommandOrAddressOfAnEvent(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := &app.App{Config: &app.Config{}, Stdout: &out}
	a.Config.BucketURL = "file:///dev/null/none"
	id := export.ID{WorkspaceID: "acme", ExportID: "e"}
	list := []live.Export{{State: export.State{ID: id, Status: export.StatusSucceeded, LoadWith: "run me",
		ManifestURI: "https://example.org/follow-me"}}}
	if err := printStates(t.Context(), a, list); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "succeeded") || strings.Contains(text, "run me") ||
		strings.Contains(text, "follow-me") {
		t.Errorf("printed: %s", text)
	}
}

func TestAShortIDStandsForAnIDThatMillraceHasMade(t *testing.T) {
	t.Parallel()
	const minted, other = "01a2270c-be7e-7646-8455-29f3c081013d", "01a2270c-be7e-7191-9020-1f3c55f82652"
	for name, c := range map[string]struct {
		short string
		list  []string // the exports of which the id has the short one as a part
		want  string   // the id, or a part of the error
	}{
		"the end of an id":             {"c081013d", []string{minted}, minted},
		"the end of two":               {"01a2270c", []string{minted, other}, "several exports"},
		"a part of a client's id":      {"job-1", []string{"job-10"}, ""},
		"of a client's and a minted":   {"2270", []string{"job-2270", minted}, minted},
		"the newest, made by a client": {latestID, []string{"job-10"}, "job-10"},
		"none":                         {"c081013d", nil, ""},
	} {
		var list []live.Export
		for _, id := range c.list {
			list = append(list, live.Export{State: export.State{ID: export.ID{WorkspaceID: "acme", ExportID: id}}})
		}
		got, err := meant(c.short, list)
		if err != nil {
			if !strings.Contains(err.Error(), c.want) || c.want == "" {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
		} else if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
