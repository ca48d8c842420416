package tuning

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"math"
	"slices"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/sinks/fragment"
)

// pairFormatter makes preference pairs of the runs of an input: the best against the worst, the second best against the
// second worst, and so on while they are opposite; then answers against their corrections.
//
// A group has up to MaxGroup rows of up to megabytes. So what records are made of is kept of no more rows than may end
// in a pair: of the best and worst that have a verdict, which a row leaves when better and worse ones come, and never
// comes back to; and of the first rows with a correction. The verdicts of all are kept, to count exactly why each is in
// no pair.
type pairFormatter struct {
	shape    pairShape
	settings settings
	limit    int // of pairs of a group

	conversation conversation
	ids          record.IDs
	rows         []*pairRow // best first
	corrected    []*pairRow // the first ones, in the order they came
	came         int

	unjudged int // rows of the group without a verdict

	// What is below is reused.
	freeRows       []*pairRow
	freeTexts      []*pairTexts
	record, normal []byte
	of             []format.Source
}

// pairShape is how a target writes a pair.
type pairShape struct {
	// check says why the reader cannot take the conversation.
	check func(c *conversation) (drop string)
	// prompt appends the part of the record that both answers share, the part of the conversation before its answer. The
	// conversation has been checked.
	prompt func(dst []byte, c *conversation) []byte
	// record appends the record of a pair: the prompt, and the texts of the answers, JSON strings. Calls beside them went
	// with their results.
	record func(dst, prompt, preferred, rejected []byte) []byte
}

// pairRow is a row of the group.
type pairRow struct {
	number  int // in the order they came, by time
	rating  int // 1 thumbsUp, -1 thumbsDown, 0 none
	score   float64
	fixable bool // there is a corrected answer that differs

	used   bool
	reason string // for which it is dropped

	texts     *pairTexts // nil for most
	extreme   bool       // it is one of the best or worst
	candidate bool       // it is one of the first that can be corrected
}

// pairTexts is what a pair is made of.
type pairTexts struct {
	source     format.Source
	context    [sha256.Size]byte // of the prompt: what was asked
	prompt     []byte
	answer     []byte
	correction []byte // of a candidate
	trimmed    bool   // the conversation was cut after the answer
}

// Reasons for which the rows of a group are in no pair.
const (
	dropNoOpposite       = "no_opposite"
	dropPairsPerInput    = "pairs_per_input"
	dropDifferentContext = "different_context"
	dropSameAnswer       = "same_answer"
)

var pairReasons = [...]string{dropNoOpposite, dropPairsPerInput, dropDifferentContext, dropSameAnswer}

func pairDrops(more ...format.Drop) []format.Drop {
	return tuningDrops(slices.Concat([]format.Drop{
		{Reason: dropNoOpposite, Text: "no other run of the same input has the opposite verdict, and there is no correction"},
		{Reason: dropPairsPerInput, Text: "only the option `pairs_per_input` leaves it out"},
		{Reason: dropDifferentContext, Text: "the run that would be its opposite had other messages before its answer, such as another system message"},
		{Reason: dropSameAnswer, Text: "the run that would be its opposite gave the same answer"},
	}, more)...)
}

func pairOptions() []format.Option {
	options := tuningOptions(format.Option{Name: "pairs_per_input", Text: "how many pairs an input has at most, 1 (default) to 10"})
	options[slices.IndexFunc(options, func(o format.Option) bool { return o.Name == "dedupe" })].Text = "changes nothing: pairs are made of repeated inputs"
	return options
}

// pairRules are those of the engine, before those of a reader.
func pairRules(more ...string) []string {
	return slices.Concat([]string{
		"runs of the same input, the best against the worst: by rating where both have one, else by score; then `answer` against `corrected_answer`",
		"both runs of a pair were asked the same: the messages before the answer are equal but for white space and ids of calls",
		"the two answers differ",
	}, more)
}

func newPairFormatter(target string, o *format.Options, shape pairShape) *pairFormatter {
	f := &pairFormatter{shape: shape, settings: newSettings(o), ids: record.NewIDs(format.FineTuning, target)}
	f.settings.original = true
	f.limit = o.Integer("pairs_per_input", 1, 1, 10)
	return f
}

