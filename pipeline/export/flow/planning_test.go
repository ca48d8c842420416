package flow_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/plan"
)

// replaceRuns puts a view in the place of table runs, until the returned function is called.
func (f *flow) replaceRuns(condition string) (restore func()) {
	f.t.Helper()
	f.exec("RENAME TABLE runs TO runs_kept")
	f.exec("CREATE VIEW runs AS SELECT * FROM runs_kept WHERE " + condition)
	return func() {
		f.exec("DROP VIEW runs")
		f.exec("RENAME TABLE runs_kept TO runs")
	}
}

// retries is how often a stage tried something again.
func (f *flow) retries(what string) (n float64) {
	f.t.Helper()
	families, err := f.metrics.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.Metric {
			for _, label := range m.Label {
				if family.GetName() == "millrace_stage_retries_total" && label.GetName() == "what" && label.GetValue() == what {
					n += m.Counter.GetValue()
				}
			}
		}
	}
	return n
}

// A query that ClickHouse refuses was repeated for 25 s, and blocked its partition meanwhile.
func TestAPlanWhoseQueryIsRefusedFailsAtOnce(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.insertRuns(20)
	restore := f.replaceRuns("throwIf(1) = 0")
	f.start()
	f.send(request("e1", limit1000))
	f.poll("completion", func() bool { return len(f.completions("e1")) > 0 })
	c := f.completions("e1")[0]
	f.verify(c)
	if c.Status != export.StatusFailed || c.ErrorCode != export.PlanFailed || c.ErrorRetryable ||
		!strings.Contains(c.ErrorMessage, "refuses the query") {
		t.Errorf("%s, error %+v", c.Status, c.Failure())
	}
	if n := f.retries("select"); n != 0 {
		t.Errorf("the query was repeated %v times", n)
	}
	restore()
	f.send(request("e2", limit1000))
	f.verify(f.completion("e2"))
}

func TestAPlanThatTakesTooLongFailsAndOthersArePlanned(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.insertRuns(20)
	restore := f.replaceRuns("sleepEachRow(0.05) = 0")
	f.planning = 300 * time.Millisecond
	f.start()
	f.send(request("e1", limit1000))
	f.poll("completion", func() bool { return len(f.completions("e1")) > 0 })
	c := f.completions("e1")[0]
	f.verify(c)
	if c.Status != export.StatusFailed || c.ErrorCode != export.PlanFailed || !c.ErrorRetryable ||
		!strings.Contains(c.ErrorMessage, "within 300ms") {
		t.Errorf("%s, error %+v", c.Status, c.Failure())
	}
	restore()
	f.send(request("e2", limit1000))
	f.verify(f.completion("e2"))
}

// holdPlan makes the first request that arrives at a failpoint of plan close begun and wait there for release.
func (f *flow) holdPlan(at string) (begun <-chan struct{}, release func()) {
	arrived, hold := make(chan struct{}), make(chan struct{})
	var first sync.Once
	f.failpoint = func(stage, point string) error {
		wait := false
		if stage == export.StagePlan && point == at {
			first.Do(func() { wait = true })
		}
		if wait {
			close(arrived)
			<-hold
		}
		return nil
	}
	return arrived, sync.OnceFunc(func() { close(hold) })
}

// In one group of consumers, the request of another workspace waited behind that of the first, in the same
// partition.
func TestARequestThatTakesLongDelaysNoOtherWorkspace(t *testing.T) {
	t.Parallel()
	if export.PlanLane("acme") == export.PlanLane("small") {
		t.Fatal("the workspaces share a lane")
	}
	f := newFlow(t)
	f.insertRuns(20)
	f.planSlots = 2
	begun, release := f.holdPlan(plan.AfterPlan)
	defer release()
	f.start()
	f.send(request("long", limit1000))
	<-begun
	f.send(strings.Replace(request("short", limit1000), `"acme"`, `"small"`, 1))
	f.poll("completion", func() bool { return len(f.completions("short")) > 0 })
	if c := f.completions("short")[0]; c.WorkspaceID != "small" || c.Status != export.StatusSucceeded {
		t.Errorf("the other export is %+v", c.State)
	}
	release()
	f.verify(f.completion("long"))
}

// To freeze a large selection takes seconds, for which other requests of its workspace, even in the same partition,
// waited.
func TestALargeRequestDelaysNoSmallOne(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.insertRuns(400)
	f.windowRecords = 150
	begun, release := f.holdPlan(plan.AfterPlan) // of the large one: no other is there yet
	defer release()
	f.start()
	f.send(request("large", limit1000))
	<-begun
	f.send(request("small", `,"selection":{"limit":5}`))
	f.send(request("large", limit1000)) // is the same
	f.send(request("large", `,"selection":{"limit":4}`))
	if code := f.deadLetter(0); code != "export_id_conflict" { // as where the first was planned at once
		t.Errorf("dead letter %s", code)
	}
	f.poll("completion", func() bool { return len(f.completions("small")) > 0 })
	if c := f.completions("small")[0]; c.Status != export.StatusSucceeded || len(f.completions("large")) != 0 {
		t.Errorf("the small export is %+v", c.State)
	}
	release()
	if _, got := f.verify(f.completion("large")); len(got) != 400 {
		t.Errorf("%d records", len(got))
	}
}

func TestALargeRequestThatWasHandedOverCanBeCancelled(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.insertRuns(400)
	f.windowRecords = 150
	begun, release := f.holdPlan(plan.BeforeFreezing)
	defer release()
	f.start()
	f.send(request("large", limit1000))
	<-begun
	f.send(`{"type":"dev.millrace.export.cancelled.v1","export_id":"large","workspace_id":"acme"}`)
	f.send(request("small", `,"selection":{"limit":5}`))
	f.completion("small")
	release()
	if c := f.completion("large"); c.Status != export.StatusCancelled {
		t.Errorf("the large export is %+v", c.State)
	}
}
