package sample

// knowledge is a recipe that answers questions from the manuals of heat pumps.
var knowledge = app{
	source: "recipe", id: "knowledge-answer", name: "Knowledge base answer", uri: "/recipes/knowledge-answer",
	triggers: []string{"api", "api", "chat", "webhook"},
	sessions: 3, chats: true, chatsFrom: 3, hard: oddTopics[8:12], long: longPassage,
	versions: []version{
		{name: "170_baseline", model: "sluice-mini-1", prompt: 0, skill: 400, since: 0, inputPrice: 150, outputPrice: 600},
		{name: "175a_rerank", model: "sluice-mini-2", prompt: 1, skill: 540, since: 14, inputPrice: 150, outputPrice: 600},
		{name: "175b_verification", model: "weir-medium-1", prompt: 1, skill: 680, since: 35, inputPrice: 800,
			outputPrice: 3200},
		{name: "176_citations", model: "weir-large-1", prompt: 2, skill: 820, since: 70, inputPrice: 2500,
			outputPrice: 10_000},
	},
	system: []string{
		"Answer from the context.",
		"You support users and technicians of heat pumps. Answer only from the context; say \"not in the manual\" otherwise.",
		"You support users and technicians of heat pumps.\nAnswer only from the context, cite passages as [1], and warn " +
			"before steps that need an electrician ⚠️.",
	},
	nodes: []*node{
		{id: "route", name: "Route", kind: "router", inputs: questionIn, outputs: intentOut},
		{id: "retrieve", name: "Retrieve", kind: "retrieval", inputs: queryIn, outputs: foundOut},
		{id: "rerank", name: "Rerank", kind: "code", from: 1, inputs: contextIn,
			outputs: func(d *doc, r *run, _ *nodeRun) {
				d.arr("order")
				for k := range r.chunks {
					d.sep()
					d.b = append(d.b, byte('1'+k))
				}
				d.endArr()
				d.int("kept", min(3, len(r.chunks)))
			}},
		{id: "generate", name: "Generate", kind: "llm", inputs: contextIn, outputs: answerOut, templates: []string{
			"{{context}}\n\nQ: {{question}}\nA:",
			"Context:\n{{context}}\nAnswer in \"{{language}}\" for a {{audience}}, in at most {{max_words}} words.\nQuestion: " +
				"{{question}}",
			"<context>\n{{context}}</context>\n<question audience=\"{{audience}}\" " +
				"lang=\"{{language}}\">{{question}}</question>\nThink about which passages answer the question; then answer and " +
				"cite them.",
		}},
		{id: "check", name: "Check the answer", kind: "llm", from: 2,
			inputs: func(d *doc, r *run, _ *nodeRun) {
				d.text("question", r.question)
				d.text("draft_answer", r.answerOrTruth())
			},
			outputs: func(d *doc, r *run, _ *nodeRun) {
				d.bool("grounded", r.level > wrong)
				d.dec("score", r.quality, 3)
			},
			modelOutput: func(d *doc, r *run, _ *nodeRun) {
				d.bool("grounded", r.level > wrong)
				if r.level == wrong {
					d.str("why", "the passages say something else")
				}
			},
			// One template for each prompt. The first is never used, since the first version has no
			// such node.
			templates: []string{
				"",
				"Passages:\n{{context}}\nDraft: {{draft_answer}}\nIs every claim of the draft in the passages? Answer with JSON.",
				"Check the draft claim by claim. strict={{strict}}\n\nQuestion: " +
					"{{question}}\nPassages:\n{{context}}\nDraft:\n{{draft_answer}}\n\nAnswer with {\"grounded\": true|false, " +
					"\"why\": …}.",
			}},
	},
	inputs: func(d *doc, r *run, swapped bool) {
		if swapped {
			d.int("top_k", 5)
			d.str("product", r.in.product)
			d.text("question", r.question)
		} else {
			d.text("question", r.question)
			d.str("product", r.in.product)
			d.int("top_k", 5)
		}
		if r.in.attachment {
			d.obj("filters")
			d.str("lang", r.in.topic.lang)
			d.arr("years")
			d.endArr()
			d.endObj()
		}
	},
	systemInputs: func(d *doc, r *run) {
		d.str("system", r.app.system[r.version().prompt])
		d.str("index", "manuals-2026-01")
		d.bool("rerank", r.ver > 0)
		d.dec("min_score", 350, 3)
	},
	outputs: func(d *doc, r *run) {
		d.text("answer", r.answer)
		r.writeCitations(d)
		if r.ver >= 2 {
			d.bool("grounded", r.level > wrong)
		}
	},
	topics: knowledgeTopics,
}

