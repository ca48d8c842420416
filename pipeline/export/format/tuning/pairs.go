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

// pairFormatter makes preference pairs of the runs of a context group: the best against the worst, the
// second best against the second worst, and so on while they are opposite. Then it pairs answers
// with their corrections.
//
// A group has up to MaxGroup rows, and a row may have megabytes. So the formatter keeps the texts
// of only those rows that may end in a pair: the best and the worst rows with a verdict, and the
// first rows with a correction. A row that better and worse rows have pushed out never comes back.
// The formatter keeps the verdicts of all rows, to count exactly why each row is in no pair.
type pairFormatter struct {
	shape    pairShape
	settings settings
	limit    int // largest number of pairs of a group

	conversation conversation
	ids          record.IDs
	rows         []*pairRow // best first
	corrected    []*pairRow // the first rows with a correction, in order
	came         int

	unjudged int // rows of the group without a verdict

	// Reused memory:
	freeRows       []*pairRow
	freeTexts      []*pairTexts
	record, normal []byte
	of             []format.Source
	codes          []string
}

// pairShape is how a target writes a pair.
type pairShape struct {
	reader reader
	// check returns the reason to drop the conversation, or "".
	check func(c *conversation) (drop string)
	// prompt appends the part of the record that both answers share: the conversation before its
	// answer. The conversation has passed check.
	prompt func(dst []byte, c *conversation) []byte
	// record appends the record of a pair: the prompt, and the texts of the answers as JSON
	// strings. Calls in the answers have been removed.
	record func(dst, prompt, preferred, rejected []byte) []byte
}

// pairRow is a row of the group.
type pairRow struct {
	number  int // position in the group, by time
	rating  int // 1 for thumbsUp, -1 for thumbsDown, 0 for none
	score   float64
	fixable bool // it has a corrected answer that differs

	used   bool
	reason string // to drop the row

	texts     *pairTexts // nil for most rows
	extreme   bool       // it is one of the best or the worst rows
	candidate bool       // it is one of the first fixable rows
}

// pairTexts are the texts of a row that a pair needs.
type pairTexts struct {
	source     format.Source
	context    [sha256.Size]byte // hash of the prompt
	prompt     []byte
	answer     []byte
	correction []byte // the corrected answer, of a candidate
	notes      notes  // of the conversation
}

// Reasons why a row of a group is in no pair.
const (
	dropNoOpposite       = "no_opposite"
	dropPairsPerInput    = "pairs_per_input"
	dropDifferentContext = "different_context"
	dropSameAnswer       = "same_answer"
)

var pairReasons = [...]string{dropNoOpposite, dropPairsPerInput, dropDifferentContext, dropSameAnswer}

func pairDrops(more ...format.Drop) []format.Drop {
	return tuningDrops(slices.Concat([]format.Drop{
		{Reason: dropNoOpposite, Text: "no other run of the same input, system prompt and tools has the opposite verdict, " +
			"and there is no correction"},
		{Reason: dropPairsPerInput, Text: "only the option `pairs_per_input` leaves it out"},
		{Reason: dropDifferentContext, Text: "the run that would be its opposite had other messages before its answer, " +
			"such as another result of a tool"},
		{Reason: dropSameAnswer, Text: "the run that would be its opposite gave the same answer"},
	}, more)...)
}

func pairOptions() []format.Option {
	options := tuningOptions(format.Option{Name: "pairs_per_input", Kind: format.Whole, Default: 1,
		Text: "how many pairs an input has at most under a system prompt and tools, 1 (default) to 10"})
	options[slices.IndexFunc(options, func(o format.Option) bool {
		return o.Name == "dedupe"
	})].Text = "changes nothing: pairs are made of repeated conversations"
	return options
}

// pairRules returns the rules of all preference targets, and the additional ones of a reader.
func pairRules(more ...string) []string {
	return slices.Concat([]string{
		"runs of the same input, system prompt and tools, the best against the worst: by rating where both have one, else " +
			"by score; then `answer` against `corrected_answer`",
		"both runs of a pair were asked the same: the messages before the answer are equal but for white space and ids of " +
			"calls",
		"the two answers differ",
	}, more)
}

func newPairFormatter(target string, o *format.Options, shape pairShape) *pairFormatter {
	f := &pairFormatter{shape: shape, settings: newSettings(o, shape.reader),
		ids: record.NewIDs(format.FineTuning, target)}
	f.settings.original = true
	f.limit = o.Integer("pairs_per_input", 1, 1, 10)
	return f
}

