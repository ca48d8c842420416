// Package formattest has rows, histories and checks that the tests of targets share.
package formattest

import (
	"bytes"
	"cmp"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/sample"
)

// history has the newest version of every run, node run and feedback, as ClickHouse would have it
// after the events.
type history struct {
	runs     map[string]*runs.Run                 // by run
	nodes    map[string]map[string]*runs.Node     // by run and node run
	feedback map[string]map[string]*runs.Feedback // by run and feedback id
	order    []string                             // run ids, in the order of their first events
}

func newHistory() *history {
	return &history{runs: map[string]*runs.Run{}, nodes: map[string]map[string]*runs.Node{},
		feedback: map[string]map[string]*runs.Feedback{}}
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
		if h.feedback[e.RunID] == nil {
			h.feedback[e.RunID] = map[string]*runs.Feedback{}
		}
		if there := h.feedback[e.RunID][e.FeedbackID]; there == nil || there.Version() <= e.Version() {
			copied := *e
			h.feedback[e.RunID][e.FeedbackID] = &copied
		}
	}
}

// SampleHistory returns the history of n sample runs, with -short of at most 500. Tests share it and
// must not change it.
func SampleHistory(t testing.TB, n int) *history {
	t.Helper()
	if testing.Short() {
		n = min(n, 500)
	}
	made, _ := histories.LoadOrStore(n, sync.OnceValues(func() (*history, error) {
		g := sample.New(sample.Config{Seed: 1, Runs: n})
		h := newHistory()
		for {
			e, more := g.Next()
			if !more {
				h.nameScores()
				return h, nil
			}
			var decoder runs.Decoder // a new decoder, so that its event is not reused
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

// nameScores adds a score that has a name, of a model, to a few runs. The samples have none.
func (h *history) nameScores() {
	for i, id := range h.order[:min(len(h.order), 40)] {
		score := float64(i) / 40
		h.add(&runs.Feedback{WorkspaceID: h.runs[id].WorkspaceID, RunID: id, FeedbackID: "named", Name: "helpfulness",
			Kind: "model", Score: &score, CreatedBy: "judge-7", UpdatedAt: h.runs[id].UpdatedAt})
	}
}

var histories sync.Map // by number of runs

// Rows returns the rows that a formatter with these needs would get: runs, or the node runs of the
// given nodes. If apps are given, Rows returns only their rows.
func (h *history) Rows(needs record.Needs, nodes []string, apps ...string) (rows []*record.Row) {
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

func (h *history) runRow(r *runs.Run) *record.Row {
	row := &record.Row{
		WorkspaceID: []byte(r.WorkspaceID), RunID: []byte(r.RunID), RequestID: []byte(r.RequestID), Source: []byte(r.Source),
		AppID: []byte(r.AppID), AppName: []byte(r.AppName),
		SessionID: []byte(r.SessionID), UserID: []byte(r.UserID), Trigger: []byte(r.Trigger), TraceID: []byte(r.TraceID),
		Execution: record.Execution{
			AppVersion: []byte(r.AppVersion), Status: []byte(r.Status), StartedAt: r.StartedAt.UnixMilli(),
			EndedAt: moment(r.EndedAt), UpdatedAt: r.UpdatedAt.UnixMilli(),
			Inputs: []byte(r.Inputs), Outputs: []byte(r.Outputs), Messages: []byte(r.Messages), Tools: []byte(r.Tools),
			Model: []byte(r.Model), Files: filesOf(r.Files),
			CostUSD: NullOf(r.CostUSD), Metadata: pairsOf(r.Metadata), InputGroup: []byte(r.InputGroup()),
		},
		Question: []byte(r.Question), SystemInputs: []byte(r.SystemInputs), Answer: []byte(r.Answer),
		Reference: []byte(r.Reference),
	}
	row.Group = []byte(r.InputGroup() + r.ContextHash())
	finish(&row.Execution, r.Error, r.Usage)
	judge(row, h.judgements(r.RunID, "", ""))
	return row
}

func (h *history) nodeRow(n *runs.Node) *record.Row {
	node := nodeOf(n)
	row := &record.Row{WorkspaceID: []byte(n.WorkspaceID), RunID: []byte(n.RunID), Source: []byte(n.Source),
		AppID: []byte(n.AppID), Node: &node, Group: []byte(n.InputGroup() + n.ContextHash())}
	if r := h.runs[n.RunID]; r != nil {
		row.RequestID, row.AppName, row.SessionID, row.UserID, row.Trigger, row.TraceID = []byte(r.RequestID),
			[]byte(r.AppName), []byte(r.SessionID), []byte(r.UserID), []byte(r.Trigger), []byte(r.TraceID)
		row.Question, row.Answer, row.Reference = []byte(r.Question), []byte(r.Answer), []byte(r.Reference)
		row.Status, row.InputGroup = []byte(r.Status), []byte(r.InputGroup())
	}
	own := h.judgements(n.RunID, n.NodeID, n.NodeRunID)
	judge(row, append(own, h.judgements(n.RunID, "", "")...))
	row.Feedback.CorrectionOnNode = slices.ContainsFunc(own, func(f *runs.Feedback) bool {
		return f.CorrectedAnswer != ""
	})
	return row
}

// judgements returns those on a run, or on a node run, in the order of the merge.
func (h *history) judgements(run, node, nodeRun string) (list []*runs.Feedback) {
	for _, f := range h.feedback[run] {
		if f.NodeRunID == nodeRun && nodeRun != "" || f.NodeRunID == "" && f.NodeID == node {
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b *runs.Feedback) int {
		if (a.Kind == "human") != (b.Kind == "human") {
			if a.Kind == "human" {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.Version(), a.Version()), cmp.Compare(b.FeedbackID, a.FeedbackID))
	})
	return list
}

func finish(e *record.Execution, failed *runs.Error, usage *runs.Usage) {
	if failed != nil {
		e.ErrorType, e.ErrorMessage = []byte(failed.Type), []byte(failed.Message)
	}
	if usage != nil {
		e.InputTokens, e.OutputTokens = NullOf(usage.InputTokens), NullOf(usage.OutputTokens)
	}
}

// judge merges judgements, which are in the order of the merge. No run has two scores of a name.
func judge(r *record.Row, judgements []*runs.Feedback) {
	for _, j := range judgements {
		f := &r.Feedback
		r.HasFeedback = true
		if len(f.Rating) == 0 {
			f.Rating = []byte(j.Rating)
		}
		switch {
		case !f.Score.Valid && j.Name == "":
			f.Score = NullOf(j.Score)
		case j.Name != "" && j.Score != nil:
			f.Scores = append(f.Scores, record.Score{Name: []byte(j.Name), Value: *j.Score, Label: []byte(j.Rating)})
		}
		if len(f.Comment) == 0 {
			f.Comment = []byte(j.Comment)
		}
		if len(f.CorrectedAnswer) == 0 {
			f.CorrectedAnswer = []byte(j.CorrectedAnswer)
		}
		tags := bytesOf(j.Tags)
		if len(f.Tags) == 0 {
			f.Tags = tags
		}
		f.Judgements = append(f.Judgements, record.Judgement{
			FeedbackID: []byte(j.FeedbackID), Name: []byte(j.Name), Kind: []byte(j.Kind), Rating: []byte(j.Rating),
			Score: NullOf(j.Score), Comment: []byte(j.Comment), Tags: tags, CorrectedAnswer: []byte(j.CorrectedAnswer),
			CreatedBy: []byte(j.CreatedBy), CreatedAt: moment(j.CreatedAt),
		})
	}
	newest := slices.Clone(judgements)
	slices.SortStableFunc(newest, func(a, b *runs.Feedback) int { return cmp.Compare(b.Version(), a.Version()) })
	all := r.Feedback.Judgements
	r.Feedback.Judgements = nil
	for _, j := range newest {
		r.Feedback.Judgements = append(r.Feedback.Judgements, all[slices.Index(judgements, j)])
	}
}

func bytesOf(texts []string) (all [][]byte) {
	for _, text := range texts {
		all = append(all, []byte(text))
	}
	return all
}

func nodeOf(n *runs.Node) record.Node {
	node := record.Node{
		NodeRunID: []byte(n.NodeRunID), NodeID: []byte(n.NodeID), NodeName: []byte(n.NodeName), NodeType: []byte(n.NodeType),
		ParentNodeRunID: []byte(n.ParentNodeRunID), Sequence: NullOf(n.Sequence),
		Execution: record.Execution{
			AppVersion: []byte(n.AppVersion), Status: []byte(n.Status), StartedAt: n.StartedAt.UnixMilli(),
			EndedAt: moment(n.EndedAt), UpdatedAt: n.UpdatedAt.UnixMilli(),
			Inputs: []byte(n.Inputs), Outputs: []byte(n.Outputs), Messages: []byte(n.Messages), Tools: []byte(n.Tools),
			Model: []byte(n.Model), Files: filesOf(n.Files),
			CostUSD: NullOf(n.CostUSD), Metadata: pairsOf(n.Metadata), InputGroup: []byte(n.InputGroup()),
		},
		PromptTemplate: []byte(n.PromptTemplate), PromptVariables: []byte(n.PromptVariables),
		Parameters: pairsOf(n.Parameters),
	}
	for _, c := range n.Chunks {
		node.Chunks = append(node.Chunks, record.Chunk{
			ChunkID: []byte(c.ChunkID), Text: []byte(c.Text), Score: NullOf(c.Score), SourceURI: []byte(c.SourceURI),
			Title:     []byte(c.Title),
			SentToLLM: NullOf(c.SentToLLM), UsedInAnswer: NullOf(c.UsedInAnswer),
		})
	}
	finish(&node.Execution, n.Error, n.Usage)
	return node
}

func (h *history) nodesOf(run string, which record.NodeRuns) (nodes []record.Node) {
	if which == record.NoNodes {
		return nil
	}
	for _, n := range h.nodes[run] {
		if which == record.AllNodes || len(n.Chunks) > 0 || which == record.WithToolCalls && n.NodeType == "tool" {
			nodes = append(nodes, nodeOf(n))
		}
	}
	slices.SortFunc(nodes, func(a, b record.Node) int {
		order := func(n record.Node) int64 {
			if n.Sequence.Valid {
				return n.Sequence.Value
			}
			return 1 << 62
		}
		return cmp.Or(cmp.Compare(order(a), order(b)), cmp.Compare(a.StartedAt, b.StartedAt),
			bytes.Compare(a.NodeRunID, b.NodeRunID))
	})
	return nodes
}

// group sorts rows by group, start and id, and sets their groups and comparisons. Each row comes with
// its context group.
func group(rows []*record.Row, needs record.Needs) {
	for _, row := range rows {
		switch needs.Group {
		case record.Ungrouped:
			row.Group = nil
		case record.ByContext:
		case record.ByInput:
			row.Group = row.Subject().InputGroup
		case record.ByTemplate:
			row.Group = []byte(fmt.Sprintf("t%x", row.Node.PromptTemplate))
		}
	}
	slices.SortFunc(rows, func(a, b *record.Row) int {
		return cmp.Or(bytes.Compare(a.Group, b.Group), cmp.Compare(a.Subject().StartedAt, b.Subject().StartedAt),
			bytes.Compare(a.RunID, b.RunID), bytes.Compare(a.NodeRunID(), b.NodeRunID()))
	})
	if !needs.Comparison {
		return
	}
	for members := range Chunked(rows) {
		compareRows(members)
	}
}

// Chunked yields the rows of each group.
func Chunked(rows []*record.Row) iter.Seq[[]*record.Row] {
	return func(yield func([]*record.Row) bool) {
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

// compareRows sets the comparisons of the rows of a group, which ascend by time.
func compareRows(members []*record.Row) {
	var versions [][]byte
	newest := map[string]*record.Row{}
	for _, m := range members {
		v := m.Subject().AppVersion
		if newest[string(v)] == nil {
			versions = append(versions, v)
		}
		newest[string(v)] = m
	}
	best := slices.Clone(members)
	slices.Reverse(best)
	slices.SortStableFunc(best, func(a, b *record.Row) int {
		as, ar := a.Verdict()
		bs, br := b.Verdict()
		return cmp.Or(cmp.Compare(bs, as), cmp.Compare(br, ar))
	})
	for i, m := range best {
		c := &m.Comparison
		c.Versions, c.RunsInGroup, c.Rank, c.BestVersion = versions, int64(len(members)), int64(i+1),
			best[0].Subject().AppVersion
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

func moment(t time.Time) record.Null[int64] {
	return record.Null[int64]{Value: t.UnixMilli(), Valid: !t.IsZero()}
}

func pairsOf(list []runs.Pair) (all []record.Pair) {
	for _, p := range list {
		all = append(all, record.Pair{Key: []byte(p.Key), Value: []byte(p.Value)})
	}
	return all
}

func filesOf(list []runs.File) (all []record.File) {
	for _, f := range list {
		all = append(all, record.File{FileID: []byte(f.FileID), Name: []byte(f.Name), URI: []byte(f.URI),
			ContentType: []byte(f.ContentType), SizeBytes: NullOf(f.SizeBytes), Direction: []byte(f.Direction)})
	}
	return all
}
