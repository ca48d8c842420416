package sample

// planPlain plans a run of Config.Plain, which has one final event.
func (r *run) planPlain(c *Config, i uint64) {
	r.cfg, r.index, r.traits = c, i, 0
	r.parts, r.nodes, r.verdicts = r.parts[:0], r.nodes[:0], r.verdicts[:0]
	r.rendered = true
	r.workspace = c.Workspaces[i%uint64(len(c.Workspaces))]
	turn := i / uint64(len(c.Workspaces))
	r.app = apps[turn%uint64(len(apps))]
	d := &r.dice
	d.seed(c.Seed, 9, i)
	// Inputs repeat as in the full sample, so that grouped exports have groups.
	r.in = input{key: mix(c.Seed, turn/blockRuns<<16|turn%uint64(len(apps))<<8|uint64(d.below(poolSize)))}
	r.in.topic = &r.app.topics[0]
	r.in.number = int(r.in.key % 100_000)
	r.ver = d.below(len(r.app.versions))
	r.status, r.imported, r.session = succeeded, false, 0
	r.user = d.between(1, 1200)
	r.trigger = "api"
	r.start = c.base(i)
	r.end = r.start + int64(d.between(300, 3000))
	r.add(partRunFinal, 0, lagOpen)
}

// writePlain writes the data of an event: about 1.2 kB, with the fields that most runs have.
func (r *run) writePlain(d *doc) {
	c := &r.dice
	c.seed(r.cfg.Seed, 10, r.index)
	d.open()
	d.str("workspace_id", r.workspace)
	r.writeRunID(d)
	d.str("source", r.app.source)
	d.str("app_id", r.app.id)
	d.str("app_name", r.app.name)
	d.str("app_version", r.version().name)
	d.str("trigger", r.trigger)
	r.writeHex(d, "request_id", "req-", 12, 0x4e)
	d.begin("user_id")
	d.b = r.appendUser(d.b)
	d.end()
	r.writeHex(d, "trace_id", "", 32, 0x7ace)
	d.time("started_at", r.start)
	d.time("ended_at", r.end)
	d.str("status", r.status)
	d.begin("question")
	r.plainQuestion(d)
	d.end()
	d.begin("answer")
	for k := range 6 {
		if k > 0 {
			d.piece(" ")
		}
		d.piece(c.pick(sentences))
	}
	d.end()
	d.obj("inputs")
	d.begin("question")
	r.plainQuestion(d)
	d.end()
	d.str("locale", "en")
	d.endObj()
	d.obj("outputs")
	d.dec("confidence", c.between(300, 999), 3)
	d.endObj()
	d.str("model", r.version().model)
	in, out := c.between(200, 900), c.between(40, 200)
	d.obj("usage")
	d.int("input_tokens", in)
	d.int("output_tokens", out)
	d.endObj()
	d.dec("cost_usd", r.cost(in, out), 6)
	d.obj("metadata")
	d.str("region", regions[r.in.key>>4%3])
	d.endObj()
	d.time("updated_at", r.end+1)
	d.endObj()
}

func (r *run) plainQuestion(d *doc) {
	d.piece("How does step ")
	d.b = appendPadded(d.b, r.in.number, 5)
	d.piece(" of the procedure \"")
	d.piece(r.in.topic.title)
	d.piece("\" work?")
}

var sentences = []string{
	"The wheel turns as long as the sluice is open, so check it first of all.",
	"Close the gate before you clean the rack; the water stops within a minute.",
	"A reading above the \"high\" mark means that the spillway takes the rest.",
	"The bearing is greased once a month, more often in the dry season of the year.",
	"If the stone runs hot, feed it less grain and look at the gap between the stones.",
	"Sacks are weighed at the door, and the weight is written next to the number.",
	"The miller's log holds every start, every stop and the level of the pond.",
	"Spare teeth of hornbeam hang on the wall behind the great spur wheel.",
}
