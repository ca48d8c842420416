package plan

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/message"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/stage"
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
	if slices.Sort(groups); len(slices.Compact(groups)) != export.PlanLanes+1 || len(used) != export.PlanLanes {
		t.Errorf("groups %v, lanes %v", groups, used)
	}
}

func TestExactlyOneLaneTakesARecord(t *testing.T) {
	t.Parallel()
	cfg := stage.Config{Config: kafka.Config{Log: slog.New(slog.DiscardHandler)}}
	s := New(Config{Config: cfg}, &clickhouse.DSN{}, nil)
	asked := record("e", false, day)
	copied := message.Large(export.ID{WorkspaceID: "acme", ExportID: "e"}, asked)
	for name, c := range map[string]struct {
		record *kgo.Record
		want   string
	}{
		"request":                {asked, fmt.Sprint("plan-", export.PlanLane("acme"))},
		"handed over":            {copied, "plan-large"},
		"cancel":                 {record("e", true, day), fmt.Sprint("plan-", export.PlanLane("acme"))},
		"without a workspace":    {&kgo.Record{Value: []byte("7")}, "plan"},
		"handed over a 2nd time": {message.Large(export.ID{WorkspaceID: "acme", ExportID: "e"}, copied), "plan-large"},
	} {
		var takers []string
		for _, l := range s.lanes {
			if l.takes(c.record) {
				takers = append(takers, export.PlanGroups()[l.number])
			}
		}
		if !slices.Equal(takers, []string{c.want}) {
			t.Errorf("%s: taken by %v, want %s", name, takers, c.want)
		}
	}
	if string(copied.Value) != string(asked.Value) || string(copied.Key) != "acme/e" ||
		!copied.Timestamp.Equal(asked.Timestamp) {
		t.Errorf("the copy %s: %s at %s differs", copied.Key, copied.Value, copied.Timestamp)
	}
}

func TestAnExportIsOfTheRequestThatBeganFirst(t *testing.T) {
	t.Parallel()
	p := &export.Plan{PlannedBy: "requests/0/7", Hash: "h"}
	for first, want := range map[string]bool{
		"requests/0/7 h": true, "requests/0/7 normalised otherwise": true, "requests/0/5 h": true, "": true,
		"requests/0/5 other": false,
	} {
		if got := mayBeOf(p, first); got != want {
			t.Errorf("%q: %v, want %v", first, got, want)
		}
	}
}

// A copy with its header may be larger than Kafka takes where the request was not.
func TestALongRequestIsNotHandedOver(t *testing.T) {
	t.Parallel()
	short, long := record("e", false, day), record("e", false, day)
	long.Value = append(long.Value, make([]byte, maxHandedOver)...)
	id := export.ID{WorkspaceID: "acme", ExportID: "e"}
	for name, c := range map[string]struct {
		record *kgo.Record
		want   large
	}{
		"short":       {short, large{}},
		"long":        {long, large{freeze: true}},
		"handed over": {message.Large(id, short), large{counted: true, freeze: true}},
	} {
		if got := largeOf(c.record); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// The error of an export that took too long names the time that it had.
func TestARequestThatWasHandedOverMayTakeLonger(t *testing.T) {
	t.Parallel()
	s := &Stage{cfg: Config{Budget: 30 * time.Second}}
	for name, c := range map[string]struct {
		l    large
		want string
	}{
		"of a lane":        {large{}, "within 30s:"},
		"frozen by a lane": {large{freeze: true}, "within 30s:"},
		"handed over":      {large{counted: true, freeze: true}, "within 10m0s:"},
	} {
		if got := failure(errSpent, s.budget(c.l)); !strings.Contains(got.Message, c.want) || !got.Retryable {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