// Columns implements [Formatter].
func (f *pairFormatter) Columns() []fragment.Column { return nil }

// Needs implements [Formatter].
func (f *pairFormatter) Needs() record.Needs { return record.Needs{Group: record.ByInput} }

// Add implements [GroupFormatter].
func (f *pairFormatter) Add(row *record.Row) (drop string, err error) {
	c := &f.conversation
	if drop = c.prepare(row, &f.settings); drop == "" && c.Err == nil {
		if drop = f.shape.check(c); drop == "" && c.promptOfModel() {
			drop = dropPromptOfModel
		}
	}
	if err := c.RowError(row); err != nil {
		return "", err
	}
	if drop != "" {
		return drop, nil
	}
	r := f.newRow(row)
	if r.rating == 0 && math.IsNaN(r.score) && !r.fixable { // without a verdict it is the opposite of none, and must not stand between two
		f.unjudged++
		f.freeRows = append(f.freeRows, r)
		return "", nil
	}
	at, _ := slices.BinarySearchFunc(f.rows, r, compareVerdicts)
	f.rows = slices.Insert(f.rows, at, r)
	n := len(f.rows)
	r.extreme = at < f.limit || at >= n-f.limit
	if r.extreme {
		f.keep(r, row)
	}
	// Of those kept before, the new one has pushed one out at most on either side.
	for _, i := range []int{f.limit, n - 1 - f.limit} {
		if i >= f.limit && i < n-f.limit && f.rows[i].extreme {
			f.rows[i].extreme = false
			f.forget(f.rows[i])
		}
	}
	// A row in a pair of runs is in none with its correction, and there are as many as the limit of either at most.
	if r.fixable && len(f.corrected) < 2*f.limit {
		r.candidate = true
		f.keep(r, row)
		r.texts.correction = append(r.texts.correction[:0], f.correctionOf(row)...)
		f.corrected = append(f.corrected, r)
	}
	return "", nil
}

func (f *pairFormatter) newRow(row *record.Row) *pairRow {
	var r *pairRow
	if n := len(f.freeRows); n > 0 {
		r, f.freeRows = f.freeRows[n-1], f.freeRows[:n-1]
	} else {
		r = &pairRow{}
	}
	*r = pairRow{number: f.came, score: math.NaN()}
	f.came++
	if !row.HasFeedback {
		return r
	}
	if row.Feedback.Score.Valid {
		r.score = row.Feedback.Score.Value
	}
	_, r.rating = row.Verdict()
	if correction := f.correctionOf(row); correction != nil {
		r.fixable = !f.same(correction, f.conversation.answer().text)
	}
	return r
}

// correctionOf returns the corrected answer as a JSON string, nil for none.
func (f *pairFormatter) correctionOf(row *record.Row) []byte {
	if !f.conversation.judged(row) {
		return nil
	}
	return f.conversation.Quote(row.Feedback.CorrectedAnswer)
}

// keep keeps what a pair is made of.
func (f *pairFormatter) keep(r *pairRow, row *record.Row) {
	if r.texts != nil {
		return
	}
	if n := len(f.freeTexts); n > 0 {
		r.texts, f.freeTexts = f.freeTexts[n-1], f.freeTexts[:n-1]
	} else {
		r.texts = &pairTexts{}
	}
	c := &f.conversation
	r.texts.source.Remember(row, &f.ids)
	r.texts.prompt = f.shape.prompt(r.texts.prompt[:0], c)
	r.texts.answer = append(r.texts.answer[:0], c.answer().text...)
	r.texts.context = f.context()
	r.texts.trimmed = c.trimmed
}

// forget lets go of what no pair will be made of.
func (f *pairFormatter) forget(r *pairRow) {
	if r.texts != nil && !r.extreme && !r.candidate {
		f.freeTexts = append(f.freeTexts, r.texts)
		r.texts = nil
	}
}

// compareVerdicts orders rows, the best first: by rating, then by score, then the newest. A row without a score is
// below one that has one.
func compareVerdicts(a, b *pairRow) int {
	return cmp.Or(-cmp.Compare(a.rating, b.rating), -cmp.Compare(a.score, b.score), -cmp.Compare(a.number, b.number))
}

