package sample

// hr is a copilot that answers employees' questions about policies.
var hr = app{
	source: "copilot", id: "hr-assistant", name: "HR policy assistant", uri: "/copilots/hr-assistant",
	triggers: []string{"chat", "chat", "api"},
	sessions: 2, chats: true, hard: oddTopics[4:8], long: longQuestion,
	versions: []version{
		{name: "2025-10", model: "sluice-mini-1", prompt: 0, skill: 430, since: 0, inputPrice: 150, outputPrice: 600},
		{name: "2025-12", model: "sluice-mini-2", prompt: 1, skill: 600, since: 15, inputPrice: 150, outputPrice: 600},
		{name: "2026-01", model: "weir-medium-1", prompt: 1, skill: 780, since: 45, inputPrice: 800, outputPrice: 3200},
	},
	system: []string{
		"You answer questions about the company's policies.",
		"You answer employees' questions about the company's policies. Quote the policy you rely on. You give no legal " +
			"advice; refer to the HR team where the policy is silent.",
	},
	tools:     `[{"type":"function","function":{"name":"get_leave_balance","description":"Days of leave an employee has left.","parameters":{"type":"object","properties":{"year":{"type":"integer"},"kind":{"type":"string","enum":["annual","sick","parental"]}},"required":["year"]}}}]`,
	toolsFrom: 1,
	inputFiles: []fileType{
		{"请假条 {n}.pdf", ".pdf", "application/pdf"},
		{"payslip-{date}.pdf", ".pdf", "application/pdf"},
	},
	outputFile: fileType{"certificate-{date}.docx", ".docx",
		"application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
	earlier: [][2]string{
		{"Hello, am I talking to a person?", "No, I am an assistant. I know the company's policies; the HR team sees what " +
			"you mark for them."},
		{"Where do I find the policies?", "In the intranet under \"People > Policies\"; every answer of mine names the one " +
			"it uses."},
		{"ok 👍", "What would you like to know?"},
	},
	nodes: []*node{
		{id: "retrieve", name: "Find policies", kind: "retrieval", inputs: queryIn, outputs: foundOut},
		&leaveBalance,
		{id: "answer", name: "Answer", kind: "llm", inputs: contextIn, outputs: answerOut, templates: []string{
			"Policies:\n{{context}}\n\nEmployee: {{question}}",
			"An employee in {{country}} asks, in \"{{language}}\":\n\"\"\"\n{{question}}\n\"\"\"\n\nAnswer from these " +
				"policies and name the one you use.\n\n{{context}}",
		}},
		{id: "guardrail", name: "No advice check", kind: "code", from: 1,
			inputs: func(d *doc, r *run, _ *nodeRun) { d.text("answer", r.answerOrTruth()) },
			outputs: func(d *doc, r *run, _ *nodeRun) {
				d.bool("passed", r.level > wrong)
				d.arr("flags")
				if r.level == wrong {
					d.elem("unsupported_claim")
				}
				d.endArr()
			}},
	},
	inputs: func(d *doc, r *run, swapped bool) {
		if swapped {
			d.int("tenure_months", r.in.n)
			d.text("question", r.question)
			d.str("country", r.in.country)
			return
		}
		d.text("question", r.question)
		d.str("country", r.in.country)
		d.int("tenure_months", r.in.n)
	},
	systemInputs: func(d *doc, r *run) {
		d.str("system", r.app.system[r.version().prompt])
		d.obj("policies")
		d.str("edition", "2026")
		d.bool("drafts", false)
		d.endObj()
		d.null("manager")
	},
	outputs: func(d *doc, r *run) {
		d.text("answer", r.answer)
		r.writeCitations(d)
		d.dec("confidence", r.quality, 3)
	},
	topics: hrTopics,
}

var leaveBalance = node{id: "get_leave_balance", name: "Leave balance", kind: "tool", tool: true, inputs: callIn,
	outputs: callOut}

var hrTopics = []topic{
	{
		lang: "en", intent: "annual_leave",
		q:    "How many days of annual leave can I carry over into next year?",
		core: "You may carry over up to five days of annual leave.",
		detail: "They lapse on 31 March unless your manager agrees in writing to a later date. You currently have {n} days " +
			"left.",
		wrong: "All of your leave is carried over without limit.",
		title: "Annual leave", passage: "Unused annual leave of up to five days is carried over and lapses on 31 March. " +
			"Exceptions need the manager's written consent before 15 December.",
		calls: []call{{&leaveBalance, `{"year":2026,"kind":"annual"}`,
			`{"kind":"annual","days_left":{n},"carried_over":3.5}`}},
	},
	{
		lang: "en", intent: "expenses",
		q:      "I spent {money} on a train to {to} for a customer visit, but I lost the receipt. Can I still claim it?",
		core:   "Yes, up to 150 EUR a trip with a signed statement in place of the receipt.",
		detail: "Anything above needs the booking confirmation. File it within {hours} days, category \"Travel > Rail\".",
		wrong:  "No: without a receipt nothing is ever paid, whatever the amount.",
		title:  "Travel expenses", passage: "Receipts are required. A lost receipt may be replaced by a signed statement " +
			"up to 150 EUR a trip, once a quarter; rail and air tickets by the booking confirmation.",
	},
	{
		lang: "en", intent: "remote_work",
		q:      "May I work from {country} for {n} days this summer?",
		core:   "Yes, working abroad is allowed for up to 20 days a year, in countries on the list.",
		detail: "{country} is on it; ask {hours} days ahead, because payroll has to register the stay.",
		wrong:  "You may work from anywhere for as long as you want; just tell nobody.",
		title:  "Working from abroad", passage: "Up to 20 working days a calendar year may be worked from a country on the " +
			"list in annex B. Requests go to the manager, then to payroll, at least {hours} days ahead.",
	},
	{
		lang: "en", intent: "parental_leave",
		q: "Our second child is due on {date}. When do I have to announce parental leave, and can I take it in two " +
			"parts?",
		core: "Announce it seven weeks before it begins; it may be taken in up to three parts.",
		detail: "For a birth on {date}, the first part may begin on that very day. The form is \"PL-2\", signed by both " +
			"parents.",
		wrong: "Parental leave is only for the first child.",
		title: "Parental leave", passage: "Parental leave is announced seven weeks before its beginning, in writing, and " +
			"may be split into up to three parts until the child's eighth birthday.",
		calls: []call{{&leaveBalance, `{"year":2026,"kind":"parental"}`, `{"kind":"parental","days_left":{n}}`}},
	},
	{
		lang: "en", intent: "sick_leave",
		q:    "I'm ill since yesterday. From which day on do you need a doctor's certificate?",
		core: "From the fourth day of illness on.",
		detail: "Tell your manager before 10:00 on the first day; the certificate reaches us electronically. You have been " +
			"ill {n} days this year.",
		wrong: "A certificate is needed after {hours} weeks.",
		title: "Illness", passage: "Illness is reported before 10:00 on the first day. A certificate is required from the " +
			"fourth calendar day on; managers may not ask for it earlier.",
		calls: []call{{&leaveBalance, `{"year":2026,"kind":"sick"}`, `{"kind":"sick","days_taken":{n}}`}},
	},
	{
		lang: "zh", intent: "overtime",
		q:      "上个月我加班了 {hours} 小时，可以换成调休吗？还是只能领加班费？",
		core:   "可以，加班可在三个月内换成同等时长的调休。",
		detail: "超过 {n} 小时的部分按 1.5 倍支付加班费，需要主管在系统中确认。",
		wrong:  "加班没有任何补偿。",
		title:  "加班与调休", passage: "加班须事先批准。三个月内可换调休；未换的部分按工资的 1.5 倍支付。",
	},
	{
		lang: "ko", intent: "annual_leave",
		q:      "입사한 지 {n}개월 되었는데 연차를 며칠 쓸 수 있나요?",
		core:   "입사 첫해에는 한 달에 하루씩 연차가 생깁니다.",
		detail: "1년이 지나면 15일이 되고, 반차는 시스템에서 전날까지 신청하시면 됩니다.",
		wrong:  "첫해에는 연차가 없습니다.",
		title:  "연차 휴가", passage: "입사 첫해에는 만근 1개월마다 1일, 1년 후에는 15일의 연차가 부여됩니다. 반차는 전날까지 신청합니다.",
	},
	{
		lang: "ar", intent: "remote_work",
		q:       "هل يحق لي العمل من المنزل {n} أيام في الشهر؟ وهل أحتاج إلى موافقة المدير؟",
		core:    "نعم، يُسمح بالعمل من المنزل حتى يومين في الأسبوع بموافقة المدير.",
		detail:  "تُسجَّل الأيام مسبقًا في النظام (People > Remote)، ولا تُنقل إلى الشهر التالي.",
		wrong:   "العمل من المنزل ممنوع تمامًا.",
		title:   "العمل من المنزل",
		passage: "العمل من المنزل: حتى يومين في الأسبوع بموافقة المدير، ويُسجَّل مسبقًا في النظام.",
	},
	{
		lang: "fr", intent: "training",
		q:      "J’aimerais suivre une formation à {to} qui coûte {money}. L’entreprise la prend‑elle en charge ?",
		core:   "Oui, jusqu’à 1 500 € par an, si la formation est liée à votre poste.",
		detail: "Déposez la demande {hours} jours avant ; au‑delà, un engagement de douze mois est demandé.",
		wrong:  "Non, aucune formation n’est jamais remboursée.",
		title:  "Formation continue", passage: "Les formations liées au poste sont prises en charge jusqu’à 1 500 € par " +
			"an. Au‑delà : accord de la direction et engagement de douze mois.",
	},
	{
		lang: "th", intent: "sick_leave",
		q:      "ลาป่วย {n} วัน ต้องใช้ใบรับรองแพทย์หรือไม่",
		core:   "ต้องใช้ใบรับรองแพทย์ตั้งแต่วันที่สี่ของการลาป่วย",
		detail: "โปรดแจ้งหัวหน้าก่อน 10:00 น. ในวันแรก",
		wrong:  "ไม่ต้องใช้เอกสารใด ๆ",
		title:  "การลาป่วย", passage: "แจ้งลาป่วยก่อน 10:00 น. ของวันแรก ใบรับรองแพทย์จำเป็นตั้งแต่วันที่สี่เป็นต้นไป",
	},
}
