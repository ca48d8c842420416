package pages

import (
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
	for _, n := range run.Nodes {
		l := lane{NodeRun: n, Depth: min(maxDepth, depths[n.NodeRunID]), Offset: span(n.StartedAt.Sub(start))}
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
