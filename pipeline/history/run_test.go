package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/pipeline/budget"
	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/local/localtest"
	"github.com/millrace/millrace/pipeline/runs"
)

func of[T any](v T) *T { return &v }

func node(runID, id string, sequence *int64, at time.Duration, changes ...func(*runs.Node)) *runs.Node {
	n := &runs.Node{
		WorkspaceID: "acme", RunID: runID, NodeRunID: id, Source: "recipe", AppID: "app", NodeID: "solve",
		Status:   "succeeded",
		Sequence: sequence, StartedAt: noon.Add(at), UpdatedAt: noon,
	}
	for _, change := range changes {
		change(n)
	}
	return n
}

func (f *fixture) detail(id string) *Detail {
	f.t.Helper()
	d, err := f.store.Run(f.t.Context(), "acme", id)
	if err != nil {
		f.t.Fatal(err)
	}
	return d
}

func TestADetailHasAllThatIsKnownOfARun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ended := noon.Add(time.Second)
	f.insertRuns(run("r", 0, func(r *runs.Run) { r.Status, r.Inputs = "running", `{"old":1}` }))
	f.insertRuns(run("r", 0, func(r *runs.Run) {
		r.AppName, r.AppVersion, r.RequestID, r.SessionID, r.UserID, r.Model, r.TraceID, r.Trigger = "App", "v1", "q", "s",
			"u", "m", "t", "chat"
		r.UpdatedAt, r.EndedAt = noon.Add(time.Minute+time.Microsecond), ended
		r.Question, r.Answer, r.Reference = `"q" \ 'x'`, "a", "ref"
		r.Inputs, r.SystemInputs, r.Outputs, r.Messages, r.Tools = `{"x":1.0,"ü":"\\"}`, `{"s":2}`, "", `[{"role":"user"}]`,
			`[]`
		r.Error = &runs.Error{Type: "timeout", Message: "late"}
		r.Files = []runs.File{{FileID: "f", Name: "n", URI: "s3://x", ContentType: "text/plain", SizeBytes: of(int64(7)),
			Direction: "input"}, {FileID: "g"}}
		r.Usage, r.CostUSD = &runs.Usage{InputTokens: of(int64(3))}, of(0.25)
		r.Metadata = []runs.Pair{{Key: "region", Value: "eu"}}
	}))
	f.insertNodes(node("r", "n1", of(int64(1)), 0, func(n *runs.Node) {
		n.NodeName, n.NodeType, n.ParentNodeRunID, n.EndedAt, n.Model = "Solve", "llm", "n0", ended, "gpt"
		n.PromptTemplate, n.PromptVariables, n.Parameters = "say {x}", `{"x":1}`,
			[]runs.Pair{{Key: "temperature", Value: "0.5"}}
		n.Inputs, n.Outputs, n.Messages = `{"i":1}`, `{"o":2}`, `[{"role":"assistant"}]`
		n.Error, n.Usage, n.CostUSD = &runs.Error{Message: "oops"}, &runs.Usage{OutputTokens: of(int64(9))}, of(0.5)
		n.Chunks = []runs.Chunk{{ChunkID: "c", Text: "passage", Score: of(0.75), SourceURI: "u", Title: "t",
			SentToLLM: of(true), UsedInAnswer: of(false)}, {Text: "bare"}}
	}))
	f.insertFeedback(judgement("r", "old", "thumbsUp", noon), judgement("r", "whole", "thumbsDown", noon.Add(1),
		func(j *runs.Feedback) {
			j.UpdatedAt = noon.Add(time.Second)
			j.Score, j.Comment, j.Tags, j.CorrectedAnswer, j.CreatedBy, j.CreatedAt = of(0.0), "bad", []string{"a", "b"},
				"right", "bob", noon
		}), judgement("r", "node", "thumbsUp", noon.Add(time.Minute), func(j *runs.Feedback) { j.NodeID = "solve" }))

	whole := Feedback{FeedbackID: "whole", Rating: "thumbsDown", Score: of(0.0), Comment: "bad", Tags: []string{"a", "b"},
		CorrectedAnswer: "right", CreatedBy: "bob", CreatedAt: of(noon)}
	given := whole
	given.Kind = "human"
	want := &Detail{
		Run: Run{
			WorkspaceID: "acme", RunID: "r", RequestID: "q", Source: "recipe", AppID: "app", AppName: "App", AppVersion: "v1",
			SessionID: "s", UserID: "u", Model: "m", TraceID: "t",
			Trigger: "chat", Status: "succeeded", StartedAt: noon, EndedAt: &ended, Question: `"q" \ 'x'`, Answer: "a",
			Error: &Error{"timeout", "late"},
			Files: []File{{"f", "n", "s3://x", "text/plain", of(int64(7)), "input"}, {FileID: "g"}},
			Usage: &Usage{InputTokens: of(int64(3))}, CostUSD: of(0.25), Feedback: &whole,
		},
		Reference: "ref", Inputs: json.RawMessage(`{"x":1.0,"ü":"\\"}`), SystemInputs: json.RawMessage(`{"s":2}`),
		Messages: json.RawMessage(`[{"role":"user"}]`), Tools: json.RawMessage(`[]`),
		Metadata: map[string]string{"region": "eu"}, UpdatedAt: noon.Add(time.Minute + time.Microsecond),
		Nodes: []NodeRun{{
			NodeRunID: "n1", NodeID: "solve", NodeName: "Solve", NodeType: "llm", ParentNodeRunID: "n0", Sequence: of(int64(1)),
			Status: "succeeded", StartedAt: noon, EndedAt: &ended, Model: "gpt",
			PromptTemplate: "say {x}", PromptVariables: json.RawMessage(`{"x":1}`),
			Parameters: map[string]string{"temperature": "0.5"},
			Inputs:     json.RawMessage(`{"i":1}`), Outputs: json.RawMessage(`{"o":2}`),
			Messages: json.RawMessage(`[{"role":"assistant"}]`),
			Error:    &Error{Message: "oops"}, Usage: &Usage{OutputTokens: of(int64(9))}, CostUSD: of(0.5),
			Chunks: []Chunk{{"c", "passage", of(0.75), "u", "t", of(true), of(false)}, {Text: "bare"}},
		}},
		AllFeedback: []Feedback{
			{FeedbackID: "node", NodeID: "solve", Kind: "human", Rating: "thumbsUp", Tags: []string{}}, given,
			{FeedbackID: "old", Kind: "human", Rating: "thumbsUp", Tags: []string{}},
		},
	}
	if got := f.detail("r"); !reflect.DeepEqual(got, want) {
		a, _ := json.MarshalIndent(got, "", " ")
		b, _ := json.MarshalIndent(want, "", " ")
		t.Errorf("got %s\nwant %s", a, b)
	}
}

