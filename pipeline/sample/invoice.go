package sample

// invoice is a recipe that is mostly started by a webhook. It classifies an invoice, extracts its
// fields, looks up the order, compares the two and routes the invoice.
var invoice = app{
	source: "recipe", id: "invoice-triage", name: "Invoice triage", uri: "/recipes/invoice-triage",
	triggers: []string{"webhook", "webhook", "webhook", "api"},
	long:     longDocument,
	versions: []version{
		{name: "baseline", model: "sluice-mini-1", prompt: 0, skill: 430, since: 0, inputPrice: 150, outputPrice: 600},
		{name: "few_shot", model: "sluice-mini-2", prompt: 1, skill: 620, since: 20, inputPrice: 150, outputPrice: 600},
		{name: "few_shot_checked", model: "weir-large-1", prompt: 2, skill: 800, since: 55, inputPrice: 2500,
			outputPrice: 10_000},
	},
	system: []string{
		"You read invoices.",
		"You read invoices and answer with JSON only.",
		"You read invoices and answer with JSON only: {\"field\": value}. Amounts are numbers with a point. Never guess: " +
			"use null.",
	},
	inputFiles: []fileType{
		{"{invoice}.pdf", ".pdf", "application/pdf"},
		{"Rechnung Nr. {invoice} (Kopie).pdf", ".pdf", "application/pdf"},
		{"請求書 {invoice}.tiff", ".tiff", "image/tiff"},
	},
	outputFile: fileType{"{invoice}.json", ".json", "application/json"},
	document:   renderInvoice,
	nodes: []*node{
		{id: "classify", name: "Classify", kind: "llm", files: true, inputs: documentIn,
			outputs: func(d *doc, r *run, _ *nodeRun) {
				d.str("category", r.in.topic.category)
				d.dec("confidence", 500+r.quality/2, 3)
			},
			modelOutput: func(d *doc, r *run, _ *nodeRun) { d.str("category", r.in.topic.category) },
			templates: []string{
				"Which of {{categories}} is this invoice?\n{{document_text}}",
				"Categories: {{categories}}\nSupplier: {{supplier}}\n\nInvoice:\n\"\"\"\n{{document_text}}\n\"\"\"\n\nAnswer " +
					"with {\"category\": …}.",
			}},
		{id: "extract", name: "Extract fields", kind: "llm", files: true, inputs: documentIn,
			outputs:     func(d *doc, r *run, _ *nodeRun) { r.writeFields(d) },
			modelOutput: func(d *doc, r *run, _ *nodeRun) { r.writeFields(d) },
			templates: []string{
				"Extract the number, the date, the order, the currency and the total.\n\n{{document_text}}",
				"Extract the fields as in the example.\n\nExample: \"Total due 12,00 €\" gives {\"total\": 12.00, \"currency\": " +
					"\"EUR\"}\n\n{{document_text}}",
				"Extract the fields of this invoice of {{supplier}} ({{country}}). strict={{strict}}\n\n{{document_text}}\n\nJSON:",
			}},
		{id: "lookup_po", name: "Look up the order", kind: "tool",
			inputs: func(d *doc, r *run, _ *nodeRun) { d.text("purchase_order", r.expand("{po}")) },
			outputs: func(d *doc, r *run, _ *nodeRun) {
				d.bool("found", r.in.topic.title != "missing_order")
				d.dec("open_amount", r.in.openAmount(), 2)
				d.str("currency", "EUR")
			}},
		{id: "validate", name: "Validate", kind: "llm",
			inputs: func(d *doc, r *run, _ *nodeRun) {
				r.writeFields(d)
				d.dec("open_amount", r.in.openAmount(), 2)
			},
			outputs: func(d *doc, r *run, _ *nodeRun) {
				r.writeIssues(d)
				d.text("summary", r.answerOrTruth())
			},
			modelOutput: func(d *doc, r *run, _ *nodeRun) {
				d.str("decision", r.decision())
				d.text("why", r.answerOrTruth())
			},
			templates: []string{
				"Does invoice {{document_text}} match order {{purchase_order}}?",
				"Order {{purchase_order}} of {{supplier}}.\nInvoice:\n{{document_text}}\nList what does not match, then decide: " +
					"approve, hold, reject.",
				// Tools generate such names: more than 60 characters, which differ only at the end.
				"Order {{purchase_order}}\nReceived: " +
					"{{purchase_order_lines_that_the_warehouse_received_and_matched_so_far}}\nOpen: " +
					"{{purchase_order_lines_that_the_warehouse_received_and_matched_not_yet}}\nInvoice:\n{{document_text}}\nToday: " +
					"{{today}}\nDecide: approve, hold, reject.",
			}},
		{id: "route", name: "Route", kind: "router",
			inputs: func(d *doc, r *run, _ *nodeRun) { r.writeIssues(d) },
			outputs: func(d *doc, r *run, _ *nodeRun) {
				d.str("decision", r.decision())
				d.str("queue", "accounts-payable/"+r.in.topic.category)
			}},
	},
	inputs: func(d *doc, r *run, swapped bool) {
		if swapped {
			d.text("document_text", r.document)
			d.str("supplier", vendors[r.in.vendor])
		} else {
			d.str("supplier", vendors[r.in.vendor])
			d.text("document_text", r.document)
		}
		d.str("received_via", []string{"mail", "upload", "edi"}[r.in.number%3])
		d.int("pages", 1+r.in.n/12)
		if r.in.second {
			d.dec("declared_total", r.in.cents, 2)
		}
	},
	systemInputs: func(d *doc, r *run) {
		d.str("system", r.app.system[r.version().prompt])
		d.int("approval_limit", 5000)
		d.arr("ledgers")
		d.elem("GL-2026")
		d.elem("GL-2025")
		d.endArr()
	},
	outputs: func(d *doc, r *run) {
		d.text("answer", r.answer)
		d.str("decision", r.decision())
		d.str("category", r.in.topic.category)
		d.obj("fields")
		r.writeFields(d)
		d.endObj()
		r.writeIssues(d)
	},
	topics: invoiceTopics,
}

