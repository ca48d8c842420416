package sample

// texts are the texts of a run. They are rendered when its first event is written, into one arena
// that the next run overwrites.
type texts struct {
	rendered  bool
	arena     []byte
	question  []byte
	answer    []byte // empty if the run has no answer
	correct   []byte // the whole right answer
	reference []byte
	context   []byte // the passages sent to the model
	document  []byte // an invoice's text
	passages  [5][]byte
	lookup    []byte // a long tool result
}

var (
	openers = []string{"", "", "Thanks for asking. ", "Sure — ", "Good question! ", "Happy to help. "}
	closers = []string{"", "", "", " Is there anything else I can do?", " 🙂", "\n\nSources are listed below.",
		" Let me know if that helps."}
	unsure = []string{"As far as I can see: ", "If I read it right: ", ""}
)

// take returns the part of the arena that starts at from.
func (r *run) take(from int) []byte { return r.arena[from:len(r.arena):len(r.arena)] }

func (r *run) write(pieces ...string) {
	for _, s := range pieces {
		r.arena = append(r.arena, s...)
	}
}

func (r *run) expand(text string) []byte {
	from := len(r.arena)
	r.arena = r.in.expand(r.arena, text)
	return r.take(from)
}

// longPlace returns the place of the run's long text, if it has one.
func (r *run) longPlace() longPlace {
	if r.app.long == longLookup && r.callCount() == 0 {
		return longPassage
	}
	return r.app.long
}

// render renders the texts of the run.
func (r *run) render() {
	if r.rendered {
		return
	}
	arena := r.arena[:0]
	r.texts = texts{rendered: true, arena: arena}
	t := r.in.topic
	r.dice.seed(r.cfg.Seed, 4, r.index)

	if r.question = r.expand(t.q); r.long > 0 && r.longPlace() == longQuestion {
		from := len(r.arena)
		r.write(string(r.question), "\n\nThis is the document I mean:\n\n")
		r.filler(r.long / 2)
		r.question = r.take(from)
	}
	from := len(r.arena)
	r.rightAnswer(t)
	r.correct = r.take(from)
	if r.traits.regression() || mix(r.in.key, 11)&3 == 0 {
		r.reference = r.correct
	}
	r.renderAnswer(t)
	if r.app.document == nil {
		r.renderContext()
	} else {
		from = len(r.arena)
		r.app.document(r)
		r.document = r.take(from)
	}
	if r.long > 0 && r.longPlace() == longLookup {
		from = len(r.arena)
		r.filler(r.long)
		r.lookup = r.take(from)
	}
}

func (r *run) rightAnswer(t *topic) {
	r.expand(t.core)
	if t.lang != "zh" && t.lang != "ja" {
		r.write(" ")
	}
	r.expand(t.detail)
}

func (r *run) renderAnswer(t *topic) {
	opener, closer := "", ""
	if t.lang == "en" {
		opener, closer = r.dice.pick(openers), r.dice.pick(closers)
	}
	from := len(r.arena)
	switch {
	case r.status == cancelled && r.index&1 == 0: // the run was cancelled while the answer was written
		r.expand(t.core)
	case r.status != succeeded:
	case r.level == good:
		r.write(opener)
		r.rightAnswer(t)
		r.write(closer)
	case r.level == partial:
		if t.lang == "en" {
			r.write(r.dice.pick(unsure))
		}
		r.expand(t.core)
	default:
		r.write(opener)
		r.expand(t.wrong)
	}
	r.answer = r.take(from)
}

func (r *run) renderContext() {
	for k := range r.chunks {
		from := len(r.arena)
		r.expand(r.app.topics[r.chunks[k].topic].passage)
		if k == 0 && r.long > 0 && r.longPlace() == longPassage {
			r.write("\n\n")
			r.filler(r.long)
		}
		r.passages[k] = r.take(from)
	}
	from := len(r.arena)
	for k, c := range r.chunks {
		if c.sent {
			r.arena = append(append(r.arena, '['), byte('1'+k), ']', ' ')
			r.write(r.app.topics[c.topic].title, "\n")
			r.arena = append(r.arena, r.passages[k]...)
			r.write("\n\n")
		}
	}
	r.context = r.take(from)
}

// filler appends n bytes or a little more: numbered paragraphs made of the app's passages.
func (r *run) filler(n int) {
	start := len(r.arena)
	for k := 1; len(r.arena)-start < n; k++ {
		r.arena = append(appendPadded(append(r.arena, "§ "...), k, 1), ". "...)
		t := &r.app.topics[r.dice.below(len(r.app.topics))]
		r.write(t.title, ": ")
		r.expand(t.passage)
		r.write("\n")
	}
}

// variable returns the value of a prompt variable. If literal is true, the value is JSON and not a
// text.
func (r *run) variable(name string) (value []byte, literal bool) {
	from := len(r.arena)
	switch name {
	case "question":
		return r.question, false
	case "context":
		return r.context, false
	case "document_text":
		return r.document, false
	case "answer", "draft_answer":
		if len(r.answer) == 0 {
			return r.correct, false
		}
		return r.answer, false
	case "language":
		r.write(r.in.topic.lang)
	case "audience":
		r.write([]string{"customer", "technician", "call centre"}[r.in.number%3])
	case "today":
		r.arena = appendDay(r.arena, r.start)
	case "country":
		r.write(r.in.country)
	case "supplier":
		r.write(vendors[r.in.vendor])
	case "purchase_order":
		r.expand("{po}")
	case "tool_results":
		r.write("none")
		if r.callCount() > 0 {
			r.arena = r.arena[:from]
			r.expand(r.in.topic.calls[0].result)
		}
	case "max_words":
		r.write("120")
		literal = true
	case "strict":
		r.write("true")
		literal = true
	case "categories":
		r.write(`["goods","services","freight","utilities","other"]`)
		literal = true
	default: // the variables with long names
		r.expand("{po}: {n} of {n} lines received, {amount} open")
	}
	return r.take(from), literal
}

// prompt renders a template: it replaces each {{name}} by the value of the variable.
func (r *run) prompt(template string) []byte {
	// A variable may append to the arena, so all values are rendered before the text that contains
	// them.
	var values [8][]byte
	k := 0
	for rest := template; ; k++ {
		name, tail, ok := nextVariable(rest)
		if !ok {
			break
		}
		values[k], _ = r.variable(name)
		rest = tail
	}
	from := len(r.arena)
	rest := template
	for _, value := range values[:k] {
		name, tail, _ := nextVariable(rest)
		r.write(rest[:len(rest)-len(tail)-len(name)-4])
		r.arena = append(r.arena, value...)
		rest = tail
	}
	r.write(rest)
	return r.take(from)
}

// nextVariable returns the first {{name}} of a template, and the template after it.
func nextVariable(template string) (name, rest string, ok bool) {
	for i := 0; i+1 < len(template); i++ {
		if template[i] != '{' || template[i+1] != '{' {
			continue
		}
		end := i + 2
		for template[end] != '}' {
			end++
		}
		return template[i+2 : end], template[end+2:], true
	}
	return "", "", false
}
