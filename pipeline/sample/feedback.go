package sample

// verdict is one revision of one feedback.
type verdict struct {
	number, revision int // of the feedback in the run; of this revision
	node             int // index in nodes; -1: about the run
	by               author
	rating           int // 1 thumbsUp, -1 thumbsDown, 0 none
	score            int // out of 1,000; -1: none
	corrected        bool
	created, updated int64
	lag              int
}

// ratingName is the contract's name of the rating, "" when there is none.
func (v *verdict) ratingName() string {
	switch {
	case v.rating > 0:
		return "thumbsUp"
	case v.rating < 0:
		return "thumbsDown"
	}
	return ""
}

type author uint8

const (
	byUser author = iota
	byJudge
	byReviewer
)

var (
	praise = []string{
		"Exactly what I needed.", "Clear, short, correct. 👍", "很清楚，谢谢！", "شكرًا، إجابة دقيقة.", "Perfekt – danke schön!",
		"👩‍💻 solved it in one go", "+1", "@team look at this one, it is how it should be", "とても助かりました。",
		"Très bien expliqué.",
	}
	blame = []string{
		"Wrong: this is not our policy.", "It made that up.\nThe manual says something else.", "-1 for the wrong amount",
		"答案与政策不符。",
		"=HYPERLINK(\"https://example.org\",\"see here\")", "الإجابة غير صحيحة", "The \"sources\" do not support this.",
		"Path C:\\docs\\policy.pdf says otherwise",
		"Falsch und zu lang.", "\tsee my mail", "\rnot helpful", "Half of it is missing; I had to call 🤷🏽‍♀️",
	}
	mixed = []string{"Right, but it leaves out the important part.", "Correct so far.\tWhat about the fee?", "一部正しいです。",
		"It's OK; <b>too short</b>."}

	goodTags  = []string{"accurate", "helpful", "well_sourced", "concise"}
	badTags   = []string{"wrong_policy", "hallucination", "incomplete", "tone", "out of date", "slow"}
	likeliest = [...]int{wrong: 8, partial: 45, good: 92} // per cent of thumbs up
)

// drawVerdicts decides the feedback on the run: authors, ratings and times.
func (r *run) drawVerdicts() {
	if r.status == running {
		return
	}
	t := r.traits
	if t.regression() {
		r.addVerdict(verdict{by: byJudge, node: -1, score: r.measured(30), lag: lagRepeat})
	}
	first := -1
	if t.feedback() && !t.regression() {
		first = len(r.verdicts)
		v := verdict{node: -1, rating: r.opinion(), score: -1, lag: lagFeedback}
		if r.dice.oneIn(3) {
			v.score = r.measured(120)
		}
		v.corrected = v.rating < 0 && r.dice.oneIn(2)
		r.addVerdict(v)
	}
	if t.late() && t.variant(0) == 3 {
		r.addVerdict(verdict{by: byReviewer, node: r.dice.below(len(r.nodes)), rating: r.opinion(), score: r.measured(90),
			lag: lagLate})
	}
	if !t.veryLate() {
		return
	}
	switch t.variant(1) {
	case 1: // the same person changes the feedback
		if first >= 0 {
			v := r.verdicts[first]
			v.revision, v.rating, v.lag, v.corrected = 1, -v.rating, lagVeryLate, v.rating > 0
			v.updated = max(v.created+1000, r.cfg.base(r.index+lags[lagVeryLate]))
			r.verdicts = append(r.verdicts, v)
		}
	case 2: // another person gives feedback
		v := verdict{by: byReviewer, node: -1, score: r.measured(60), lag: lagVeryLate}
		if v.corrected = r.level < good; v.corrected {
			v.rating = -1
		}
		r.addVerdict(v)
	}
}

func (r *run) addVerdict(v verdict) {
	for k := range r.verdicts {
		v.number = max(v.number, r.verdicts[k].number+1)
	}
	v.created = max(r.end+int64(r.dice.between(900, 5000)), r.cfg.base(r.index+lags[v.lag]))
	v.updated = v.created
	r.verdicts = append(r.verdicts, v)
}

// opinion draws a rating that follows the answer's quality.
func (r *run) opinion() int {
	level := r.level
	if r.status != succeeded {
		level = wrong
	}
	if r.dice.below(100) < likeliest[level] {
		return 1
	}
	return -1
}

// measured draws a score near the answer's quality.
func (r *run) measured(noise int) int {
	q := r.quality
	if r.status != succeeded {
		q = 60
	}
	return min(max(q+r.dice.between(-noise, noise), 0), 1000)
}

func (r *run) writeFeedback(d *doc, v *verdict) {
	c := &r.dice
	c.seed(r.cfg.Seed, 5, r.index<<8|uint64(v.number<<4|v.revision))
	d.open()
	d.str("workspace_id", r.workspace)
	r.writeRunID(d)
	d.begin("feedback_id")
	d.b = r.appendFeedbackID(d.b, v)
	d.end()
	if v.by == byJudge {
		d.str("kind", "model")
	}
	if v.rating != 0 {
		d.str("rating", v.ratingName())
	}
	if v.score >= 0 {
		d.dec("score", v.score, 3)
	}
	if v.by != byJudge && c.below(4) > 0 {
		switch {
		case r.level == partial && c.oneIn(2):
			d.str("comment", c.pick(mixed))
		case v.rating > 0:
			d.str("comment", c.pick(praise))
		default:
			d.str("comment", c.pick(blame))
		}
	}
	if c.oneIn(2) {
		tags := goodTags
		if v.rating < 0 {
			tags = badTags
		}
		d.arr("tags")
		from, n := c.below(len(tags)), c.below(3)
		for k := range n {
			d.elem(tags[(from+k)%len(tags)])
		}
		d.endArr()
	}
	if v.corrected {
		d.text("corrected_answer", r.correct)
	}
	if v.node >= 0 {
		d.str("node_id", r.nodes[v.node].node.id)
	}
	d.begin("created_by")
	switch {
	case v.by == byJudge:
		d.piece("evaluator:judge-2")
	case v.by == byReviewer || r.user == 0:
		d.b = appendPadded(append(d.b, "reviewer-"...), c.between(1, 40), 4)
	default:
		d.b = r.appendUser(d.b)
	}
	d.end()
	d.time("created_at", v.created)
	d.time("updated_at", v.updated)
	d.endObj()
}