func documentIn(d *doc, r *run, _ *nodeRun) {
	d.text("document_text", r.document)
	d.str("supplier", vendors[r.in.vendor])
}

// decision returns the right decision, unless the run's answer is wrong.
func (r *run) decision() string {
	right := r.in.topic.intent
	switch {
	case r.level > wrong:
		return right
	case right == "approve":
		return "hold"
	default:
		return "approve"
	}
}

// writeFields writes the extracted fields. A bad answer lacks some of them.
func (r *run) writeFields(d *doc) {
	d.text("invoice_number", r.expand("{invoice}"))
	d.text("invoice_date", r.expand("{date}"))
	if r.level == good {
		d.text("purchase_order", r.expand("{po}"))
	} else {
		d.null("purchase_order")
	}
	d.str("currency", "EUR")
	total := r.in.cents
	if r.level == wrong {
		total *= 100 // the model has dropped the decimal comma
	}
	d.dec("total", total, 2)
}

func (r *run) writeIssues(d *doc) {
	d.arr("issues")
	if r.level > wrong && r.in.topic.intent != "approve" {
		d.open()
		d.str("code", r.in.topic.title)
		d.text("detail", r.expand(r.in.topic.core))
		d.endObj()
	}
	d.endArr()
}

// renderInvoice renders the text of the invoice. The text depends only on the input, unless the run
// has a long text.
func renderInvoice(r *run) {
	in := &r.in
	start := len(r.arena)
	r.write(vendors[in.vendor], "\n")
	r.expand(in.topic.passage)
	r.expand("\n{invoice}\t{date}\n{po}\n\n")
	for k := range in.invoiceLines() {
		what, count, price := in.invoiceLine(k)
		r.arena = appendPadded(r.arena, k+1, 3)
		r.write("  ", what, "\t")
		r.arena = append(appendPadded(r.arena, count, 1), " × "...)
		r.arena = append(appendMoney(r.arena, price), '\n')
	}
	r.expand("\n--------\nTotal due: {money}\nVAT {pct} % incl. | IBAN on file | \"no cash discount\"\n")
	if r.long == 0 {
		return
	}
	r.write("\nTerms of delivery\n")
	for k := 1; len(r.arena)-start < r.long; k++ {
		r.arena = append(appendPadded(r.arena, k, 1), ") "...)
		r.write(sentences[r.dice.below(len(sentences))], "\n")
	}
}

