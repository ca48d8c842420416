package sample

// MaxLag is the number of intervals after the start of a run in which its last event is sent. So all
// events have happened by Start + (Runs + MaxLag + 1) × Interval.
const MaxLag = 997

// lags are the numbers of steps after which a run's events are sent. In each step, the oldest run
// comes first.
var lags = [...]uint64{MaxLag, 211, 23, 5, 3, 2, 1, 0}

// Indexes of lags.
const (
	lagVeryLate = iota
	lagLate
	lagFeedback
	lagRepeat
	lagEnd3
	lagEnd2
	lagEnd1
	lagOpen
)

// traits is a hash of a run. It gives the lags at which the run may have events, without planning
// the run.
type traits uint64

func traitsOf(c *Config, i uint64) traits { return traits(mix(c.Seed, i)) }

func (t traits) opens() bool      { return t&3 != 0 } // has a `running` snapshot
func (t traits) regression() bool { return t>>16&1023 < 51 }
func (t traits) feedback() bool   { return t>>26&1023 < 400 }
func (t traits) repeats() bool    { return t>>8&7 == 0 }
func (t traits) late() bool       { return t>>36&3 == 0 }
func (t traits) veryLate() bool   { return t>>40&7 == 0 }

// variant returns a number from 0 to 3 that selects how the run is late or repeated. Numbers for
// different values of `of` are independent.
func (t traits) variant(of uint) int { return int(t>>(44+4*of)) & 3 }

// end returns the lag of the final events.
func (t traits) end() int {
	if !t.opens() {
		return lagOpen
	}
	return lagEnd3 + int(t>>2&3)
}

// at reports whether the run may have events at the lag.
func (t traits) at(lag int) bool {
	switch lag {
	case lagVeryLate:
		return t.veryLate()
	case lagLate:
		return t.late()
	case lagFeedback:
		return t.feedback()
	case lagRepeat:
		return t.repeats() || t.regression()
	case lagOpen:
		return true
	default:
		return t.end() == lag
	}
}

type partKind uint8

const (
	partRunOpen    partKind = iota // the `running` snapshot
	partRunFinal                   // the final one
	partRunEcho                    // `running` again, with the updated_at of the final snapshot: must not replace it
	partRunRevised                 // the final snapshot with corrected costs: must replace it
	partNodeOpen
	partNodeFinal
	partFeedback
)

// part is one event to send, about the run, its n-th node run or its n-th verdict.
type part struct {
	kind partKind
	n    uint8
	lag  uint8
}

func (r *run) add(kind partKind, n, lag int) {
	r.parts = append(r.parts, part{kind, uint8(n), uint8(lag)})
}

// drawParts lists the run's events. Events of the same lag are in the order in which they are sent.
func (r *run) drawParts() {
	t, end, finalAt, late := r.traits, r.traits.end(), r.traits.end(), -1
	if t.late() && t.variant(0) == 0 {
		late = len(r.nodes) - 1 - r.dice.below(min(2, len(r.nodes)))
	}
	if r.status != running && t.opens() && t.veryLate() && t.variant(1) == 0 {
		finalAt = lagVeryLate
	}
	if t.opens() || r.status == running {
		r.add(partRunOpen, 0, lagOpen)
		if t.variant(2) == 0 && r.nodes[0].status != running {
			r.add(partNodeOpen, 0, lagOpen)
		}
	}
	nodesAfter := t.variant(3) == 0 // out of order: nodes after their run
	if nodesAfter {
		r.addFinal(finalAt)
	}
	for n := range r.nodes {
		if n != late {
			r.add(partNodeFinal, n, end)
		} else if r.nodes[n].status != running {
			r.add(partNodeOpen, n, end)
		}
	}
	if !nodesAfter {
		r.addFinal(finalAt)
	}
	if t.repeats() {
		r.drawRepeats(finalAt == lagVeryLate)
	}
	if t.late() {
		switch {
		case late >= 0:
			r.add(partNodeFinal, late, lagLate)
		case t.variant(0) == 1 && t.opens():
			r.add(partRunOpen, 0, lagLate)
		case t.variant(0) == 2 && r.status != running:
			r.add(partRunRevised, 0, lagLate)
		}
	}
	for n := range r.verdicts {
		r.add(partFeedback, n, r.verdicts[n].lag)
	}
}

func (r *run) addFinal(lag int) {
	if r.status != running {
		r.add(partRunFinal, 0, lag)
	}
}

// drawRepeats adds events that are sent again unchanged, or `running` once more.
func (r *run) drawRepeats(finalIsLate bool) {
	first := partRunFinal
	if r.status == running || finalIsLate {
		first = partRunOpen
		if !r.traits.opens() && r.status != running {
			return
		}
	}
	switch r.traits.variant(4) {
	case 0:
		r.add(first, 0, lagRepeat)
	case 1:
		r.add(partNodeFinal, 0, lagRepeat)
	case 2:
		if first == partRunFinal {
			r.add(partRunEcho, 0, lagRepeat)
		}
	default:
		r.add(first, 0, lagRepeat)
		r.add(first, 0, lagRepeat)
	}
}
