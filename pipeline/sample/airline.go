package sample

// airline is a copilot that helps the passengers of an airline. It classifies the intent, searches
// the rules, lets an agent call tools, and writes an answer from the results.
var airline = app{
	source: "copilot", id: "airline-helpdesk", name: "Airline help desk", uri: "/copilots/airline-helpdesk",
	triggers: []string{"chat", "chat", "chat", "api"},
	sessions: 3, chats: true, hard: oddTopics[0:4], long: longLookup,
	versions: []version{
		{name: "1.4.0", model: "sluice-mini-1", prompt: 0, skill: 400, since: 0, inputPrice: 150, outputPrice: 600},
		{name: "1.5.0", model: "sluice-mini-2", prompt: 1, skill: 540, since: 12, inputPrice: 150, outputPrice: 600},
		{name: "2.0.0", model: "weir-large-1", prompt: 2, skill: 680, since: 30, inputPrice: 2500, outputPrice: 10_000},
		{name: "2.1.0", model: "weir-large-1", prompt: 2, skill: 820, since: 60, inputPrice: 2500, outputPrice: 10_000},
	},
	system: []string{
		"You are the help desk of Skerry Air. Answer the passenger.",
		"You are the help desk of Skerry Air. Answer in the passenger's language. If you do not know, say so.",
		"You are the help desk of Skerry Air.\n\n- Answer in the passenger's language, in at most three sentences.\n- Look " +
			"bookings up before you speak about them.\n- Never promise a refund that the rules do not grant; quote the rule " +
			"(\"fare rules §…\").",
	},
	tools: `[{"type":"function","function":{"name":"lookup_booking","description":"Find a booking by its reference.","parameters":{"type":"object","properties":{"reference":{"type":"string","description":"six characters"}},"required":["reference"]}}},` +
		`{"type":"function","function":{"name":"flight_status","description":"Status of a flight on a day.","parameters":{"type":"object","properties":{"flight":{"type":"string"},"date":{"type":"string","format":"date"}},"required":["flight"]}}}]`,
	inputFiles: []fileType{
		{"boarding pass {ref}.png", ".png", "image/png"},
		{"搭乗券 {ref}.jpg", ".jpg", "image/jpeg"},
		{"receipt \"taxi\" (2).pdf", ".pdf", "application/pdf"},
	},
	outputFile: fileType{"itinerary-{ref}.ics", ".ics", "text/calendar"},
	earlier: [][2]string{
		{"Hi! I have a question about booking {ref}.", "Hello! I have booking {ref} here. What would you like to know?"},
		{"Which terminal do I need for {flight}?", "{flight} leaves from terminal 2."},
		{"Is there Wi-Fi on board?", "Yes, on every flight longer than two hours. Messages are free; a full pass costs " +
			"9.00 EUR."},
		{"你好", "您好！请问有什么可以帮您？"},
	},
	nodes: []*node{
		{id: "classify_intent", name: "Classify intent", kind: "router", inputs: questionIn, outputs: intentOut},
		{id: "search_policy", name: "Search the rules", kind: "retrieval", inputs: queryIn, outputs: foundOut},
		{id: "assistant", name: "Assistant", kind: "agent", inputs: questionIn, outputs: answerOut, templates: []string{
			"{{question}}",
			"Today is {{today}}. The passenger writes in \"{{language}}\":\n{{question}}",
			"Today is {{today}}.\n<passenger language=\"{{language}}\">\n{{question}}\n</passenger>\nUse the tools where they " +
				"help, then report what you found.",
		}},
		&lookupBooking, &flightStatus,
		{id: "compose_answer", name: "Compose the answer", kind: "llm", inputs: contextIn, outputs: answerOut,
			templates: []string{
				"Rules:\n{{context}}\nQuestion: {{question}}\nAnswer:",
				"Answer only from these rules.\n\n{{context}}\nFrom our systems: {{tool_results}}\n\nQuestion: {{question}}",
				"Answer in {{language}}, in at most {{max_words}} words, only from what follows.\n\n# Rules\n{{context}}\n# " +
					"Systems\n{{tool_results}}\n\n# Question\n{{question}}",
			}},
	},
	inputs: func(d *doc, r *run, swapped bool) {
		if swapped {
			d.str("locale", r.in.topic.lang)
			d.text("question", r.question)
			d.text("booking_reference", r.in.ref[:])
			return
		}
		d.text("question", r.question)
		d.text("booking_reference", r.in.ref[:])
		d.str("locale", r.in.topic.lang)
	},
	systemInputs: func(d *doc, r *run) {
		d.str("system", r.app.system[r.version().prompt])
		d.begin("today")
		d.b = appendDay(d.b, r.start)
		d.end()
		d.str("loyalty_tier", []string{"none", "silver", "gold"}[r.user%3])
	},
	outputs: func(d *doc, r *run) {
		d.text("answer", r.answer)
		d.str("intent", r.in.topic.intent)
		d.bool("handover", r.level == wrong)
		r.writeCitations(d)
	},
	topics: airlineTopics,
}

