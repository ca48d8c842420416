package format

import (
	"bytes"
	"cmp"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/sample"
)

// history is what events told: the newest snapshot of everything, as ClickHouse would have it.
type history struct {
	runs     map[string]*runs.Run             // by run
	nodes    map[string]map[string]*runs.Node // by run and node run
	feedback map[string]*runs.Feedback        // by run/node: the newest on each
	order    []string                         // runs, as they came
}

func newHistory() *history {
	return &history{runs: map[string]*runs.Run{}, nodes: map[string]map[string]*runs.Node{}, feedback: map[string]*runs.Feedback{}}
}

func (h *history) add(e runs.Event) {
	switch e := e.(type) {
	case *runs.Run:
		there := h.runs[e.RunID]
		if there == nil {
			h.order = append(h.order, e.RunID)
		}
		if there == nil || there.Version() <= e.Version() {
			copied := *e
			h.runs[e.RunID] = &copied
		}
	case *runs.Node:
		if h.nodes[e.RunID] == nil {
			h.nodes[e.RunID] = map[string]*runs.Node{}
		}
		if there := h.nodes[e.RunID][e.NodeRunID]; there == nil || there.Version() <= e.Version() {
			copied := *e
			h.nodes[e.RunID][e.NodeRunID] = &copied
		}
	case *runs.Feedback:
		key := e.RunID + "/" + e.NodeID
		there := h.feedback[key]
		if there == nil || there.Version() < e.Version() || there.Version() == e.Version() && there.FeedbackID <= e.FeedbackID {
			copied := *e
			h.feedback[key] = &copied
		}
	}
}