func (in *input) invoiceLines() int { return 2 + int(mix(in.key, 29)%7) }

// invoiceLine returns the k-th line of the invoice: the product, the count, and the price of one in
// cents.
func (in *input) invoiceLine(k int) (what string, count, price int) {
	h := mix(in.key, uint64(30+k))
	return goods[h%uint64(len(goods))], int(h>>8%40) + 1, int(h>>16%8_000) + 5
}

func (in *input) invoiceTotal() (cents int) {
	for k := range in.invoiceLines() {
		_, count, price := in.invoiceLine(k)
		cents += count * price
	}
	return cents
}

// openAmount returns the part of the order that is not yet paid.
func (in *input) openAmount() int {
	if in.topic.title == "total_mismatch" {
		return in.cents * 100 / (100 + in.percent)
	}
	return in.cents
}

var goods = []string{
	"Copy paper A4, 80 g", "Water wheel bearing ⌀ 60 mm", "Toner \"XL\"", "Fracht / freight", "コピー用紙", "Dichtung 1/2\"",
	"حبر طابعة", "=2*3 bolts M8", "润滑油 5L",
}

var invoiceTopics = []topic{
	{
		lang: "en", intent: "approve", category: "goods", title: "ok",
		q:       "Triage invoice {invoice}: approve, hold or reject?",
		core:    "Approve {invoice}: its total of {money} matches purchase order {po}.",
		detail:  "All lines were received by {date}; payment is due in {n} days.",
		wrong:   "Hold {invoice}: the order {po} could not be found.",
		passage: "INVOICE",
	},
	{
		lang: "en", intent: "hold", category: "goods", title: "total_mismatch",
		q:       "Triage invoice {invoice} against {po}: approve, hold or reject?",
		core:    "Hold {invoice}: its total is {pct} % above purchase order {po}.",
		detail:  "The tolerance is 2 %; ask the buyer to confirm {money} or the supplier for a credit note.",
		wrong:   "Approve {invoice}: everything matches.",
		passage: "INVOICE (second copy)",
	},
	{
		lang: "en", intent: "reject", category: "services", title: "duplicate",
		q:       "Is invoice {invoice} over {money} new, or have we paid it already?",
		core:    "Reject {invoice}: it was already paid on {date}.",
		detail:  "The number differs only by a hyphen, the total of {money} and the order {po} are the same.",
		wrong:   "It is new; approve it and pay {money} today.",
		passage: "Invoice for services rendered",
	},
	{
		lang: "de", intent: "hold", category: "freight", title: "missing_order",
		q:       "Rechnung {invoice} ohne Bestellnummer: freigeben, zurückhalten oder ablehnen?",
		core:    "Zurückhalten: Auf {invoice} fehlt die Bestellnummer.",
		detail:  "Vermutlich gehört sie zu {po}; der Einkauf soll das innerhalb von {n} Tagen bestätigen.",
		wrong:   "Freigeben, denn der Betrag ist klein.",
		passage: "RECHNUNG – zahlbar innerhalb von {n} Tagen ohne Abzug",
	},
	{
		lang: "ja", intent: "reject", category: "other", title: "bank_account_changed",
		q:       "請求書{invoice}の振込先が前回と異なります。処理してよいですか？",
		core:    "却下してください。{invoice}の振込先口座が登録と一致しません。",
		detail:  "登録済みの電話番号で取引先に確認し、確認が取れるまで{money}を支払わないでください。",
		wrong:   "問題ありません。承認してください。",
		passage: "請求書 ※振込先が変更になりました",
	},
	{
		lang: "ar", intent: "approve", category: "utilities", title: "ok",
		q:       "هل نعتمد الفاتورة {invoice} بمبلغ {money}؟",
		core:    "تُعتمد الفاتورة {invoice}: المبلغ مطابق لأمر الشراء {po}.",
		detail:  "تاريخ الاستحقاق بعد {n} يومًا من {date}.",
		wrong:   "تُرفض الفاتورة لأن المورّد غير معروف.",
		passage: "فاتورة ضريبية",
	},
}
