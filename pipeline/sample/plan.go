package sample

// Statuses of runs and node runs.
const (
	running   = "running"
	succeeded = "succeeded"
	failed    = "failed"
	cancelled = "cancelled"
)

// Grades of answers.
const (
	wrong = iota
	partial
	good
)

// run is the plan of one run. A generator reuses one value for all runs.
type run struct {
	cfg       *Config
	index     uint64
	traits    traits
	workspace string
	app       *app
	ver       int
	in        input
	imported  bool // the run started long before it was sent
	level     int
	quality   int // out of 1,000
	status    string
	errKind   int
	trigger   string
	start     int64 // ms
	end       int64
	session   uint64 // 0: none
	user      int    // 0: none
	long      int    // bytes of a long text; 0: none
	chunks    []chunk
	nodes     []nodeRun
	verdicts  []verdict
	parts     []part

	dice dice
	said doc // scratch
	texts
}

// nodeRun is one execution of a node.
type nodeRun struct {
	node       *node
	parent     int // -1: none
	call       int // index of the topic's call; -1: none
	status     string
	errKind    int
	start, end int64
	tokensIn   int
	tokensOut  int
}

// chunk is a passage that retrieval found.
type chunk struct {
	topic      int
	score      int // out of 1,000
	sent, used bool
}

func (r *run) version() *version { return &r.app.versions[r.ver] }

