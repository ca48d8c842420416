package sample

import (
	"time"
)

// Config is the configuration of a generator. The zero value of a field means its default.
type Config struct {
	Seed uint64
	// Runs is the number of runs; 0 means endless. Late events follow after the last run.
	Runs int
	// Workspaces take turns, run by run. Default: {"default"}. Each workspace has its own inputs.
	Workspaces []string
	// Start is the first run's started_at, to the millisecond; default 2026-01-05T08:00:00Z. A few
	// runs claim to have started up to six days earlier.
	Start time.Time
	// Interval is the mean time between the starts of two runs, to the microsecond; default 1 s.
	Interval time.Duration
	// Plain is for benchmarks: each run is one event of about 1.2 kB, has succeeded, and has no
	// nodes and no feedback.
	Plain bool
	// RandomIDs gives the runs ids in random order. Without it, ids of an app are in the order of the runs.
	RandomIDs bool
}

func (c Config) withDefaults() Config {
	if len(c.Workspaces) == 0 {
		c.Workspaces = []string{"default"}
	}
	if c.Start.IsZero() {
		c.Start = time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)
	}
	if c.Interval == 0 {
		c.Interval = time.Second
	}
	return c
}

// Types of events.
const (
	TypeRun      = "dev.millrace.run.v1"
	TypeNode     = "dev.millrace.node.v1"
	TypeFeedback = "dev.millrace.feedback.v1"
)

// Event is one CloudEvent. The record's key is WorkspaceID + "/" + RunID.
type Event struct {
	// ID is the same when an event is sent again. Subject is the run's id.
	ID, Source, Type, Subject string
	// Time is when the producer made the event. Late events keep their time, so times are not in
	// order.
	Time        time.Time
	WorkspaceID string
	RunID       string
	// Data is the JSON document, valid until the next call of Next.
	Data []byte
}

// AppendLine appends e as one line of JSON, a CloudEvent in structured mode, with a newline.
func (e Event) AppendLine(dst []byte) []byte {
	d := doc{b: append(dst, '{')}
	d.str("specversion", "1.0")
	d.str("id", e.ID)
	d.str("source", e.Source)
	d.str("type", e.Type)
	d.str("subject", e.Subject)
	d.time("time", e.Time.UnixMilli())
	d.str("datacontenttype", "application/json")
	d.key("data")
	return append(append(d.b, e.Data...), '}', '\n')
}

// Generator makes events one by one. It is not safe for concurrent use.
//
// The parts of a run are sent at several steps: at step i + lags[l] come the parts of run i that have
// lag l. So the events of many runs mix, as those of many producers do.
type Generator struct {
	config Config
	step   uint64
	lag    int // an index of lags: the run is number step − lags[lag]
	run    run
	loaded bool // run is planned, and has parts left
	part   int  // index of its next part
	doc    doc
	id     []byte
}

// New returns a generator that starts with the first run.
func New(c Config) *Generator { return &Generator{config: c.withDefaults()} }

// planAny plans run i, plain or not.
func (r *run) planAny(c *Config, i uint64) {
	if c.Plain {
		r.planPlain(c, i)
	} else {
		r.plan(c, i)
	}
}

// Next makes the next event. It returns false if there are no more.
func (g *Generator) Next() (Event, bool) {
	for {
		if g.loaded {
			for g.part < len(g.run.parts) {
				p := g.run.parts[g.part]
				if g.part++; int(p.lag) == g.lag {
					return g.event(p), true
				}
			}
			g.loaded = false
			g.lag++
		}
		if !g.load() {
			return Event{}, false
		}
	}
}

// load plans the next run that has parts at the current step and lag, or at later ones. It returns
// false after the last run.
func (g *Generator) load() bool {
	for {
		if g.lag == len(lags) {
			g.step, g.lag = g.step+1, 0
		}
		runs := uint64(g.config.Runs)
		if runs > 0 && g.step >= runs+lags[0] {
			return false
		}
		for ; g.lag < len(lags); g.lag++ {
			i := g.step - lags[g.lag]
			if g.step < lags[g.lag] || runs > 0 && i >= runs {
				continue
			}
			if g.config.Plain && g.lag != lagOpen || !g.config.Plain && !traitsOf(&g.config, i).at(g.lag) {
				continue
			}
			g.run.planAny(&g.config, i)
			g.part, g.loaded = 0, true
			return true
		}
	}
}

// event returns the event of one part of the run.
func (g *Generator) event(p part) Event {
	r := &g.run
	e := Event{Source: r.app.uri, Type: TypeRun, WorkspaceID: r.workspace}
	var suffix string
	var at int64
	// Some producers escape all characters beyond ASCII.
	g.doc.reset(!g.config.Plain && mix(r.in.key, 19)%12 == 0)
	r.render()
	switch p.kind {
	case partNodeOpen, partNodeFinal:
		e.Type = TypeNode
		final := p.kind == partNodeFinal
		r.writeNode(&g.doc, int(p.n), final)
		suffix, at = ".open.n", r.nodes[p.n].start+3
		if final && r.nodes[p.n].status != running {
			suffix, at = ".done.n", r.nodes[p.n].end+3
		} else if final {
			suffix = ".done.n"
		}
	case partFeedback:
		e.Type = TypeFeedback
		v := &r.verdicts[p.n]
		r.writeFeedback(&g.doc, v)
		suffix, at = ".f", v.updated+4
	default:
		suffix, at = r.runEvent(&g.doc, p.kind)
	}
	g.id = r.appendRunID(g.id[:0])
	n := len(g.id)
	g.id = append(g.id, suffix...)
	if e.Type != TypeRun {
		g.id = appendPadded(g.id, int(p.n)+1, 1)
	}
	e.ID = string(g.id)
	e.RunID, e.Subject = e.ID[:n], e.ID[:n]
	e.Time = time.UnixMilli(at).UTC()
	e.Data = g.doc.b
	return e
}

// runEvent writes a snapshot of the run. It returns the suffix of the event's id, and the event's
// time.
func (r *run) runEvent(d *doc, kind partKind) (suffix string, at int64) {
	if r.cfg.Plain {
		r.writePlain(d)
		return ".final", r.end + 2
	}
	r.writeRun(d, kind)
	at = r.updated(kind) + 3
	switch kind {
	case partRunOpen:
		return ".open", at
	case partRunEcho:
		return ".echo", at + 5
	case partRunRevised:
		return ".revised", at
	default:
		return ".final", at
	}
}