// opposite says whether one row is better than another by what both have.
func opposite(a, b *pairRow) bool {
	if a.rating != 0 && b.rating != 0 {
		return a.rating != b.rating
	}
	return a.score < b.score || a.score > b.score // neither where one is NaN
}

// Flush implements [GroupFormatter].
func (f *pairFormatter) Flush(emit func(record []byte, of ...format.Source) error, drop func(reason string, rows int), warn func(code string)) error {
	n, made := len(f.rows), 0
	pair := func(preferred *pairTexts, answer, rejected []byte, of ...format.Source) error {
		made++
		if preferred.trimmed {
			warn(format.TrimmedTail)
		}
		f.record = f.shape.record(f.record[:0], preferred.prompt, answer, rejected)
		return emit(f.record, of...)
	}
	for i := 0; i < n/2 && opposite(f.rows[i], f.rows[n-1-i]); i++ {
		best, worst := f.rows[i], f.rows[n-1-i]
		reason := ""
		switch {
		case i >= f.limit:
			reason = dropPairsPerInput
		case best.texts.context != worst.texts.context:
			reason = dropDifferentContext
		case f.same(best.texts.answer, worst.texts.answer):
			reason = dropSameAnswer
		}
		if best.reason, worst.reason = reason, reason; reason != "" {
			continue
		}
		best.used, worst.used = true, true
		f.of = append(f.of[:0], best.texts.source, worst.texts.source)
		if err := pair(best.texts, best.texts.answer, worst.texts.answer, f.of...); err != nil {
			return err
		}
	}
	for _, r := range f.corrected {
		if r.used || made == f.limit {
			continue
		}
		r.used = true
		f.of = append(f.of[:0], r.texts.source)
		if err := pair(r.texts, r.texts.correction, r.texts.answer, f.of...); err != nil {
			return err
		}
	}
	f.account(drop)
	return nil
}

// account drops the rows that are in no pair, and forgets the group.
func (f *pairFormatter) account(drop func(reason string, rows int)) {
	var counts [len(pairReasons)]int
	counts[slices.Index(pairReasons[:], dropNoOpposite)], f.unjudged = f.unjudged, 0
	for _, r := range f.rows {
		switch {
		case r.used:
			continue
		case r.fixable:
			r.reason = dropPairsPerInput // its correction would have made a pair
		case r.reason == "":
			r.reason = dropNoOpposite
		}
		counts[slices.Index(pairReasons[:], r.reason)]++
	}
	for i, n := range counts {
		if n > 0 {
			drop(pairReasons[i], n)
		}
	}
	for _, r := range f.rows {
		r.extreme, r.candidate = false, false
		f.forget(r)
	}
	f.freeRows = append(f.freeRows, f.rows...)
	f.rows, f.corrected, f.came = f.rows[:0], f.corrected[:0], 0
}

// same says whether two JSON strings say the same, but for white space.
func (f *pairFormatter) same(a, b []byte) bool {
	f.normal = appendWords(f.normal[:0], f.conversation.Text(a))
	n := len(f.normal)
	f.normal = appendWords(f.normal, f.conversation.Text(b))
	return bytes.Equal(f.normal[:n], f.normal[n:])
}

// context is a hash of what was asked: the roles and texts of the messages before the answer, and the calls in them.
// White space and the ids of calls do not count.
func (f *pairFormatter) context() [sha256.Size]byte {
	c := &f.conversation
	text := appendWords(f.normal[:0], c.Text(c.system))
	prompt := c.prompt()
	for i := range prompt {
		m := &prompt[i]
		// No text has these: NUL is refused at ingest.
		text = append(text, 0, byte(m.role), byte(m.call))
		text = appendWords(text, c.Text(m.text))
		for _, call := range c.callsOf(m) {
			text = append(append(text, 0), call.name...)
			text = appendWords(append(text, 0), c.Text(call.arguments))
		}
	}
	f.normal = text
	return sha256.Sum256(text)
}

// appendWords appends the words of a text with a single space between them.
func appendWords(dst, text []byte) []byte {
	first := true
	for word := range bytes.FieldsSeq(text) {
		if !first {
			dst = append(dst, ' ')
		}
		dst, first = append(dst, word...), false
	}
	return dst
}
