package sample

// appendRunID appends the run's id. Each app has its own form of ids; together they use all
// characters that an id may have.
func (r *run) appendRunID(b []byte) []byte {
	h := mix(r.cfg.Seed^0x1d, r.index)
	if r.cfg.RandomIDs {
		return appendPadded(append(appendHex(b, h, 16), '-'), int(r.index), 8)
	}
	switch r.app {
	case &invoice:
		b = appendPadded(append(b, "inv:"...), int(r.index), 7)
		return appendHex(append(b, '~'), h, 6)
	case &knowledge:
		b = appendPadded(append(b, "kb_"...), int(r.index), 7)
		return appendHex(append(b, '.'), h, 6)
	default:
		b = appendPadded(append(b, "run-"...), int(r.index), 8)
		return appendHex(append(b, '-'), h, 8)
	}
}

func (r *run) writeRunID(d *doc) {
	d.begin("run_id")
	d.b = r.appendRunID(d.b)
	d.end()
}

// appendNodeRunID appends the id of a node run. Ids of copilots are globally unique; ids of recipes
// are unique only within their run.
func (r *run) appendNodeRunID(b []byte, n int) []byte {
	if r.app.source == "recipe" {
		return appendPadded(append(append(b, r.nodes[n].node.id...), '~'), n+1, 1)
	}
	return appendPadded(append(r.appendRunID(b), ".n"...), n+1, 1)
}

func (r *run) appendFeedbackID(b []byte, v *verdict) []byte {
	b = appendHex(append(b, "fb-"...), mix(r.cfg.Seed^0xfb, r.index), 12)
	return appendPadded(append(b, '-'), v.number, 1)
}

func (r *run) appendUser(b []byte) []byte { return appendPadded(append(b, "user-"...), r.user, 4) }

func (r *run) writeHex(d *doc, key, prefix string, digits int, salt uint64) {
	d.begin(key)
	d.piece(prefix)
	for k := uint64(0); digits > 0; k, digits = k+1, digits-16 {
		d.b = appendHex(d.b, mix(r.cfg.Seed^salt+k, r.index), min(digits, 16))
	}
	d.end()
}

// writeRun writes one snapshot of the run.
func (r *run) writeRun(d *doc, kind partKind) {
	final := kind == partRunFinal || kind == partRunRevised
	bits := mix(r.cfg.Seed^0x0b, r.index) // decides which optional fields are present
	d.open()
	d.str("workspace_id", r.workspace)
	r.writeRunID(d)
	d.str("source", r.app.source)
	d.str("app_id", r.app.id)
	d.str("app_name", r.app.name)
	d.str("app_version", r.version().name)
	d.str("trigger", r.trigger)
	if bits&7 > 0 {
		r.writeHex(d, "request_id", "req-", 12, 0x4e)
	}
	if r.session != 0 {
		d.begin("session_id")
		d.b = appendHex(append(d.b, "ses-"...), r.session, 12)
		d.end()
	}
	if r.user != 0 {
		d.begin("user_id")
		d.b = r.appendUser(d.b)
		d.end()
	}
	if bits>>3&7 > 0 {
		r.writeHex(d, "trace_id", "", 32, 0x7ace)
	}
	d.time("started_at", r.start)
	if final {
		d.time("ended_at", r.end)
		d.str("status", r.status)
	} else {
		d.str("status", running)
	}
	r.writeContent(d, final, bits)
	r.writeFigures(d, kind, bits)
	r.writeMetadata(d, kind == partRunRevised)
	d.time("updated_at", r.updated(kind))
	d.endObj()
}

func (r *run) updated(kind partKind) int64 {
	switch kind {
	case partRunOpen:
		return r.start + 2
	case partRunRevised:
		return max(r.end+60_000, r.cfg.base(r.index+lags[lagLate]))
	default:
		return r.end + 1
	}
}

// writeContent writes the inputs and outputs of the run.
func (r *run) writeContent(d *doc, final bool, bits uint64) {
	if r.asks() {
		d.begin("question")
		if bits>>6&15 == 0 { // the same question with careless spacing
			d.piece("  ")
			d.bytes(r.question)
			d.piece(" \n")
		} else {
			d.bytes(r.question)
		}
		d.end()
	}
	if final && len(r.answer) > 0 {
		d.text("answer", r.answer)
	}
	if len(r.reference) > 0 {
		d.text("reference", r.reference)
	}
	d.obj("inputs")
	r.app.inputs(d, r, bits>>10&7 == 0)
	d.endObj()
	d.obj("system_inputs")
	r.app.systemInputs(d, r)
	d.endObj()
	if final && (len(r.answer) > 0 || bits>>13&1 == 0) {
		d.obj("outputs")
		if len(r.answer) > 0 {
			r.app.outputs(d, r)
		}
		d.endObj()
	}
	if r.app.chats && r.ver >= r.app.chatsFrom {
		r.writeMessages(d, final)
	}
	if r.app.tools != "" && r.ver >= r.app.toolsFrom {
		d.raw("tools", r.app.tools)
	}
	if final && r.status == failed {
		last := &r.nodes[len(r.nodes)-1]
		writeError(d, last.node.kind, r.errKind)
	} else if bits>>14&3 == 0 {
		d.null("error")
	}
	r.writeFiles(d, final)
}

// asks reports whether the run has a question. An invoice that came by webhook has none.
func (r *run) asks() bool { return r.app.document == nil || r.in.second }