var knowledgeTopics = []topic{
	{
		lang: "en", intent: "fault",
		q:    "My {product} shows {code} and stops after {n} minutes. What does it mean?",
		core: "{code} means that too little water flows through the heat exchanger.",
		detail: "Clean the strainer, open the valves fully and bleed the circuit; if {code} comes back within {hours} " +
			"hours, the pump must be checked.",
		wrong: "{code} is only a reminder that the clock is not set; ignore it.",
		title: "Fault codes: water circuit",
		passage: "{code}: flow below minimum for more than 60 s. Causes: dirty strainer, closed valve, air in the circuit, " +
			"defective pump. Reset: hold OK for five seconds.",
	},
	{
		lang: "en", intent: "maintenance",
		q:    "How often must the filter of the {product} be cleaned, and how?",
		core: "Clean the filter every {n} weeks.",
		detail: "Switch the unit off, pull the filter out at the bottom, rinse it with lukewarm water and let it dry for " +
			"{hours} hours. Never use the dishwasher.",
		wrong: "The filter is never cleaned; buy a new unit when it is dirty.",
		title: "Filter",
		passage: "The filter is to be cleaned every {n} weeks, with lukewarm water and without detergents, and put back " +
			"dry. A worn filter (order no. {po}) is replaced.",
	},
	{
		lang: "en", intent: "warranty",
		q:      "I bought the {product} on {date} (invoice {invoice}). Is the compressor still under warranty?",
		core:   "Yes: the compressor has a warranty of five years from the date of the invoice.",
		detail: "For {invoice} it ends five years after {date}, provided that the yearly service was done.",
		wrong:  "No, the warranty always ends after six months.",
		title:  "Warranty",
		passage: "Two years on the unit, five on the compressor, from the date of the invoice. The yearly service must be " +
			"shown. Wearing parts are excluded.",
	},
	{
		lang: "en", intent: "installation",
		q:    "Which distance to the wall and which fuse does the {product} need?",
		core: "Keep 30 cm to the wall behind it and 100 cm free in front.",
		detail: "It needs a circuit of its own with a 16 A fuse of type C and a residual-current device of type F. ⚠️ " +
			"Only an electrician may connect it.",
		wrong: "Put it right against the wall and plug it into any extension lead.",
		title: "Place and connection",
		passage: "Clearances: rear 30 cm, front 100 cm, sides 50 cm. Supply: separate circuit 230 V, C16, RCD type F. To " +
			"be connected by a qualified electrician.",
	},
	{
		lang: "en", intent: "settings",
		q:    "How do I set a holiday mode for {n} days on the {product}, so that the house does not freeze?",
		core: "Choose Menu > Holiday and enter {n} days; frost protection stays on.",
		detail: "The water is kept at 12 °C and heated up {hours} hours before you return. On the day of return the " +
			"legionella programme runs.",
		wrong: "Just switch the main fuse off; water cannot freeze inside.",
		title: "Holiday mode",
		passage: "Menu > Holiday: 1–99 days. Room 12 °C, hot water off, frost protection on. Preheating begins at the hour " +
			"set under Menu > Return.",
	},
	{
		lang: "ja", intent: "fault",
		q:      "{product}に「{code}」と表示され、{n}分で止まります。どうすればよいですか？",
		core:   "{code}は水の流量不足を示します。",
		detail: "ストレーナーを清掃し、バルブを全開にしてエア抜きをしてください。{hours}時間以内に再発したら点検が必要です。",
		wrong:  "時計の設定が必要なだけです。",
		title:  "エラーコード：水回路", passage: "{code}：流量が60秒以上最小値を下回りました。原因：ストレーナーの汚れ、バルブの閉止、空気の混入、ポンプの故障。",
	},
	{
		lang: "ar", intent: "maintenance",
		q:      "كم مرة يجب تنظيف مرشح {product}؟ وهل يجوز غسله في غسالة الصحون؟",
		core:   "يُنظَّف المرشح كل {n} أسابيع، ولا يجوز غسله في غسالة الصحون.",
		detail: "أطفئ الجهاز، واشطف المرشح بماء فاتر، واتركه يجف {hours} ساعة.",
		wrong:  "لا حاجة إلى تنظيفه.",
		title:  "المرشح", passage: "يُنظَّف المرشح كل {n} أسابيع بماء فاتر ومن دون منظفات، ويُعاد جافًا.",
	},
	{
		lang: "es", intent: "settings",
		q:    "¿Cómo bajo el ruido de la {product} por la noche? Hace más de {n} dB…",
		core: "Active el modo silencioso en Menú > Noche.",
		detail: "Entre las 22:00 y las 6:00 el compresor trabaja como máximo al {pct} %; " +
			"la potencia baja en la misma medida.",
		wrong: "No se puede: ¡tape el ventilador con una manta!",
		title: "Modo silencioso", passage: "Menú > Noche: horario y límite del compresor (30–100 %). De fábrica: " +
			"22:00–6:00, {pct} %.",
	},
	{
		lang: "vi", intent: "warranty",
		q:      "Tôi mua máy {product} ngày {date}, hoá đơn {invoice}. Máy nén còn bảo hành không?",
		core:   "Còn, máy nén được bảo hành năm năm kể từ ngày trên hoá đơn.",
		detail: "Cần có giấy xác nhận bảo dưỡng hằng năm; hoá đơn {invoice} là đủ để yêu cầu.",
		wrong:  "Không, máy nén không được bảo hành.",
		title:  "Bảo hành", passage: "Máy: hai năm; máy nén: năm năm kể từ ngày hoá đơn. Phải bảo dưỡng hằng năm.",
	},
	{
		lang: "ru", intent: "installation",
		q:      "Можно ли поставить {product} на балкон в {to}? Зимой там до −{n} °C.",
		core:   "Да, наружный блок работает при температуре до −25 °C.",
		detail: "Нужны отвод конденсата с обогревом и 100 см свободного места спереди.",
		wrong:  "Нет, он работает только в помещении.",
		title:  "Место установки", passage: "Наружный блок: от −25 °C до +43 °C. Отвод конденсата должен обогреваться. " +
			"Свободное место: спереди 100 см, сзади 30 см.",
	},
}