// sampleHistory is what n sample runs come to. Tests share it: it must not be changed.
func sampleHistory(t testing.TB, n int) *history {
	t.Helper()
	made, _ := histories.LoadOrStore(n, sync.OnceValues(func() (*history, error) {
		g := sample.New(sample.Config{Seed: 1, Runs: n})
		h := newHistory()
		for {
			e, more := g.Next()
			if !more {
				return h, nil
			}
			var decoder runs.Decoder // whose events are not reused
			event, err := decoder.Decode(e.Type, e.Data, "", e.Time)
			if err != nil {
				return nil, err
			}
			h.add(event)
		}
	}))
	h, err := made.(func() (*history, error))()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

var histories sync.Map // by number of runs

// rows are the rows that a formatter with these needs would get: of runs, or of the node runs of these nodes. Where
// apps are named, only theirs.
func (h *history) rows(needs Needs, nodes []string, apps ...string) (rows []*Row) {
	wanted := func(app, status string) bool {
		return status != "running" && (len(apps) == 0 || slices.Contains(apps, app))
	}
	if nodes == nil {
		for _, r := range h.runs {
			if wanted(r.AppID, r.Status) {
				row := h.runRow(r)
				row.Nodes = h.nodesOf(r.RunID, needs.Nodes)
				rows = append(rows, row)
			}
		}
	} else {
		for _, of := range h.nodes {
			for _, n := range of {
				if wanted(n.AppID, n.Status) && (slices.Contains(nodes, n.NodeID) || slices.Contains(nodes, "*")) {
					rows = append(rows, h.nodeRow(n))
				}
			}
		}
	}
	group(rows, needs)
	return rows
}

func b(s string) []byte { return []byte(s) }

func (h *history) runRow(r *runs.Run) *Row {
	row := &Row{
		WorkspaceID: b(r.WorkspaceID), RunID: b(r.RunID), RequestID: b(r.RequestID), Source: b(r.Source), AppID: b(r.AppID), AppName: b(r.AppName),
		SessionID: b(r.SessionID), UserID: b(r.UserID), Trigger: b(r.Trigger), TraceID: b(r.TraceID),
		Execution: Execution{
			AppVersion: b(r.AppVersion), Status: b(r.Status), StartedAt: r.StartedAt.UnixMilli(), EndedAt: moment(r.EndedAt), UpdatedAt: r.UpdatedAt.UnixMilli(),
			Inputs: b(r.Inputs), Outputs: b(r.Outputs), Messages: b(r.Messages), Tools: b(r.Tools), Model: b(r.Model), Files: filesOf(r.Files),
			CostUSD: null(r.CostUSD), Metadata: pairsOf(r.Metadata), InputGroup: b(r.InputGroup()),
		},
		Question: b(r.Question), SystemInputs: b(r.SystemInputs), Answer: b(r.Answer), Reference: b(r.Reference),
	}
	row.finish(r.Error, r.Usage)
	row.judge(h.feedback[r.RunID+"/"])
	return row
}

func (h *history) nodeRow(n *runs.Node) *Row {
	node := nodeOf(n)
	row := &Row{WorkspaceID: b(n.WorkspaceID), RunID: b(n.RunID), Source: b(n.Source), AppID: b(n.AppID), Node: &node}
	if r := h.runs[n.RunID]; r != nil {
		row.RequestID, row.AppName, row.SessionID, row.UserID, row.Trigger, row.TraceID = b(r.RequestID), b(r.AppName), b(r.SessionID), b(r.UserID), b(r.Trigger), b(r.TraceID)
		row.Question, row.Answer, row.Reference = b(r.Question), b(r.Answer), b(r.Reference)
		row.Status, row.InputGroup = b(r.Status), b(r.InputGroup())
	}
	if f := h.feedback[n.RunID+"/"+n.NodeID]; f != nil {
		row.judge(f)
		row.Feedback.OnNode = true
	} else {
		row.judge(h.feedback[n.RunID+"/"])
	}
	return row
}

func (e *Execution) finish(failed *runs.Error, usage *runs.Usage) {
	if failed != nil {
		e.ErrorType, e.ErrorMessage = b(failed.Type), b(failed.Message)
	}
	if usage != nil {
		e.InputTokens, e.OutputTokens = null(usage.InputTokens), null(usage.OutputTokens)
	}
}

func (r *Row) judge(f *runs.Feedback) {
	if f == nil {
		return
	}
	r.HasFeedback = true
	r.Feedback = Feedback{Rating: b(f.Rating), Score: null(f.Score), Comment: b(f.Comment), CorrectedAnswer: b(f.CorrectedAnswer)}
	for _, tag := range f.Tags {
		r.Feedback.Tags = append(r.Feedback.Tags, b(tag))
	}
}

func nodeOf(n *runs.Node) Node {
	node := Node{
		NodeRunID: b(n.NodeRunID), NodeID: b(n.NodeID), NodeName: b(n.NodeName), NodeType: b(n.NodeType), ParentNodeRunID: b(n.ParentNodeRunID), Sequence: null(n.Sequence),
		Execution: Execution{
			AppVersion: b(n.AppVersion), Status: b(n.Status), StartedAt: n.StartedAt.UnixMilli(), EndedAt: moment(n.EndedAt), UpdatedAt: n.UpdatedAt.UnixMilli(),
			Inputs: b(n.Inputs), Outputs: b(n.Outputs), Messages: b(n.Messages), Tools: b(n.Tools), Model: b(n.Model), Files: filesOf(n.Files),
			CostUSD: null(n.CostUSD), Metadata: pairsOf(n.Metadata), InputGroup: b(n.InputGroup()),
		},
		PromptTemplate: b(n.PromptTemplate), PromptVariables: b(n.PromptVariables), Parameters: pairsOf(n.Parameters),
	}
	for _, c := range n.Chunks {
		node.Chunks = append(node.Chunks, Chunk{
			ChunkID: b(c.ChunkID), Text: b(c.Text), Score: null(c.Score), SourceURI: b(c.SourceURI), Title: b(c.Title),
			SentToLLM: null(c.SentToLLM), UsedInAnswer: null(c.UsedInAnswer),
		})
	}
	node.finish(n.Error, n.Usage)
	return node
}

func (h *history) nodesOf(run string, which NodeRuns) (nodes []Node) {
	if which == NoNodes {
		return nil
	}
	for _, n := range h.nodes[run] {
		if which == AllNodes || len(n.Chunks) > 0 || which == WithToolCalls && n.NodeType == "tool" {
			nodes = append(nodes, nodeOf(n))
		}
	}
	slices.SortFunc(nodes, func(a, b Node) int {
		order := func(n Node) int64 {
			if n.Sequence.Valid {
				return n.Sequence.Value
			}
			return 1 << 62
		}
		return cmp.Or(cmp.Compare(order(a), order(b)), cmp.Compare(a.StartedAt, b.StartedAt), bytes.Compare(a.NodeRunID, b.NodeRunID))
	})
	return nodes
}

// group sorts rows by group, start and id, and gives them their groups and comparisons.
func group(rows []*Row, needs Needs) {
	for _, row := range rows {
		switch needs.Group {
		case ByInput:
			row.Group = row.Subject().InputGroup
		case ByTemplate:
			row.Group = b(fmt.Sprintf("t%x", row.Node.PromptTemplate))
		}
	}
	slices.SortFunc(rows, func(a, b *Row) int {
		return cmp.Or(bytes.Compare(a.Group, b.Group), cmp.Compare(a.Subject().StartedAt, b.Subject().StartedAt), bytes.Compare(a.RunID, b.RunID), bytes.Compare(a.NodeRunID(), b.NodeRunID()))
	})
	if !needs.Comparison {
		return
	}
	for members := range chunked(rows) {
		compareRows(members)
	}
}

// chunked yields the rows of each group.
func chunked(rows []*Row) iter.Seq[[]*Row] {
	return func(yield func([]*Row) bool) {
		for i := 0; i < len(rows); {
			j := i
			for j < len(rows) && bytes.Equal(rows[j].Group, rows[i].Group) {
				j++
			}
			if !yield(rows[i:j]) {
				return
			}
			i = j
		}
	}
}

// compareRows fills in the comparison of a group's rows, which ascend by time.
func compareRows(members []*Row) {
	var versions [][]byte
	newest := map[string]*Row{}
	for _, m := range members {
		v := m.Subject().AppVersion
		if newest[string(v)] == nil {
			versions = append(versions, v)
		}
		newest[string(v)] = m
	}
	best := slices.Clone(members)
	slices.Reverse(best)
	slices.SortStableFunc(best, func(a, b *Row) int {
		as, ar := Verdict(a)
		bs, br := Verdict(b)
		return cmp.Or(cmp.Compare(bs, as), cmp.Compare(br, ar))
	})
	for i, m := range best {
		c := &m.Comparison
		c.Versions, c.RunsInGroup, c.Rank, c.BestVersion = versions, int64(len(members)), int64(i+1), best[0].Subject().AppVersion
		at := slices.IndexFunc(versions, func(v []byte) bool { return bytes.Equal(v, m.Subject().AppVersion) })
		if at == 0 {
			continue
		}
		previous := newest[string(versions[at-1])]
		c.HasPrevious, c.PreviousVersion, c.PreviousAnswer = true, versions[at-1], previous.Answer
		if previous.Node != nil {
			c.PreviousAnswer = previous.Node.Outputs
		}
		if previous.HasFeedback {
			c.PreviousScore = previous.Feedback.Score
		}
	}
}

func moment(t time.Time) Null[int64] { return Null[int64]{t.UnixMilli(), !t.IsZero()} }

func pairsOf(list []runs.Pair) (all []Pair) {
	for _, p := range list {
		all = append(all, Pair{b(p.Key), b(p.Value)})
	}
	return all
}

func filesOf(list []runs.File) (all []File) {
	for _, f := range list {
		all = append(all, File{FileID: b(f.FileID), Name: b(f.Name), URI: b(f.URI), ContentType: b(f.ContentType), SizeBytes: null(f.SizeBytes), Direction: b(f.Direction)})
	}
	return all
}

// everyTarget yields each purpose with each of its targets.
func everyTarget() iter.Seq2[string, *Target] {
	return func(yield func(string, *Target) bool) {
		for _, purpose := range Purposes {
			for _, target := range Targets(purpose) {
				if !yield(purpose, target) {
					return
				}
			}
		}
	}
}

// outcome is what a Stream made of rows.
type outcome struct {
	records    [][]byte
	splits     []string // of each record
	partitions []string // of each record
	lineage    [][]byte
	used       int64
	dropped    map[string]int64
	warned     map[string]int64
	keys       []string
}

func (o *outcome) Record(r *Record) error {
	o.records = append(o.records, bytes.Clone(r.JSON))
	o.splits, o.partitions = append(o.splits, r.Split), append(o.partitions, r.Partition)
	for _, l := range r.Lineage {
		o.lineage = append(o.lineage, append(b("{"), l...))
	}
	o.used += r.Rows
	return nil
}

func (o *outcome) Drop(reason string, rows int64) { o.dropped[reason] += rows }
func (o *outcome) Warn(code string)               { o.warned[code]++ }

// streamRows sends rows through a target, and checks that each is accounted for.
func streamRows(t testing.TB, purpose, target string, options map[string]any, rows []*Row) *outcome {
	t.Helper()
	o := &outcome{dropped: map[string]int64{}, warned: map[string]int64{}}
	s, err := NewStream(purpose, target, options, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if err := s.Row(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	o.keys = s.Keys()
	dropped := int64(0)
	for _, n := range o.dropped {
		dropped += n
	}
	if o.used+dropped != int64(len(rows)) {
		t.Errorf("%s/%s: %d rows used and %v dropped, of %d", purpose, target, o.used, o.dropped, len(rows))
	}
	return o
}

// streamed sends the rows of a history through a target: all runs, or for node purposes all node runs.
func streamed(t testing.TB, purpose, target string, options map[string]any, h *history, apps ...string) *outcome {
	t.Helper()
	f, err := New(purpose, target, options)
	if err != nil {
		t.Fatal(err)
	}
	return streamRows(t, purpose, target, options, h.rows(f.Needs(), nodesFor(purpose), apps...))
}

// nodesFor are the nodes whose node runs are the rows of a purpose: all, or nil where runs are.
func nodesFor(purpose string) []string {
	if purpose == NodeEvaluation || purpose == NodeOptimization {
		return []string{"*"}
	}
	return nil
}
