package sample

// Totals are the totals that a consumer of all events of a Config must have at the end.
type Totals struct {
	Events int // events sent, including repeats
	// Number of different runs, node runs and feedback.
	Runs, Nodes, Feedback int
	// Numbers of runs: by their last status, by `app_id`, and by the rating of the newest feedback
	// on the run. Feedback on a node or without a rating does not count.
	RunsByStatus, RunsByApp, RunsByRating map[string]int
	NodesByStatus                         map[string]int
}

// Expect computes the totals of c without writing an event. c.Runs must not be 0.
func Expect(c Config) Totals {
	c = c.withDefaults()
	t := Totals{
		RunsByStatus: map[string]int{}, RunsByApp: map[string]int{}, RunsByRating: map[string]int{},
		NodesByStatus: map[string]int{},
	}
	var r run
	for i := range uint64(c.Runs) {
		r.planAny(&c, i)
		t.Events += len(r.parts)
		t.Runs++
		t.Nodes += len(r.nodes)
		t.RunsByStatus[r.status]++
		t.RunsByApp[r.app.id]++
		for k := range r.nodes {
			t.NodesByStatus[r.nodes[k].status]++
		}
		var newest *verdict
		for k := range r.verdicts {
			v := &r.verdicts[k]
			if v.revision == 0 {
				t.Feedback++
			}
			if v.node < 0 && (newest == nil || v.updated > newest.updated || v.updated == newest.updated &&
				v.number > newest.number) {
				newest = v
			}
		}
		if newest != nil && newest.rating != 0 {
			t.RunsByRating[newest.ratingName()]++
		}
	}
	return t
}

// SourceOf returns the source of an app, copilot or recipe. It returns "" if the sample has no such
// app.
func SourceOf(appID string) string {
	for _, a := range apps {
		if a.id == appID {
			return a.source
		}
	}
	return ""
}
