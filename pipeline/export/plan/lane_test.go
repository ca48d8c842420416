package plan

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/export"
)

// A request and its cancel are handled in one lane, however they are written, and whatever their key: a
// producer that chooses keys must not get into the lanes of other workspaces.
func TestTheLaneOfARecordIsThatOfTheWorkspaceInItsData(t *testing.T) {
	t.Parallel()
	want := export.PlanLane("acme")
	if want == 0 {
		t.Fatal("acme has the lane of what has no workspace")
	}
	header := func(key, value string) kgo.RecordHeader { return kgo.RecordHeader{Key: key, Value: []byte(value)} }
	for name, r := range map[string]*kgo.Record{
		"request":     record("e", false, day),
		"cancel":      record("e", true, day),
		"another key": {Key: []byte("small/e"), Value: []byte(`{"workspace_id":"acme"}`)},
		"structured": {Value: []byte(`{"specversion":"1.0","id":"1","source":"s","type":"` + export.TypeRequested +
			`","data":{"workspace_id":"acme"}}`)},
		"binary": {Value: []byte(`{"workspace_id":"acme"}`), Headers: []kgo.RecordHeader{header("ce_specversion", "1.0"),
			header("ce_id", "1"), header("ce_source", "s"), header("ce_type", export.TypeRequested)}},
		"with a mistake": {Value: []byte(`{"workspace_id":"acme","selection":7}`)},
	} {
		if got := laneOf(r); got != want {
			t.Errorf("%s: lane %d, want %d", name, got, want)
		}
	}
	for _, value := range []string{"", "{", "[]", "7"} {
		if got := laneOf(&kgo.Record{Value: []byte(value)}); got != 0 {
			t.Errorf("%q: lane %d", value, got)
		}
	}
}

func TestEveryLaneHasWorkspacesAndAGroup(t *testing.T) {
	t.Parallel()
	used := map[int]int{}
	for i := range 800 {
		used[export.PlanLane(fmt.Sprint("workspace-", i))]++
	}
	for lane := range export.PlanLanes {
		if used[lane] < 50 {
			t.Errorf("of 800 workspaces %d are in lane %d", used[lane], lane)
		}
	}
	groups := export.PlanGroups()
	if slices.Sort(groups); len(slices.Compact(groups)) != export.PlanLanes || len(used) != export.PlanLanes {
		t.Errorf("groups %v, lanes %v", groups, used)
	}
}
