package sample

// writeNode writes the n-th node run, as it started or as it ended.
func (r *run) writeNode(d *doc, n int, final bool) {
	run := &r.nodes[n]
	node := run.node
	d.open()
	d.str("workspace_id", r.workspace)
	r.writeRunID(d)
	d.begin("node_run_id")
	d.b = r.appendNodeRunID(d.b, n)
	d.end()
	d.str("source", r.app.source)
	d.str("app_id", r.app.id)
	d.str("app_version", r.version().name)
	d.str("node_id", node.id)
	d.str("node_name", node.name)
	d.str("node_type", node.kind)
	if run.parent >= 0 {
		d.begin("parent_node_run_id")
		d.b = r.appendNodeRunID(d.b, run.parent)
		d.end()
	}
	d.int("sequence", n+1)
	d.time("started_at", run.start)
	status, updated := running, run.start+1
	if final && run.status != running {
		d.time("ended_at", run.end)
		status, updated = run.status, run.end+1
	}
	d.str("status", status)
	d.obj("inputs")
	node.inputs(d, r, run)
	d.endObj()
	r.writeNodeResult(d, run, status)
	if len(node.templates) > 0 {
		r.writePrompt(d, run, status)
	}
	r.writeNodeMetadata(d, n)
	d.time("updated_at", updated)
	d.endObj()
}

// writeNodeResult writes the outputs, or the error.
func (r *run) writeNodeResult(d *doc, run *nodeRun, status string) {
	if status == succeeded {
		d.obj("outputs")
		run.node.outputs(d, r, run)
		d.endObj()
		if run.node.kind == "retrieval" {
			r.writeChunks(d)
		}
	}
	switch {
	case status == failed:
		writeError(d, run.node.kind, run.errKind)
	case status == succeeded && r.index%5 == 0:
		d.null("error")
	}
	if run.node.files {
		r.writeFiles(d, status == succeeded)
	}
}

// writePrompt writes the fields that only nodes with a model have.
func (r *run) writePrompt(d *doc, run *nodeRun, status string) {
	template := run.node.templates[min(r.version().prompt, len(run.node.templates)-1)]
	d.obj("prompt")
	d.str("template", template)
	d.obj("variables")
	for rest := template; ; {
		name, tail, ok := nextVariable(rest)
		if !ok {
			break
		}
		if value, literal := r.variable(name); literal {
			d.key(name)
			d.b = append(d.b, value...)
		} else {
			d.text(name, value)
		}
		rest = tail
	}
	d.endObj()
	d.endObj()
	if mix(r.in.key, 17)&3 > 0 { // the others have only their prompt
		r.writeNodeMessages(d, run, template, status)
	}
	if run.node.kind == "agent" && r.app.tools != "" {
		d.raw("tools", r.app.tools)
	}
	v := r.version()
	d.str("model", v.model)
	d.obj("parameters")
	d.dec("temperature", []int{0, 20, 70}[v.prompt%3], 2)
	d.int("max_tokens", 256<<(v.prompt%3))
	if v.prompt > 0 {
		d.raw("stop", `["\n\n###","</answer>"]`)
		d.bool("stream", run.node.kind == "agent")
		d.str("reasoning_effort", "low")
	}
	d.endObj()
	if status == running {
		return
	}
	d.obj("usage")
	d.int("input_tokens", run.tokensIn)
	d.int("output_tokens", run.tokensOut)
	d.endObj()
	d.dec("cost_usd", r.cost(run.tokensIn, run.tokensOut), 6)
}

func (r *run) writeNodeMessages(d *doc, run *nodeRun, template, status string) {
	d.arr("messages")
	r.writeSystem(d, r.app.system[r.version().prompt])
	r.writeText(d, "user", r.prompt(template), false)
	if status == succeeded {
		if run.node.kind == "agent" && r.callCount() > 0 {
			r.writeCalls(d, false)
		}
		// The model's message is its answer as text, or its output as JSON.
		said := r.answerOrTruth()
		if run.node.modelOutput != nil {
			r.said.reset(false)
			r.said.open()
			run.node.modelOutput(&r.said, r, run)
			r.said.endObj()
			said = r.said.b
		}
		r.writeText(d, "assistant", said, false)
	}
	d.endArr()
}