var lookupBooking = node{id: "lookup_booking", name: "Look up a booking", kind: "tool", tool: true, inputs: callIn,
	outputs: callOut}
var flightStatus = node{id: "flight_status", name: "Flight status", kind: "tool", tool: true, inputs: callIn,
	outputs: callOut}

var airlineTopics = []topic{
	{
		lang: "en", intent: "baggage",
		q:    "What is the checked baggage allowance on {flight} from {from} to {to}? My booking is {ref}.",
		core: "Booking {ref} includes one checked bag of up to 23 kg and one cabin bag of up to 8 kg.",
		detail: "An extra bag costs {fee} if you add it online at least {hours} hours before departure, and twice that at " +
			"the airport.",
		wrong: "You may check in as many bags as you like, as long as none is heavier than 40 kg.",
		title: "Baggage allowance",
		passage: "Economy Classic includes one checked bag (23 kg) and one cabin bag (8 kg, 55×40×20 cm). Extra bags: " +
			"{fee} online until {hours} h before departure, double at the counter. Bags over 32 kg travel as cargo.",
		calls: []call{{&lookupBooking, `{"reference":"{ref}"}`,
			`{"reference":"{ref}","fare":"economy_classic","checked_bags":1,"flight":"{flight}","date":"{date}"}`}},
	},
	{
		lang: "en", intent: "rebooking",
		q:    "{flight} to {to} on {date} was cancelled. Can I get on a later flight without paying, booking {ref}?",
		core: "Yes: since we cancelled {flight}, you may take any later Skerry Air flight to {to} free of charge.",
		detail: "The next one with free seats leaves {hours} hours later; choose it under \"Manage booking\" or tell me, " +
			"and I will hold a seat for {n} minutes.",
		wrong: "Rebooking is possible against a fee of {fee}, since cancellations by weather are not covered.",
		title: "Cancelled flights: rebooking and care",
		passage: "When Skerry Air cancels a flight, passengers choose between a free rebooking within 14 days and a full " +
			"refund. Fare differences are waived. From two hours of waiting on, meals and two calls are provided.",
		calls: []call{
			{&flightStatus, `{"flight":"{flight}","date":"{date}"}`,
				`{"flight":"{flight}","date":"{date}","status":"cancelled","reason":"technical","next":{"in_hours":{hours},"seats":{n}}}`},
			{&lookupBooking, `{"reference":"{ref}"}`,
				`{"reference":"{ref}","flight":"{flight}","passengers":2,"fare":"economy_light"}`},
		},
	},
	{
		lang: "en", intent: "refund",
		q:    "I paid {money} for {ref} and cannot fly because I am ill. How do I get my money back?",
		core: "With a doctor's note we refund the taxes and give a voucher for the fare of {ref}.",
		detail: "Send the note within {n} days of the flight; the refund then arrives within 7 working days on the card " +
			"you paid with.",
		wrong: "Your whole fare of {money} is refunded in cash at once; you need to do nothing.",
		title: "Refunds for illness",
		passage: "Light fares are not refundable. In case of illness, certified by a doctor within {n} days, taxes are " +
			"refunded and the fare is turned into a voucher valid for 12 months.",
		calls: []call{{&lookupBooking, `{"reference":"{ref}"}`,
			`{"reference":"{ref}","paid":"{amount}","currency":"EUR","fare":"economy_light","refundable":false}`}},
	},
	{
		lang: "en", intent: "special_assistance",
		q:    "My mother needs a wheelchair in {from} and again in {to}. She is on {flight}.",
		core: "I have noted wheelchair assistance for {flight}, in {from} and in {to}; it is free.",
		detail: "Please be at the assistance desk 90 minutes before departure. Requests need 48 hours' notice, later ones " +
			"are met where possible.",
		wrong: "Wheelchairs cost {fee} a way and must be brought along.",
		title: "Assistance for passengers with reduced mobility",
		passage: "Assistance is free of charge and should be requested 48 hours ahead. Codes: WCHR (ramp), WCHS (steps), " +
			"WCHC (cabin seat). Meeting point: the assistance desk, 90 minutes before departure.",
	},
	{
		lang: "en", intent: "delay",
		q:      "Is {flight} on {date} on time? My connection in {to} is only {n} minutes after it lands.",
		core:   "{flight} is expected {n} minutes late, so the connection in {to} will not be reached.",
		detail: "You are already rebooked to the next flight, {hours} hours later; the new boarding pass is in the app.",
		wrong:  "{flight} is on time; you will easily reach your connection.",
		title:  "Connections",
		passage: "The minimum connecting time is 45 minutes. Passengers who miss a connection on one booking because of a " +
			"delay are rebooked automatically to the next flight with free seats.",
		calls: []call{{&flightStatus, `{"flight":"{flight}","date":"{date}"}`,
			`{"flight":"{flight}","status":"delayed","minutes":{n},"gate":"B{hours}","rebooked":true}`}},
	},
	{
		lang: "en", intent: "pets",
		q:    "Can my cat (5 kg with its bag) come into the cabin from {from} to {to}?",
		core: "Yes, a cat of up to 8 kg, its bag included, may travel in the cabin.",
		detail: "It costs {fee} a way, only {n} animals are allowed on a flight, and {country} asks for a vaccination " +
			"certificate.",
		wrong: "Animals are never allowed on board, but we can send your cat as post.",
		title: "Animals in the cabin",
		passage: "Cats and dogs up to 8 kg (with carrier 55×40×23 cm) travel in the cabin for {fee} a way; up to {n} a " +
			"flight. Entry rules of the country of destination apply.",
	},
	{
		lang: "zh", intent: "baggage",
		q:      "我的订单号是 {ref}，从{from}飞{to}可以托运几件行李？超重怎么收费？",
		core:   "订单 {ref} 包含一件 23 公斤的托运行李和一件 8 公斤的手提行李。",
		detail: "每增加一件收费 {fee}，须在起飞前 {hours} 小时在线办理；机场办理加倍。",
		wrong:  "行李件数不限，全部免费。",
		title:  "行李规定", passage: "经济舱：托运行李一件（23 公斤），手提行李一件（8 公斤）。额外行李在线购买 {fee}，机场柜台加倍收费。",
		calls: []call{{&lookupBooking, `{"reference":"{ref}"}`, `{"reference":"{ref}","fare":"经济舱","checked_bags":1}`}},
	},
	{
		lang: "ja", intent: "rebooking",
		q:      "{date}の{flight}便が欠航になりました。予約番号{ref}です。次の便に無料で変更できますか？",
		core:   "はい、{flight}便は当社都合の欠航ですので、後続便へ無料で変更できます。",
		detail: "「予約の管理」から14日以内の便をお選びください。次の空席は{hours}時間後です。",
		wrong:  "変更には{fee}の手数料がかかります。",
		title:  "欠航時の変更", passage: "当社都合の欠航の場合、14日以内の便への変更または全額払い戻しを選べます。運賃差額はかかりません。",
	},
	{
		lang: "ar", intent: "refund",
		q:      "ألغيتُ رحلتي {flight} (رقم الحجز {ref}). هل يمكنني استرداد مبلغ {money}؟",
		core:   "نعم، تُعاد الضرائب إلى بطاقتك، ويُحوَّل ثمن التذكرة إلى قسيمة.",
		detail: "أرسل الطلب خلال {n} يومًا من تاريخ الرحلة؛ القسيمة صالحة لمدة 12 شهرًا.",
		wrong:  "لا، لا يُعاد أي شيء أبدًا.",
		title:  "استرداد ثمن التذاكر", passage: "التذاكر المخفّضة لا تُسترد. تُعاد الضرائب، ويُحوَّل الباقي إلى قسيمة " +
			"صالحة لمدة 12 شهرًا بطلب خلال {n} يومًا.",
	},
	{
		lang: "de", intent: "delay",
		q: "Mein Flug {flight} nach {to} hat über {hours} Stunden Verspätung. Steht mir eine Entschädigung zu? " +
			"Buchung {ref}",
		core:   "Ja, ab drei Stunden Verspätung am Zielort steht Ihnen eine Ausgleichszahlung zu.",
		detail: "Bei dieser Strecke sind es {money}; der Antrag läuft über »Meine Reise« und dauert höchstens {n} Tage.",
		wrong:  "Nein, Verspätungen werden grundsätzlich nicht entschädigt.",
		title:  "Fluggastrechte", passage: "Ab drei Stunden Verspätung besteht Anspruch auf Ausgleich, außer bei " +
			"außergewöhnlichen Umständen. Größe der Zahlung je nach Strecke: {money}.",
	},
	{
		lang: "hi", intent: "check_in",
		q:      "{from} से {to} की उड़ान {flight} के लिए ऑनलाइन चेक-इन कब खुलता है? बुकिंग {ref}",
		core:   "ऑनलाइन चेक-इन प्रस्थान से 30 घंटे पहले खुलता है।",
		detail: "यह प्रस्थान से 60 मिनट पहले बंद हो जाता है; बोर्डिंग पास ऐप में मिलेगा।",
		wrong:  "ऑनलाइन चेक-इन उपलब्ध नहीं है।",
		title:  "चेक-इन", passage: "ऑनलाइन चेक-इन: प्रस्थान से 30 घंटे पहले से 60 मिनट पहले तक। हवाई अड्डे पर काउंटर 3 " +
			"घंटे पहले खुलते हैं।",
	},
}
