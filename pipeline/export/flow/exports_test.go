package flow_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/extract"
	"github.com/millrace/millrace/pipeline/export/plan"
	"github.com/millrace/millrace/pipeline/export/seal"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/stage"
)

func TestARequestInBareJSONIsExportedInFragmentsOf150(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.insertRuns(400)
	f.start()
	trace := kgo.RecordHeader{Key: "traceparent", Value: []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")}
	f.send(request("e1", `,"selection":{"limit":310},"name":"first","requested_by":"me"`), trace)
	c := f.completion("e1")
	m, got := f.verify(c)

	var want, sizes []string
	for i := 90; i < 400; i++ {
		want = append(want, fmt.Sprintf("run-%05d", i))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d records from %s to %s, want the 310 most recent runs, ascending", len(got), got[0], got[len(got)-1])
	}
	for _, file := range m.Files {
		sizes = append(sizes, fmt.Sprint(file.Kind, " ", file.Records))
	}
	if strings.Join(sizes, " ") != "data 150 data 150 data 10 other 0 card 0" {
		t.Errorf("files of %v records", sizes)
	}
	if first := m.Files[0]; !strings.HasPrefix(first.Key, "data/train-00000-00000-") ||
		!strings.HasSuffix(first.Key, ".jsonl") ||
		!first.MinStartedAt.Equal(day.Add(90*time.Second)) || !first.MaxStartedAt.Equal(day.Add(239*time.Second)) {
		t.Errorf("first fragment %+v", first)
	}
	if c.Status != export.StatusSucceeded || c.RowsPlanned != 310 || c.RowsUsed != 310 || c.Name != "first" ||
		c.RequestedBy != "me" ||
		c.Target != "canonical" || c.Format != "jsonl" || c.Failure() != nil || c.AcceptedAt == nil || c.Watermark != nil {
		t.Errorf("%s: %+v", describe(c), *c)
	}
	if want := []string{"windows/00000.json"}; !slices.Equal(f.objects(c.ID, "windows"), want) {
		t.Errorf("windows %v", f.objects(c.ID, "windows"))
	}
	f.checkEvents("e1", string(trace.Value))
	f.checkTracked("e1", "succeeded 310 3 100 310 first")
}

// checkEvents checks the events of a successful export of one window against the contract.
func (f *flow) checkEvents(id, trace string) {
	f.t.Helper()
	var steps []string
	for _, p := range f.progress(id) {
		steps = append(steps, fmt.Sprintf("%s %v%% %d/%d rows %d/%d windows", p.Status, p.PercentDone, p.RowsDone,
			p.RowsPlanned, p.WindowsDone, p.WindowsPlanned))
	}
	if want := []string{"accepted 0% 0/310 rows 0/1 windows",
		"running 100% 310/310 rows 1/1 windows"}; !slices.Equal(steps, want) {
		f.t.Errorf("progress %v, want %v", steps, want)
	}
	for _, r := range append(f.seen[event.TopicExportProgress], f.seen[event.TopicExportCompletions]...) {
		if string(r.Key) != "acme/"+id {
			continue
		}
		e, err := event.Decode(r)
		if err != nil {
			f.t.Fatal(err)
		}
		if e.TraceParent != trace || e.Subject != "acme/"+id || e.ID == "" || e.Source == "" {
			f.t.Errorf("event %+v", e)
		}
		if e.Type == export.TypeCompleted && e.ID != (export.ID{WorkspaceID: "acme", ExportID: id}).CompletionID() {
			f.t.Errorf("the completion's id is %s", e.ID)
		}
	}
}

// checkTracked waits until the view exports has the final state of an export.
func (f *flow) checkTracked(id, want string) {
	f.t.Helper()
	conn, err := f.dsn.Open()
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	var got string
	for deadline := time.Now().Add(2 * time.Minute); got != want; {
		query := "SELECT concat(status, ' ', records, ' ', fragments, ' ', percent_done, ' ', rows_done, ' ', name) FROM " +
			"exports WHERE workspace_id = 'acme' AND export_id = '" + id + "'"
		if err := conn.QueryRow(f.t.Context(), query).Scan(&got); time.Now().After(deadline) {
			f.t.Fatalf("exports has %q, %v; want %q", got, err, want)
		}
	}
}

func TestEveryKindOfRequestEndsAsExpected(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.windowRecords = 300
	f.insertRuns(301, func(i int, r *runs.Run) {
		if i == 300 {
			r.Status = "running"
		}
		if i == 299 {
			r.Status, r.AppVersion = "failed", "v2"
		}
	})
	f.start()
	from, to := day.Format(time.RFC3339), day.Add(time.Hour).Format(time.RFC3339)
	for id, c := range map[string]struct{ fields, want string }{
		"window": {`,"selection":{"window":{"from":"` + from + `","to":"` + to + `"}}`, "succeeded 300 records"},
		"edge": {`,"selection":{"window":{"from":"2026-03-01T00:00:01Z","to":"2026-03-01T00:00:03Z"}}`,
			"succeeded 2 records"},
		"window-limit": {`,"selection":{"limit":7,"window":{"from":"` + from + `","to":"` + to + `"}}`,
			"succeeded 7 records"},
		"all-statuses": {`,"selection":{"limit":1},"filters":{"statuses":["running","succeeded"]}`, "succeeded 1 records"},
		"version":      {`,"selection":{"limit":100},"filters":{"app_versions":["v2"]}`, "succeeded 1 records"},
		"rated":        {`,"selection":{"limit":1000},"filters":{"rating":"thumbsUp"}`, "succeeded 100 records"},
		"by-id": {`,"selection":{"run_ids":["run-00001","run-00300","run-00002","nope"]}`,
			"succeeded 2 records runs_not_found"},
		"empty":     {`,"selection":{"limit":10},"filters":{"rating":"thumbsDown"}`, "succeeded 0 records"},
		"fragments": {`,"selection":{"limit":100},"fragment":{"max_records":40}`, "succeeded 100 records"},
		"two-windows": {`,"selection":{"limit":1000},"filters":{"statuses":["running","succeeded","failed"]}`,
			"succeeded 301 records"},
		"future": {`,"selection":{"window":{"by":"ingested_at","from":"2199-01-01T00:00:00Z","to":"2199-02-01T00:00:00Z"}}`,
			"succeeded 0 records watermark 2199-01-01T00:00:00Z"},
		"bad": {`,"selection":{"limit":0},"format":"xml","colour":"red"`,
			"failed unknown_field /colour wrong_type /format out_of_range /selection/limit"},
		"bad-one": {`,"selection":{"limit":0}`, "failed out_of_range /selection/limit"},
		"other-target": {`,"selection":{"limit":5},"target":"answer_insights","format":"csv"`,
			"failed not_possible /format"},
		"split":      {`,"selection":{"limit":5},"split":{"test":0.5}`, "succeeded 5 records"},
		"option":     {`,"selection":{"limit":5},"options":{"with_wings":true}`, "failed not_possible /options"},
		"csv-option": {`,"selection":{"limit":5},"options":{"csv_raw":true}`, "failed not_possible /options"},
		"columns": {`,"selection":{"limit":5},"options":{"columns":["run_id","colour"]}`,
			"failed not_possible /options"},
		"with-nodes":    {`,"selection":{"limit":5},"options":{"with_nodes":true}`, "succeeded 5 records"},
		"other-purpose": {`,"selection":{"limit":5},"nodes":["solve"]`, "succeeded 0 records node_not_found"},
	} {
		t.Run(id, func(t *testing.T) {
			f.t = t
			text := request(id, c.fields)
			if id == "other-purpose" {
				text = strings.Replace(text, "export_dataset", "node_evaluation", 1)
			}
			f.send(text)
			completion := f.completion(id)
			f.verify(completion)
			if got := describe(completion); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func describe(c *export.Completion) string {
	text := string(c.Status)
	if e := c.Failure(); e != nil {
		mistakes := e.Mistakes
		if mistakes == nil {
			mistakes = []export.Mistake{{Code: e.Code, Pointer: e.Pointer}}
		}
		for _, m := range mistakes {
			text += " " + m.Code + " " + m.Pointer
		}
		return text
	}
	text += fmt.Sprintf(" %d records", c.Records)
	for _, w := range c.Warnings {
		text += " " + w.Code
	}
	if c.Watermark != nil {
		text += " watermark " + c.Watermark.Format(time.RFC3339)
	}
	return text
}

// Two exports by ingested_at, the second from the first one's watermark, have every row once. Rows
// that are stored or get feedback at the watermark are in the second one.
func TestAnIncrementalExportContinuesAtTheWatermark(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.insertRuns(30)
	conn, err := f.dsn.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	storedAt := func(table, condition string, at time.Time) {
		t.Helper()
		if err := conn.Exec(t.Context(),
			fmt.Sprintf("ALTER TABLE %s UPDATE ingested_at = fromUnixTimestamp64Micro(%d) WHERE %s SETTINGS mutations_sync = 1",
				table, at.UnixMicro(), condition)); err != nil {
			t.Fatal(err)
		}
	}
	storedAt("runs", "run_id < 'run-00020'", time.Now().Add(-3*time.Minute))
	storedAt("feedback", "1", time.Now().Add(-3*time.Minute))
	f.start()
	window := func(from time.Time) string {
		return `,"selection":{"window":{"by":"ingested_at","from":"` + from.UTC().Format(time.RFC3339Nano) +
			`","to":"2199-01-01T00:00:00Z"}}`
	}
	f.send(request("first", window(day)))
	first := f.completion("first")
	if _, got := f.verify(first); len(got) != 20 {
		t.Errorf("the first export has %d rows, want those stored more than a minute ago: 20", len(got))
	}
	if age := first.AcceptedAt.Sub(*first.Watermark); age < 55*time.Second || age > 65*time.Second {
		t.Errorf("the watermark is %s before the plan, want a minute", age)
	}
	storedAt("runs", "run_id >= 'run-00020'", *first.Watermark)
	storedAt("feedback", "run_id = 'run-00003'", *first.Watermark)
	f.send(request("second", window(*first.Watermark)))
	second := f.completion("second")
	if _, got := f.verify(second); len(got) != 11 || got[0] != "run-00003" || got[1] != "run-00020" {
		t.Errorf("the second export has %v", got)
	}
	if !second.Watermark.After(*first.Watermark) {
		t.Errorf("the watermark went from %s to %s", first.Watermark, second.Watermark)
	}
}

func TestTheSameRequestTwiceIsOneExport(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.insertRuns(5)
	f.start()
	f.send(request("e1", limit1000))
	f.send(
		`{"app_id":"app", "selection": {"limit": 1e3}, "target":"canonical", "workspace_id":"acme","purpose":"export_dataset","source":"recipe","export_id":"e1"}`)
	f.verify(f.completion("e1"))
	f.send(request("e1", limit1000)) // after its end
	f.send(request("e1", `,"selection":{"limit":3}`))
	if code := f.deadLetter(0); code != "export_id_conflict" {
		t.Errorf("dead letter %s", code)
	}
	f.send(request("last", limit1000))
	f.completion("last")
	if n := len(f.completions("e1")); n != 1 {
		t.Errorf("%d completions", n)
	}
}

func TestAMalformedRequestIsADeadLetter(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.start()
	for i, c := range []struct{ value, want string }{
		{`{`, "invalid_json"},
		{`{"export_id":"a","export_id":"b"}`, "duplicate_key"},
		{`{"workspace_id":"acme"}`, "missing_field"},
		{`{"workspace_id":"ACME","export_id":"e"}`, "bad_id"},
		{`{"workspace_id":"acme","export_id":"../e"}`, "bad_id"},
		{`{"type":"dev.millrace.run.v1","workspace_id":"acme","export_id":"e"}`, "unknown_type"},
		{`[]`, "wrong_type"},
		{`{"type":"dev.millrace.export.cancelled.v1","workspace_id":"acme","export_id":"never","why":"x"}`, "unknown_field"},
	} {
		f.send(c.value)
		if code := f.deadLetter(i); code != c.want {
			t.Errorf("%s: dead letter %s, want %s", c.value, code, c.want)
		}
	}
}

func TestARunningExportIsCancelledAndAnEndedOneIsNot(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.insertRuns(200)
	cancel := func(id string) {
		f.send(`{"type":"dev.millrace.export.cancelled.v1","export_id":"` + id +
			`","workspace_id":"acme","requested_by":"me"}`)
	}
	// The window waits until the export has ended.
	ended := make(chan struct{})
	f.failpoint = func(_, point string) error {
		if point == extract.InsideWindow {
			select {
			case <-ended:
			case <-t.Context().Done():
			}
		}
		return nil
	}
	f.start()
	f.send(request("e1", limit1000))
	f.poll("progress", func() bool { return len(f.progress("e1")) > 0 })
	cancel("e1")
	f.poll("completion", func() bool { return len(f.completions("e1")) > 0 })
	close(ended)
	c := f.completion("e1")
	if m, _ := f.read(c); c.Status != export.StatusCancelled || len(m.Files) != 0 || m.Status != export.StatusCancelled {
		t.Errorf("completion %s, manifest %s with %d files", c.Status, m.Status, len(m.Files))
	}
	f.send(request("e2", limit1000))
	f.poll("completion", func() bool { return len(f.completions("e2")) > 0 })
	cancel("e2")
	if c := f.completion("e2"); c.Status != export.StatusSucceeded {
		t.Errorf("%s: %+v", describe(c), *c)
	}
}

func (f *flow) read(c *export.Completion) (*export.Manifest, error) {
	text, err := f.bucket.Read(f.t.Context(), c.Prefix()+export.ManifestName)
	if err != nil {
		f.t.Fatal(err)
	}
	m := new(export.Manifest)
	return m, json.Unmarshal(text, m)
}

// A crash at each failpoint, and a crash between producing and committing in each stage, which -short
// leaves to TestACrashBetweenWindowsLosesNoneAndRepeatsNone.
func TestEveryCrashLeadsToExactlyOneCompletion(t *testing.T) {
	t.Parallel()
	for _, at := range []struct{ stage, point string }{
		{export.StagePlan, plan.BeforeHandingOver},
		{export.StagePlan, plan.BeforeCommit},
		{export.StageExtract, extract.InsideWindow},
		{export.StageExtract, extract.AfterManifest},
		{export.StageSeal, seal.AfterManifest},
		{export.StagePlan, stage.BeforeCommit},
		{export.StageExtract, stage.BeforeCommit},
		{export.StageSeal, stage.BeforeCommit},
	} {
		t.Run(at.stage+" "+at.point, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && at.point == stage.BeforeCommit {
				t.Skip("-short: a transaction that times out takes 10 s")
			}
			f := newFlow(t)
			f.insertRuns(200)
			f.windowRecords = 150 // so that the export is large
			crashed := f.crashOnce(at.stage, at.point)
			f.start()
			f.send(request("e1", limit1000))
			c := f.completion("e1")
			if _, got := f.verify(c); len(got) != 200 || c.Status != export.StatusSucceeded {
				t.Errorf("%s with %d records", c.Status, len(got))
			}
			if !crashed() {
				t.Error("there was no crash")
			}
		})
	}
}
