package sample

// Totals is what a consumer of all events of a Config must end up with.
type Totals struct {
	Events int // sent, repeats included
	// Identities, each counted once.
	Runs, Nodes, Feedback int
	// Runs by their last status: by app, `app_id`; by the rating of the run's newest feedback
	// without a node, where that has a rating.
	RunsByStatus, RunsByApp, RunsByRating map[string]int
	NodesByStatus                         map[string]int
}

// Expect computes the totals of c, whose Runs must not be 0, without writing any event.
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