// writeFigures writes the model, and the usage and cost summed over the nodes.
func (r *run) writeFigures(d *doc, kind partKind, bits uint64) {
	d.str("model", r.version().model)
	if kind != partRunFinal && kind != partRunRevised {
		return
	}
	in, out := 0, 0
	for k := range r.nodes {
		in, out = in+r.nodes[k].tokensIn, out+r.nodes[k].tokensOut
	}
	d.obj("usage")
	d.int("input_tokens", in)
	d.int("output_tokens", out)
	d.endObj()
	cost := r.cost(in, out)
	switch {
	case kind == partRunRevised: // the bill corrected the cost
		d.dec("cost_usd", cost+cost/10+1, 6)
	case bits>>16&7 > 0:
		d.dec("cost_usd", cost, 6)
	}
}

// cost returns the cost of tokens in micro-dollars.
func (r *run) cost(in, out int) int {
	v := r.version()
	return (in*v.inputPrice + out*v.outputPrice) / 1000
}

var (
	regions = []string{"eu", "us", "apac"}
	notes   = []string{
		`=SUM(A1:A9)`, `"quoted", and a comma`, "two\nlines", "tab\there", `back\slash`, "日本語のメモ", "ملاحظة: عاجل",
		"👨‍👩‍👧‍👦 family fare", "-", "@later",
	}
)

func (r *run) writeMetadata(d *doc, revised bool) {
	h := mix(r.cfg.Seed^0x3e7a, r.index)
	d.obj("metadata")
	who := r.session
	if who == 0 {
		who = r.in.key
	}
	d.str("region", regions[who>>4%3])
	d.str("channel", r.trigger)
	if h&3 == 0 {
		d.str("experiment", []string{"control", "short-answers"}[h>>2&1])
	}
	if h>>3%20 == 0 {
		d.str("note", notes[h>>9%uint64(len(notes))])
	}
	if r.traits.regression() {
		d.str("suite", "regression")
		d.begin("case.id")
		d.b = appendHex(d.b, r.in.key, 8)
		d.end()
	}
	if r.imported {
		d.str("imported", "true")
	}
	if revised {
		d.str("billing", "reconciled")
	}
	d.endObj()
}

// fileDirection is the direction of a file.
type fileDirection string

const (
	fileInput  fileDirection = "input"
	fileOutput fileDirection = "output"
)

func (r *run) writeFileURI(d *doc, key string, dir fileDirection) {
	d.begin(key)
	d.b = append(append(d.b, "s3://sample-files/"...), r.workspace...)
	d.b = append(append(append(d.b, '/'), dir...), '/')
	d.b = append(r.appendFileID(d.b, dir), r.fileType(dir).ending...)
	d.end()
}

// appendFileID appends the id of a file. All runs of an input share the input file; each run has
// its own output file.
func (r *run) appendFileID(b []byte, dir fileDirection) []byte {
	if dir == fileInput {
		return appendHex(append(b, "file-in-"...), r.in.key, 10)
	}
	return appendHex(append(b, "file-out-"...), mix(r.cfg.Seed^0xf11e, r.index), 10)
}

type fileType struct{ name, ending, mime string }

func (r *run) fileType(dir fileDirection) *fileType {
	if dir == fileInput {
		return &r.app.inputFiles[r.in.number%len(r.app.inputFiles)]
	}
	return &r.app.outputFile
}

func (r *run) hasFile(dir fileDirection) bool {
	if dir == fileInput {
		return len(r.app.inputFiles) > 0 && (r.in.attachment || r.app.document != nil)
	}
	return r.app.outputFile.name != "" && r.status == succeeded && r.in.number%3 > 0
}

// writeFiles writes `files` if there are any. Output files exist only in final snapshots.
func (r *run) writeFiles(d *doc, final bool) {
	in, out := r.hasFile(fileInput), final && r.hasFile(fileOutput)
	if !in && !out {
		return
	}
	d.arr("files")
	if in {
		r.writeFile(d, fileInput)
	}
	if out {
		r.writeFile(d, fileOutput)
	}
	d.endArr()
}

func (r *run) writeFile(d *doc, dir fileDirection) {
	t := r.fileType(dir)
	d.open()
	d.begin("file_id")
	d.b = r.appendFileID(d.b, dir)
	d.end()
	d.text("name", r.expand(t.name))
	r.writeFileURI(d, "uri", dir)
	d.str("content_type", t.mime)
	d.int("size_bytes", 2048+int(mix(r.in.key, uint64(len(dir)))%3_000_000))
	d.str("direction", string(dir))
	d.endObj()
}

// writeError writes an error that is typical of the kind of node.
func writeError(d *doc, kind string, which int) {
	typ, message := "timeout", "no answer within 30 s"
	switch {
	case (kind == "llm" || kind == "agent") && which == 0:
		typ, message = "rate_limited", "429: too many requests; retry after 250 ms"
	case kind == "llm" || kind == "agent":
		typ, message = "content_filter", "the answer was withheld: category \"financial_advice\", severity 4"
	case kind == "tool":
		typ, message = "tool_error", "call failed:\n\tat lookup (C:\\svc\\booking.js:214)\n\tat retry <3 attempts>"
	case kind == "code":
		typ, message = "validation_error", "expected a number at /total, got \"1.240,00 €\""
	case kind == "router":
		typ, message = "invalid_output", "no branch is called '无法判断'"
	}
	d.obj("error")
	d.str("type", typ)
	d.str("message", message)
	d.endObj()
}
