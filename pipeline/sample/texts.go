package sample

// oddTopics are questions whose texts break careless programs: spreadsheets, HTML pages, terminals,
// editors, sorting. Any app that answers questions may get them. No document contains them, so
// retrieval finds unrelated passages.
var oddTopics = []topic{
	{
		lang: "en", intent: "other", q: "=1+1 is what my spreadsheet shows for {ref}; what is it?",
		core: "=1+1 is a formula; for {ref} the result is 2.", detail: "Put an apostrophe before it to see the text itself.",
		wrong: "-3",
	},
	{
		lang: "en", intent: "other", q: "@SUM(A1:A9)*cmd|' /C calc'!A0 came in by mail about {invoice}. Is it safe?",
		core:   "No. Do not open it: the cell would start a program.",
		detail: "Forward the mail to the security desk and delete it.", wrong: "+1, just open it.",
	},
	{
		lang: "en", intent: "other", q: "<script>alert(\"{ref}\")</script> <b>Why</b> is this in my e‑mail &amp; what does " +
			"it do?",
		core:   "It is harmless here: <code>alert</code> only shows a message.",
		detail: "Do not paste it into a browser's console, though.", wrong: "<img src=x onerror=alert(1)>",
	},
	{
		lang: "en", intent: "other", q: "My family 👩‍👩‍👧‍👦 (4) and my team 🧑🏽‍🚀👨🏿‍🍳 need {n} places 🏳️‍🌈🇯🇵 — ok? 🙏🏼",
		core: "Yes 👍🏽, {n} places are free.", detail: "I have written the request down for all of you 👩‍👩‍👧‍👦.",
		wrong: "👎 Nope.",
	},
	{
		lang: "en", intent: "other", q: "Line one for {ref}\nline two\r\n\tindented line\n\n\"quoted\", 'single', `code`; " +
			"C:\\temp\\new\\{ref}.txt, 100 % \\n",
		core:   "Your text has six lines, one of them empty.",
		detail: "The path C:\\temp\\new\\{ref}.txt is not mentioned in any document;\nplease send the file itself.",
		wrong:  "\\",
	},
	{
		lang: "en", intent: "other", q: "Z\u0301a\u0310\u0327l\u0334g\u0321o\u0336 te\u0301xt, cafe\u0301 vs. café, " +
			"A\u030Angstro\u0308m {n}: same or not?",
		core:   "They look the same and mean the same: cafe\u0301 and café differ only in their code points.",
		detail: "Normalise to NFC before comparing.", wrong: "They are different words.",
	},
	{
		lang: "he", intent: "other", q: "האם ההזמנה {ref} (מ־{from} ל־{to}) כבר אושרה? ‏תודה!",
		core: "כן, ההזמנה {ref} אושרה.", detail: "האישור נשלח בדוא״ל בתאריך {date}.", wrong: "אין הזמנה כזאת.",
	},
	{
		lang: "en", intent: "other", q: "I copied this from a terminal: \u001b[31mERROR\u001b[0m {ref}\u2028 next\u2029 " +
			"\ufeffand a BOM, a zero\u200bwidth space, a NBSP\u00a0and a bell\u0007.",
		core:   "The red word is ERROR, for {ref}.",
		detail: "The other characters are invisible: separators, a byte order mark and a bell.", wrong: "\u001b[2J",
	},
	{
		lang: "zh", intent: "other", q: "𠮷野家的发票 {invoice} 上写的是“㐂”和“﨑”，系统显示成方框□，怎么办？",
		core: "这些是罕用汉字（𠮷、㐂、﨑），字体里没有。", detail: "请安装完整的字体；{invoice} 的数据本身没有问题。", wrong: "请删除这些字。",
	},
	{
		lang: "en", intent: "other", q: "   ",
		core: "I did not get a question.", detail: "What would you like to know?", wrong: "   ",
	},
	{
		lang: "en", intent: "other", q: "'; DROP TABLE runs; -- is my user name, {{name}} and ${HOME} too. {ref}?",
		core: "It is a strange name, but a valid one.", detail: "{{name}} and ${HOME} are not replaced by us.", wrong: "NULL",
	},
	{
		lang: "en", intent: "other", q: "{\"json\": [1, 2.50, 1e400, null, \"{ref}\"], \"nested\": {\"a\": {}}} – which " +
			"value is last?",
		core: "The last element of the list is \"{ref}\".", detail: "1e400 is more than a double can hold.", wrong: "{}",
	},
}

// vendors are invented suppliers of invoices.
var vendors = []string{
	"Millbrook Paper Ltd", "Gebrüder Überschär KG", "株式会社水車堂", "شركة النهر للتوريدات", "\"Best\" Parts, Inc.",
	"=Equals Trading SA",
	"Łódzkie Młyny Sp. z o.o.", "Café Noisette & Fils", "+Plus Logistics", "O'Weir <Freight> GmbH", "水轮机械（苏州）有限公司",
	"Søndre Kværn AS",
}
