package pages

import (
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/history"
)

// timeline is the node runs of a run along its time.
type timeline struct {
	Rows  []lane
	Ticks []string // at the start, the quarters and the end
}

// lane is a node run and the place of its bar.
type lane struct {
	history.NodeRun
	X, Width int // of timelineWidth
	Depth    int // number of parents, at most maxDepth
	Open     bool
	Took     string
	Offset   string // since the run's start
	Numbers  string // tokens and cost
}

// Label is what people call the node.
func (l lane) Label() string {
	if l.NodeName != "" {
		return l.NodeName
	}
	return l.NodeID
}

const (
	timelineWidth = 1000
	leastWidth    = 4
	maxDepth      = 6
)

func newTimeline(run *history.Detail) (t timeline) {
	if len(run.Nodes) == 0 {
		return t
	}
	start, end := extent(run)
	total := max(end.Sub(start), time.Millisecond)
	at := func(x time.Time) int { return int(float64(x.Sub(start)) / float64(total) * timelineWidth) }
	depths := depths(run.Nodes)
	for _, n := range asTree(run.Nodes) {
		l := lane{NodeRun: n, Numbers: nodeNumbers(&n),
			Depth: min(maxDepth, depths[n.NodeRunID]), Offset: span(n.StartedAt.Sub(start))}
		until := end
		if n.EndedAt != nil {
			until, l.Took = *n.EndedAt, span(n.EndedAt.Sub(n.StartedAt))
		} else {
			l.Open = true
		}
		l.X = min(max(0, at(n.StartedAt)), timelineWidth-leastWidth)
		l.Width = min(max(leastWidth, at(until)-l.X), timelineWidth-l.X)
		t.Rows = append(t.Rows, l)
	}
	for quarter := range 5 {
		t.Ticks = append(t.Ticks, span(total*time.Duration(quarter)/4))
	}
	return t
}

// extent returns the first start and the last end of the run and its node runs.
func extent(run *history.Detail) (start, end time.Time) {
	start, end = run.StartedAt, run.StartedAt
	if run.EndedAt != nil {
		end = *run.EndedAt
	}
	for _, n := range run.Nodes {
		if n.StartedAt.Before(start) {
			start = n.StartedAt
		}
		for _, x := range []*time.Time{&n.StartedAt, n.EndedAt} {
			if x != nil && x.After(end) {
				end = *x
			}
		}
	}
	return start, end
}

// depths counts the parents of each node run. Parents can be missing, and producers can even send a
// circle.
func depths(nodes []history.NodeRun) map[string]int {
	parent := map[string]string{}
	for _, n := range nodes {
		parent[n.NodeRunID] = n.ParentNodeRunID
	}
	all := map[string]int{}
	for _, n := range nodes {
		depth := 0
		for id := n.ParentNodeRunID; id != "" && depth < maxDepth; id = parent[id] {
			if _, here := parent[id]; !here {
				break
			}
			depth++
		}
		all[n.NodeRunID] = depth
	}
	return all
}

// asTree returns the node runs with those of each parent right behind it, and else in their order.
// The first of a circle of parents is as one without a parent.
func asTree(nodes []history.NodeRun) []history.NodeRun {
	place := make(map[string]int, len(nodes))
	for i, n := range nodes {
		place[n.NodeRunID] = i
	}
	children := map[int][]int{}
	for i, n := range nodes {
		if parent, here := place[n.ParentNodeRunID]; here {
			children[parent] = append(children[parent], i)
		}
	}
	list, done := make([]history.NodeRun, 0, len(nodes)), make([]bool, len(nodes))
	var add func(i int)
	add = func(i int) {
		if !done[i] {
			done[i] = true
			list = append(list, nodes[i])
			for _, child := range children[i] {
				add(child)
			}
		}
	}
	for i, n := range nodes {
		if _, here := place[n.ParentNodeRunID]; !here || inCircle(nodes, place, i) {
			add(i)
		}
	}
	return list
}

// inCircle reports whether a node run is its own parent, or that of its parents.
func inCircle(nodes []history.NodeRun, place map[string]int, i int) bool {
	at := i
	for range nodes {
		parent, here := place[nodes[at].ParentNodeRunID]
		if !here {
			return false
		}
		if at = parent; at == i {
			return true
		}
	}
	return false
}

// nodeNumbers are the tokens and the cost of a node run, as far as it has them.
func nodeNumbers(n *history.NodeRun) string {
	var parts []string
	if n.Usage != nil {
		parts = append(parts, plural(known(n.Usage.InputTokens)+known(n.Usage.OutputTokens), "token", "tokens"))
	}
	if n.CostUSD != nil {
		parts = append(parts, dollars(n.CostUSD))
	}
	return strings.Join(parts, " · ")
}