// base returns the time of run i in ms: i intervals after the start, and a little more.
func (c *Config) base(i uint64) int64 {
	at := c.Start.UnixMicro() + int64(i)*c.Interval.Microseconds()
	if width := c.Interval.Microseconds(); i > 0 && width > 0 {
		at += int64(mix(c.Seed^0xba5e, i) % uint64(width))
	}
	return floorDiv(at, 1000)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// plan decides what happens in run i.
func (r *run) plan(c *Config, i uint64) {
	r.cfg, r.index, r.traits = c, i, traitsOf(c, i)
	r.nodes, r.verdicts, r.parts, r.chunks = r.nodes[:0], r.verdicts[:0], r.parts[:0], r.chunks[:0]
	r.rendered = false
	place := i % uint64(len(c.Workspaces))
	turn := i / uint64(len(c.Workspaces)) // number of the run within its workspace
	r.workspace = c.Workspaces[place]
	app := rotation[turn%uint64(len(rotation))]
	r.app = apps[app]

	// Draw the input: a slot of the pool, low slots more often.
	d := &r.dice
	d.seed(c.Seed, 2, i)
	pool, slot := turn/blockRuns, min(d.below(poolSize), d.below(poolSize))
	if r.traits.regression() {
		pool, slot = turn/regressionRuns, poolSize+d.below(regressionSet)
	}
	r.in.draw(d, r.app, mix(mix(c.Seed, place<<8|uint64(app)), pool<<8|uint64(slot)), uint64(slot))

	d.seed(c.Seed, 3, i)
	r.imported = turn >= 50 && d.oneIn(61)
	r.start = c.base(i)
	r.ver = r.drawVersion(turn)
	if r.imported {
		// At that time, only the first version existed.
		r.ver, r.start = 0, r.start-int64(d.between(60, 60*24*6))*60_000-int64(d.below(60_000))
	}
	r.drawSession(turn, uint64(app)<<32|place)
	r.drawOutcome()
	if i%311 == 101 {
		r.long = d.between(40_000, 100_000)
	} else {
		r.long = 0
	}
	r.drawChunks()
	r.drawNodes()
	r.drawVerdicts()
	r.drawParts()
}

func (r *run) drawVersion(turn uint64) int {
	n := len(r.app.versions)
	for r.app.versions[n-1].since > turn {
		n--
	}
	if !r.traits.regression() && r.dice.below(10) < 4 {
		return n - 1
	}
	return r.dice.below(n)
}

// drawSession assigns the run to one of the sessions that are open at its time. A session belongs
// to one user.
func (r *run) drawSession(turn, who uint64) {
	r.session, r.user = 0, 0
	r.trigger = r.dice.pick(r.app.triggers)
	if r.traits.regression() {
		r.trigger = "schedule"
		return
	}
	if r.app.sessions > 0 {
		which := turn/20<<8 | uint64(r.dice.below(r.app.sessions))
		r.session = mix(mix(r.cfg.Seed, who), which) | 1
		r.user = int(r.session>>8%1200) + 1
	} else if r.dice.oneIn(2) {
		r.user = r.dice.between(1, 1200)
	}
}

func (r *run) drawOutcome() {
	d := &r.dice
	ease := int(mix(r.in.key, 7)%300) - 150 // how easy the input is; the same for every version
	r.quality = min(max(r.version().skill+ease+d.between(-180, 180), 20), 990)
	switch {
	case r.quality > 600:
		r.level = good
	case r.quality > 400:
		r.level = partial
	default:
		r.level = wrong
	}
	r.errKind = d.below(2)
	switch x := d.below(1000); {
	case x < 18:
		r.status = running
	case x < 48:
		r.status = cancelled
	case x < 148-25*r.ver:
		r.status = failed
	default:
		r.status = succeeded
	}
}

// drawChunks draws the passages that retrieval finds. For a good answer the right passage is first;
// for a wrong answer it is missing.
func (r *run) drawChunks() {
	d := &r.dice
	n := d.between(3, 5)
	right := 0
	switch r.level {
	case partial:
		right = d.between(1, 2)
	case wrong:
		right = -1
	}
	own, english := -1, 0 // English topics come first in the list; unhelpful passages are taken from them
	for t := range r.app.topics {
		if &r.app.topics[t] == r.in.topic {
			own = t
		}
		if r.app.topics[t].lang == "en" {
			english++
		}
	}
	score, other := d.between(780, 960), d.below(english)
	for k := range n {
		c := chunk{score: score, sent: k < 3}
		if k == right && own >= 0 {
			c.topic, c.used = own, true
		} else {
			if other = (other + 1) % english; other == own {
				other = (other + 1) % english
			}
			c.topic = other
		}
		r.chunks = append(r.chunks, c)
		score -= d.between(20, 130)
	}
}

// drawNodes draws the node runs in order. Tools run inside the agent before them. A run that has
// not succeeded stops at one of its nodes.
func (r *run) drawNodes() {
	d := &r.dice
	retry := d.oneIn(12)
	at, agent := r.start+int64(d.between(3, 12)), -1
	for _, n := range r.app.nodes {
		if n.from > r.ver {
			continue
		}
		run := nodeRun{node: n, parent: -1, call: -1, status: succeeded, start: at, errKind: d.below(2)}
		if n.tool {
			if run.call = r.calls(n); run.call < 0 {
				continue
			}
			run.parent = agent
		}
		if retry && n.kind == "llm" {
			retry = false
			run.status, run.errKind = failed, 0
			run.end = at + int64(d.between(40, 400))
			r.nodes = append(r.nodes, run)
			at = run.end + 250
			run.status, run.start = succeeded, at
		}
		switch n.kind {
		case "llm", "agent":
			at += int64(d.between(350, 2800))
			run.tokensIn, run.tokensOut = d.between(180, 1400)+r.long/4, d.between(20, 380)
		case "retrieval":
			at += int64(d.between(25, 240))
		case "tool":
			at += int64(d.between(60, 900))
		default:
			at += int64(d.between(1, 90))
		}
		if run.end = at; n.kind == "agent" {
			agent = len(r.nodes)
		} else if run.parent >= 0 {
			r.nodes[run.parent].end = at + 15
			at += 15
		}
		r.nodes = append(r.nodes, run)
		at += int64(d.between(1, 8))
	}
	if r.status != succeeded {
		r.nodes = r.nodes[:d.between(1, len(r.nodes))]
		last := &r.nodes[len(r.nodes)-1]
		last.status = r.status
		if last.parent >= 0 {
			r.nodes[last.parent].status = r.status
		}
		r.errKind, at = last.errKind, last.end
	}
	r.end = at + int64(d.between(2, 20))
}

// calls returns the index of the topic's call to tool node n, or -1 if there is none.
func (r *run) calls(n *node) int {
	for k := range r.callCount() {
		if r.in.topic.calls[k].node == n {
			return k
		}
	}
	return -1
}

func (r *run) callCount() int {
	if !r.in.second {
		return min(len(r.in.topic.calls), 1)
	}
	return len(r.in.topic.calls)
}
