package card

import (
	"reflect"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export"
)

// A filter that the card leaves out would make its reader believe that there are all rows.
func TestACardNamesEveryFilter(t *testing.T) {
	t.Parallel()
	f := export.Filters{
		Text: "why", AppVersions: []string{"v1"}, Models: []string{"m1"}, Triggers: []string{"chat"},
		Statuses: []string{"failed"}, ErrorTypes: []string{"timeout"}, Tags: []string{"kind"}, Rating: export.Unrated,
		MinScore: new(0.125), Scores: map[string]export.ScoreRange{"fair": {Max: new(0.25)}}, MinLatencyMS: new(int64(11)),
		MaxLatencyMS: new(int64(12)), MinCostUSD: new(0.375), MaxCostUSD: new(0.5), HasFiles: new(false),
		SessionID: new("s1"), UserID: new("u1"), Metadata: map[string]string{"region": "eu"},
	}
	for i := range reflect.TypeFor[export.Filters]().NumField() {
		if reflect.ValueOf(f).Field(i).IsZero() {
			t.Errorf("the test does not have filter %s", reflect.TypeFor[export.Filters]().Field(i).Name)
		}
	}
	words := describeFilters(&f)
	for _, want := range []string{"`why`", "`v1`", "`m1`", "`chat`", "`failed`", "`timeout`", "`kind`", "`none`", "0.125",
		"`fair ..0.25`", "11 ms", "12 ms", "0.375", "0.5", "without files", "`s1`", "`u1`", "`region = eu`"} {
		if !strings.Contains(words, want) {
			t.Errorf("no %s in %s", want, words)
		}
	}
	sample := export.Selection{Sample: &export.Sample{Size: 5000, Seed: 7, By: "version"}}
	if got := describeSelection(&sample, "node runs", 1); got !=
		"the node runs of a sample of 5,000 runs, evenly by `version`, with seed 7" {
		t.Error(got)
	}
}