// Columns implements [format.Formatter].
func (f *pairFormatter) Columns() []fragment.Column { return nil }

// Needs implements [format.Formatter].
func (f *pairFormatter) Needs() record.Needs { return record.Needs{Group: record.ByContext} }

// Add implements [format.GroupFormatter].
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
	if r.rating == 0 && math.IsNaN(r.score) && !r.fixable { // a row without a verdict has no opposite
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
	// The new row has pushed out at most one row on either side.
	for _, i := range []int{f.limit, n - 1 - f.limit} {
		if i >= f.limit && i < n-f.limit && f.rows[i].extreme {
			f.rows[i].extreme = false
			f.forget(f.rows[i])
		}
	}
	// A row in a pair of runs is not paired with its correction. There are at most limit pairs of
	// either kind.
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

// correctionOf returns the corrected answer as a JSON string, or nil.
func (f *pairFormatter) correctionOf(row *record.Row) []byte {
	if !f.conversation.judged(row) {
		return nil
	}
	return f.conversation.Quote(row.Feedback.CorrectedAnswer)
}

// keep copies the texts that a pair needs.
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
	if r.texts.notes = c.notes; c.answer().name != nil {
		r.texts.notes |= noteName // answers are texts only
	}
	c.cutCalls()
	r.texts.notes |= c.notes
}

// forget releases the texts of a row that can no longer be in a pair.
func (f *pairFormatter) forget(r *pairRow) {
	if r.texts != nil && !r.extreme && !r.candidate {
		f.freeTexts = append(f.freeTexts, r.texts)
		r.texts = nil
	}
}

// compareVerdicts orders rows, the best first: by rating, then by score, then the newest. A row
// without a score comes after a row with one.
func compareVerdicts(a, b *pairRow) int {
	return cmp.Or(-cmp.Compare(a.rating, b.rating), -cmp.Compare(a.score, b.score), -cmp.Compare(a.number, b.number))
}

// opposite reports whether one of two rows is better by a rating or a score that both have.
func opposite(a, b *pairRow) bool {
	if a.rating != 0 && b.rating != 0 {
		return a.rating != b.rating
	}
	return a.score < b.score || a.score > b.score // false if one is NaN
}

// Flush implements [format.GroupFormatter].
func (f *pairFormatter) Flush(emit func(record []byte, of ...format.Source) error, drop func(reason string, rows int),
	warn func(code string)) error {
	n, made := len(f.rows), 0
	tell := func(about notes) {
		f.codes = about.appendCodes(f.codes[:0])
		for _, code := range f.codes {
			warn(code)
		}
	}
	pair := func(preferred *pairTexts, answer, rejected []byte, of ...format.Source) error {
		made++
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
		tell(best.texts.notes | worst.texts.notes)
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
		tell(r.texts.notes)
		f.of = append(f.of[:0], r.texts.source)
		if err := pair(r.texts, r.texts.correction, r.texts.answer, f.of...); err != nil {
			return err
		}
	}
	f.account(drop)
	return nil
}

// account drops the rows that are in no pair, and resets the group.
func (f *pairFormatter) account(drop func(reason string, rows int)) {
	var counts [len(pairReasons)]int
	counts[slices.Index(pairReasons[:], dropNoOpposite)], f.unjudged = f.unjudged, 0
	for _, r := range f.rows {
		switch {
		case r.used:
			continue
		case r.fixable:
			r.reason = dropPairsPerInput // a pair with its correction was possible
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

// same reports whether two JSON strings have the same words.
func (f *pairFormatter) same(a, b []byte) bool {
	f.normal = appendWords(f.normal[:0], f.conversation.Text(a))
	n := len(f.normal)
	f.normal = appendWords(f.normal, f.conversation.Text(b))
	return bytes.Equal(f.normal[:n], f.normal[n:])
}

// context returns a hash of the prompt: the roles, texts and calls of the messages before the
// answer. White space and the ids of calls do not count.
func (f *pairFormatter) context() [sha256.Size]byte {
	c := &f.conversation
	text := appendWords(f.normal[:0], c.Text(c.system))
	prompt := c.prompt()
	for i := range prompt {
		m := &prompt[i]
		// No text contains these bytes: ingest refuses NUL.
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

// appendWords appends the words of a text, separated by single spaces.
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
