package sample

import "strings"

// writeMessages writes the run's conversation in OpenAI's shape: system, earlier turns, the
// question, tool calls with their results, the answer. The input determines the style, so that all
// runs of an input can be compared.
func (r *run) writeMessages(d *doc, final bool) {
	d.arr("messages")
	if in := &r.in; in.style != 7 {
		r.writeSystem(d, r.app.system[r.version().prompt])
	}
	earlier := r.writeEarlier(d)
	r.writeQuestion(d)
	// If the run stopped before its tools answered, the conversation ends with the question.
	if r.callCount() > 0 && final && r.status != failed {
		r.writeCalls(d, earlier)
	}
	if final && len(r.answer) > 0 {
		r.writeText(d, "assistant", r.answer, r.in.style == 3)
		if mix(r.in.key, 13)%29 == 0 {
			r.writeText(d, "user", []byte("Thanks! 🙏"), false)
		}
	}
	d.endArr()
}

func (r *run) writeSystem(d *doc, text string) {
	from := len(r.arena)
	r.write(text)
	r.writeText(d, "system", r.take(from), r.in.style == 2)
}

// writeText writes a message whose content is a string, or one text part.
func (r *run) writeText(d *doc, role string, text []byte, parts bool) {
	d.open()
	d.str("role", role)
	if parts {
		d.arr("content")
		writePart(d, text)
		d.endArr()
	} else {
		d.text("content", text)
	}
	d.endObj()
}

func writePart(d *doc, text []byte) {
	d.open()
	d.str("type", "text")
	d.text("text", text)
	d.endObj()
}

// writeEarlier writes the turns before the question and reports whether one of them called a tool.
func (r *run) writeEarlier(d *doc) (called bool) {
	in := &r.in
	turns := min(in.turns, len(r.app.earlier))
	for k := range turns {
		turn := r.app.earlier[(in.number+k)%len(r.app.earlier)]
		r.writeText(d, "user", r.expand(turn[0]), false)
		if k == 0 && r.callCount() > 0 {
			called = true
			r.writeCall(d, 0, 1, true)
			r.writeResult(d, 0, true)
		}
		r.writeText(d, "assistant", r.expand(turn[1]), false)
	}
	return called
}

func (r *run) writeQuestion(d *doc) {
	switch {
	case r.in.style <= 1: // parts: the text and the attached files
		d.open()
		d.str("role", "user")
		d.arr("content")
		writePart(d, r.question)
		if r.hasFile(fileInput) && strings.HasPrefix(r.fileType(fileInput).mime, "image/") {
			d.open()
			d.str("type", "image_url")
			d.obj("image_url")
			r.writeFileURI(d, "url", fileInput)
			d.endObj()
			d.endObj()
		}
		d.endArr()
		d.endObj()
	case r.in.style == 4:
		d.open()
		d.str("role", "user")
		d.str("name", "user_1")
		d.text("content", r.question)
		d.endObj()
	default:
		r.writeText(d, "user", r.question, false)
	}
}

// writeCalls writes the topic's tool calls and their results. Two calls are parallel, in one
// message.
func (r *run) writeCalls(d *doc, earlier bool) {
	n := r.callCount()
	again := earlier && r.in.style >= 5 // some clients number the calls from 0 in every turn
	r.writeCall(d, 0, n, again)
	for k := range n {
		r.writeResult(d, k, again)
	}
}

func (r *run) writeCall(d *doc, first, n int, counted bool) {
	d.open()
	d.str("role", "assistant")
	switch r.in.style {
	case 6:
		d.str("content", "Let me look that up.")
	case 5:
		d.str("content", "")
	default:
		d.null("content")
	}
	d.arr("tool_calls")
	for k := first; k < first+n; k++ {
		c := &r.in.topic.calls[k]
		d.open()
		r.writeCallID(d, "id", k, counted)
		d.str("type", "function")
		d.obj("function")
		d.str("name", c.node.id)
		d.text("arguments", r.expand(c.args))
		d.endObj()
		d.endObj()
	}
	d.endArr()
	d.endObj()
}

func (r *run) writeResult(d *doc, k int, counted bool) {
	c := &r.in.topic.calls[k]
	d.open()
	d.str("role", "tool")
	r.writeCallID(d, "tool_call_id", k, counted)
	if r.in.style >= 4 {
		d.str("name", c.node.id)
	}
	if len(r.lookup) > 0 {
		d.text("content", r.lookup)
	} else {
		d.text("content", r.expand(c.result))
	}
	d.endObj()
}

// writeCallID writes the id of a call: unique in the conversation, or a number that other turns
// repeat.
func (r *run) writeCallID(d *doc, key string, k int, counted bool) {
	d.begin(key)
	d.b = append(d.b, "call_"...)
	if counted {
		d.b = append(d.b, byte('0'+k))
	} else {
		d.b = appendHex(d.b, mix(r.in.key, uint64(20+k)), 16)
	}
	d.end()
}