// answerOrTruth returns the answer of a model node. If the run stopped after the node and has no
// answer, it returns the right answer.
func (r *run) answerOrTruth() []byte {
	if len(r.answer) == 0 {
		return r.correct
	}
	return r.answer
}

func (r *run) writeChunks(d *doc) {
	d.arr("chunks")
	for k, c := range r.chunks {
		t := &r.app.topics[c.topic]
		d.open()
		r.writeChunkID(d, "chunk_id", k)
		d.text("text", r.passages[k])
		d.dec("score", c.score, 3)
		if k != 2 {
			d.begin("source_uri")
			d.b = append(append(d.b, "https://docs.example.org/"...), r.app.id...)
			d.b = append(appendPadded(append(d.b, '/'), c.topic, 2), ".html?lang="...)
			d.piece(t.lang)
			d.end()
		}
		d.str("title", t.title)
		d.bool("sent_to_llm", c.sent)
		d.bool("used_in_answer", c.used && c.sent)
		d.endObj()
	}
	d.endArr()
}

func (r *run) writeChunkID(d *doc, key string, k int) {
	d.begin(key)
	r.appendChunkID(d, k)
	d.end()
}

func (r *run) appendChunkID(d *doc, k int) {
	d.b = append(append(d.b, r.app.id...), '.')
	d.b = appendPadded(append(appendPadded(d.b, r.chunks[k].topic, 2), '.'), k, 1)
}

// writeCitations writes the ids of the passages that the answer uses.
func (r *run) writeCitations(d *doc) {
	d.arr("citations")
	for k, c := range r.chunks {
		if c.used && c.sent {
			d.sep()
			d.b = append(d.b, '"')
			r.appendChunkID(d, k)
			d.b = append(d.b, '"')
		}
	}
	d.endArr()
}

func (r *run) writeNodeMetadata(d *doc, n int) {
	if (r.index+uint64(n))%3 > 0 {
		return
	}
	d.obj("metadata")
	d.str("worker", []string{"w-1", "w-2", "w-3"}[mix(r.index, uint64(n))%3])
	if n > 0 && r.nodes[n-1].node == r.nodes[n].node {
		d.str("attempt", "2")
	}
	d.endObj()
}

// Writers of inputs and outputs for nodes of several apps.

func questionIn(d *doc, r *run, _ *nodeRun) { d.text("question", r.question) }

func queryIn(d *doc, r *run, _ *nodeRun) {
	d.text("query", r.question)
	d.int("top_k", len(r.chunks))
}

func foundOut(d *doc, r *run, _ *nodeRun) {
	d.int("found", len(r.chunks))
	d.dec("best_score", r.chunks[0].score, 3)
}

func contextIn(d *doc, r *run, _ *nodeRun) {
	d.text("question", r.question)
	d.int("passages", len(r.chunks))
}

func answerOut(d *doc, r *run, _ *nodeRun) { d.text("answer", r.answerOrTruth()) }

func intentOut(d *doc, r *run, _ *nodeRun) {
	d.str("intent", r.in.topic.intent)
	d.dec("confidence", 500+r.quality/2, 3)
	d.str("language", r.in.topic.lang)
}

func callIn(d *doc, r *run, n *nodeRun) {
	d.key("arguments")
	d.b = r.in.expand(d.b, r.in.topic.calls[n.call].args)
}

func callOut(d *doc, r *run, n *nodeRun) {
	if len(r.lookup) > 0 {
		d.text("text", r.lookup)
		return
	}
	d.key("result")
	d.b = r.in.expand(d.b, r.in.topic.calls[n.call].result)
}