func TestARunOfAnotherWorkspaceIsNotFound(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.insertRuns(run("theirs", 0, func(r *runs.Run) { r.WorkspaceID = "umbrella" }), run("ours", 0))
	f.insertNodes(node("ours", "n", nil, 0, func(n *runs.Node) { n.WorkspaceID = "umbrella" }), node("other", "n", nil, 0))
	f.insertFeedback(judgement("ours", "f", "thumbsUp", noon, func(j *runs.Feedback) { j.WorkspaceID = "umbrella" }))
	for _, id := range []string{"theirs", "none", "", `' OR 1 --`, `\`} {
		if d, err := f.store.Run(t.Context(), "acme", id); !errors.Is(err, ErrNotFound) || d != nil {
			t.Errorf("%q: %v, %v", id, d, err)
		}
	}
	if d := f.detail("ours"); len(d.Nodes) != 0 || d.Nodes == nil || len(d.AllFeedback) != 0 || d.AllFeedback == nil ||
		d.Feedback != nil {
		t.Errorf("%+v", d)
	}
	if page, err := f.store.Runs(t.Context(), Query{Workspace: "acme", RunIDs: []string{"theirs", "ours"}}); err != nil ||
		len(page.Runs) != 1 || page.Runs[0].Feedback != nil {
		t.Errorf("%+v, %v", page, err)
	}
	if apps, err := f.store.Apps(t.Context(), "nobody", "", 14); err != nil || apps == nil || len(apps) != 0 {
		t.Errorf("%+v, %v", apps, err)
	}
	for name, err := range map[string]error{
		"app":   second(f.store.App(t.Context(), "nobody", "", "app", 14)),
		"nodes": second(f.store.Nodes(t.Context(), "nobody", "recipe", "app")),
		"kind":  second(f.store.App(t.Context(), "acme", "copilot", "app", 14)),
		"no id": second(f.store.Nodes(t.Context(), "acme", "recipe", "")),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestNodeRunsAreInTheirOrderAndTheFirstThousand(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.insertRuns(run("few", 0), run("many", 0))
	f.insertNodes(node("few", "c", nil, time.Second), node("few", "b", nil, 0), node("few", "a", nil, time.Second),
		node("few", "z", of(int64(1)), 9*time.Second),
		node("few", "superseded", of(int64(9)), 0, func(n *runs.Node) { n.Status = "running" }))
	f.insertNodes(node("few", "superseded", of(int64(2)), 0, func(n *runs.Node) { n.UpdatedAt = noon.Add(time.Second) }))
	var ids []string
	for _, n := range f.detail("few").Nodes {
		ids = append(ids, n.NodeRunID+" "+n.Status)
	}
	if got := strings.Join(ids, ", "); got != "z succeeded, superseded succeeded, b succeeded, a succeeded, c succeeded" {
		t.Error(got)
	}

	var nodes []*runs.Node
	for i := range int64(1234) {
		nodes = append(nodes, node("many", fmt.Sprint("n", i), of(1234-i), 0,
			func(n *runs.Node) { n.Outputs = fmt.Sprintf(`{"i":%d}`, i) }))
	}
	f.insertNodes(nodes...)
	d := f.detail("many")
	if len(d.Nodes) != 1000 || d.NodesOmitted != 234 || d.Nodes[0].NodeRunID != "n1233" ||
		d.Nodes[999].NodeRunID != "n234" || string(d.Nodes[999].Outputs) != `{"i":234}` || d.DocumentsOmitted {
		t.Errorf("%d node runs, %d omitted, %v", len(d.Nodes), d.NodesOmitted, d.DocumentsOmitted)
	}
}

func TestDocumentsThatAreTooLargeTogetherAreLeftOut(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	mega := `{"x":"` + strings.Repeat("x", 1<<20) + `"}`
	f.insertRuns(run("r", 0, func(r *runs.Run) { r.Inputs = mega }))
	for i := range int64(20) {
		f.insertNodes(node("r", fmt.Sprint("n", i), of(i), 0, func(n *runs.Node) {
			n.Outputs, n.Error = mega,
				&runs.Error{Type: "big", Message: "m"}
		}))
	}
	d := f.detail("r")
	if !d.DocumentsOmitted || string(d.Inputs) != mega || len(d.Nodes) != 20 {
		t.Fatalf("%v, %d node runs", d.DocumentsOmitted, len(d.Nodes))
	}
	for i, n := range d.Nodes {
		if whole := i < 14; (string(n.Outputs) == mega) != whole || n.DocumentsOmitted == whole || n.Error.Type != "big" {
			t.Errorf("node run %d: %d bytes, omitted %v, %v", i, len(n.Outputs), n.DocumentsOmitted, n.Error)
		}
	}
	if text, err := json.Marshal(d); err != nil || len(text) > maxDocuments+maxDocuments/8 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

func TestARunHasItsNewestHundredFeedbacks(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.insertRuns(run("r", 0))
	rows := []*runs.Feedback{judgement("r", "whole", "thumbsDown", noon.Add(-time.Hour))}
	for i := range 120 {
		rows = append(rows, judgement("r", fmt.Sprint("f", i), "thumbsUp", noon.Add(time.Duration(i)*time.Second),
			func(j *runs.Feedback) { j.NodeID = "solve" }))
	}
	f.insertFeedback(rows...)
	d := f.detail("r")
	if len(d.AllFeedback) != 100 || d.AllFeedback[0].FeedbackID != "f119" || d.AllFeedback[99].FeedbackID != "f20" ||
		d.Feedback == nil || d.Feedback.FeedbackID != "whole" {
		t.Errorf("%d, %+v", len(d.AllFeedback), d.Feedback)
	}
}

// every calls each of the store's methods.
func every(ctx context.Context, s *Store) map[string]error {
	return map[string]error{
		"Runs": second(s.Runs(ctx, Query{Workspace: "acme", Filters: filters{Statuses: []string{"failed"},
			Rating: "thumbsUp"}})),
		"Run":   second(s.Run(ctx, "acme", "r")),
		"Apps":  second(s.Apps(ctx, "acme", "", 14)),
		"App":   second(s.App(ctx, "acme", "recipe", "app", 14)),
		"Nodes": second(s.Nodes(ctx, "acme", "recipe", "app")),
	}
}

// open returns a store of the server at an address.
func open(t *testing.T, addr, database string) *Store {
	dsn, err := clickhouse.ParseDSN(localtest.ClickHouse(t).DSNAt(addr, database) + "?dial_timeout=2s")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dsn.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return New(conn, nil)
}

func TestErrorsOfClickHouseArePassedOn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.insertRuns(run("r", 0))
	down := clickhousetest.NewProxy(t, "127.0.0.1:1")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	impatient := New(f.conn, nil)
	impatient.maxDuration = 0
	for name, c := range map[string]struct {
		ctx   context.Context
		store *Store
		ok    func(err error) bool
	}{
		"down": {t.Context(), open(t, down.Addr, "millrace"),
			func(err error) bool { return strings.Contains(err.Error(), "ClickHouse does not answer") }},
		"too slow": {t.Context(), open(t, clickhousetest.Refuse(t, 159, "Timeout exceeded"), "millrace"),
			func(err error) bool { return errors.Is(err, ErrTooSlow) }},
		"no time": {t.Context(), impatient, func(err error) bool { return errors.Is(err, ErrTooSlow) }},
		"no memory": {t.Context(), open(t, clickhousetest.Refuse(t, 241, "Memory limit"), "millrace"),
			func(err error) bool { return clickhouse.Code(err) == 241 }},
		"credentials": {t.Context(), open(t, clickhousetest.Refuse(t, 516, "Authentication failed"), "millrace"),
			func(err error) bool { return errors.Is(err, clickhouse.ErrCredentials) }},
		"cancelled": {cancelled, f.store, func(err error) bool { return errors.Is(err, context.Canceled) }},
	} {
		for method, err := range every(c.ctx, c.store) {
			if err == nil || errors.Is(err, ErrNotFound) || !c.ok(err) {
				t.Errorf("%s: %s: %v", name, method, err)
			}
		}
	}
	f.exec("DROP TABLE runs SYNC")
	f.exec("DROP TABLE nodes SYNC")
	for method, err := range every(t.Context(), f.store) {
		if !errors.Is(err, clickhouse.ErrSchema) {
			t.Errorf("no table: %s: %v", method, err)
		}
	}
}

func TestASearchThatTakesTooLongIsStoppedByTheServer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for name, deadline := range map[string]time.Duration{"of the answer": 500 * time.Millisecond,
		"before the caller's": time.Second} {
		r := f.store.read("acme", readRun)
		r.deadline = time.Now().Add(deadline)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		err := r.each(ctx, "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1", nil)
		if !errors.Is(err, ErrTooSlow) || time.Since(began) > 30*time.Second {
			t.Errorf("%s: %v after %v", name, err, time.Since(began))
		}
	}
}

func TestAWaitForMemoryIsNoSlowSearch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := budget.New(copies * 2 * maxSmall)
		release, err := shared.Acquire(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(budget.Patience-1, release)
		ctx, end := shared.Scope(t.Context())
		defer end()
		r := New(nil, nil).read("acme", readRun)
		before := time.Until(r.deadline)
		if err := r.reserve(ctx, false, &nodeRuns{sizes: []int64{2 * maxSmall}}); err != nil {
			t.Fatal(err)
		}
		if left := time.Until(r.deadline); left != before {
			t.Errorf("%s are left for the search after a wait, and %s were before it", left, before)
		}
	})
}

func TestAServerThatGoesSilentIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	s := localtest.ClickHouse(t)
	proxy := clickhousetest.NewProxy(t, s.NativeAddr)
	store := open(t, proxy.Addr, s.Database(t))
	store.maxDuration = 100 * time.Millisecond
	if err := store.conn.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	proxy.Silence()
	done := make(chan error, 1)
	go func() { done <- second(store.Nodes(t.Context(), "acme", "recipe", "app")) }()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "ClickHouse does not answer") {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("it is still waited for")
	}
}
