package flow_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/sinks/runstore"
)

// insertNodes gives each run node runs of these names.
func (f *flow) insertNodes(names ...string) {
	f.t.Helper()
	for i, name := range names {
		f.exec(fmt.Sprintf("INSERT INTO nodes (workspace_id, run_id, source, app_id, node_id, node_run_id, sequence, "+
			"status, started_at, updated_at, version) SELECT workspace_id, run_id, source, app_id, '%s', '%[1]s', %d, 'succeeded', "+
			"started_at + %[2]d, now64(6), 1 FROM runs", name, len(names)-i))
	}
}

const withNodes = `,"options":{"with_nodes":true}`

// The node runs of a large selection are frozen with their runs: each window has its own, in their order, and none that
// came after the plan.
func TestNodeRunsAreFrozenWithTheirRuns(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.windowRecords, f.windowsInFlight = 50, 1
	f.insertRuns(200)
	f.insertNodes("answer", "find")
	f.whileHeld("e1", inWindows(180)+withNodes, func(p *export.Plan) {
		if rows := f.snapshotRows(); rows != 180+360 || p.NodeRuns != 360 || p.NodeSnapshot == "" {
			t.Errorf("%d rows are staged, and the plan has %d node runs", rows, p.NodeRuns)
		}
		f.insertNodes("late")
	})
	c := f.completion("e1")
	m, got := f.verify(c)
	if !slices.Equal(got, lastRuns(180, 200)) {
		t.Errorf("%d records", len(got))
	}
	for _, file := range m.Files {
		if file.Kind != export.Data {
			continue
		}
		text, err := f.bucket.Read(t.Context(), c.Prefix()+file.Key)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var record struct {
				Nodes []struct {
					NodeID    string `json:"node_id"`
					StartedAt string `json:"started_at"`
				} `json:"nodes"`
			}
			if err := json.Unmarshal([]byte(line), &record); err != nil {
				t.Fatal(err)
			}
			if n := record.Nodes; len(n) != 2 || n[0].NodeID != "find" || n[1].NodeID != "answer" ||
				n[0].StartedAt >= n[1].StartedAt {
				t.Fatalf("a record has node runs %+v", n)
			}
		}
	}
	if rows := f.snapshotRows(); rows != 0 {
		t.Errorf("%d rows are staged after the end", rows)
	}
}

// Without its node runs, an export must not pass for a whole one.
func TestAMissingSnapshotOfNodeRunsFailsTheExport(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.windowRecords, f.windowsInFlight = 50, 1
	f.insertRuns(200)
	f.insertNodes("answer")
	f.whileHeld("e1", inWindows(200)+withNodes, func(p *export.Plan) {
		gone := &export.Plan{NodeSnapshot: p.NodeSnapshot}
		if err := selection.DropSnapshot(t.Context(), f.dsn, "", gone); err != nil {
			t.Fatal(err)
		}
	})
	f.poll("completion", func() bool { return len(f.completions("e1")) > 0 })
	c := f.completions("e1")[0]
	if m, _ := f.verify(c); describe(c) != "failed stage_gone " || !c.ErrorRetryable || len(m.Files) != 0 {
		t.Errorf("%s: %+v", describe(c), c.Failure())
	}
}

// insertEverything inserts the runs from a number to another, of two versions, with node runs and judgements, and
// some of them twice.
func insertEverything(f *flow, from, to int) {
	f.t.Helper()
	store := runstore.New(f.dsn)
	defer store.Close()
	var list []*runs.Run
	var nodes []*runs.Node
	var judged []*runs.Feedback
	for i := from; i < to; i++ {
		at := day.Add(time.Duration(i) * time.Second)
		r := &runs.Run{WorkspaceID: "acme", RunID: fmt.Sprintf("run-%05d", i), Source: "recipe", AppID: "app",
			AppVersion: fmt.Sprint("v", i%2), Status: "succeeded", StartedAt: at, UpdatedAt: day,
			Question: fmt.Sprint("why ", i/2), Answer: fmt.Sprint("since ", i), Reference: "so", Inputs: fmt.Sprintf(`{"n":%d}`, i/2), Outputs: `{"m":1}`}
		list = append(list, r)
		var chunks []runs.Chunk
		if i%4 > 0 { // the others are node runs without a retrieval
			chunks = []runs.Chunk{{ChunkID: fmt.Sprint("c", i), Text: fmt.Sprint("text ", i)}}
		}
		nodes = append(nodes, &runs.Node{WorkspaceID: "acme", RunID: r.RunID, NodeRunID: "n", Source: "recipe", AppID: "app",
			AppVersion: r.AppVersion, NodeID: "solve", NodeType: "llm", Status: "succeeded", StartedAt: at, UpdatedAt: day,
			Inputs: r.Inputs, Outputs: fmt.Sprintf(`{"m":%d}`, i), Chunks: chunks})
		if i%3 == 0 {
			judged = append(judged, &runs.Feedback{WorkspaceID: "acme", RunID: r.RunID, FeedbackID: "f", Kind: "human",
				Rating: []string{"thumbsUp", "thumbsDown"}[i%2], UpdatedAt: day})
		}
	}
	ctx := f.t.Context()
	_, err := store.InsertRuns(ctx, list)
	if err == nil {
		_, err = store.InsertNodes(ctx, nodes)
	}
	if err == nil {
		_, err = store.InsertFeedback(ctx, judged)
	}
	if err == nil {
		_, err = store.InsertRuns(ctx, list[:10])
	}
	if err != nil {
		f.t.Fatal(err)
	}
}
