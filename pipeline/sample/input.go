package sample

// blockRuns is the number of successive runs of a workspace that draw their inputs from the same
// pools. It is large enough for comparisons. It is small enough that groups of equal inputs do not
// grow with the data set.
const (
	blockRuns     = 250
	poolSize      = 14 // higher slots belong to the regression set
	regressionSet = 8
	// A regression set is replayed for this many runs of a workspace, then replaced.
	regressionRuns = 20_000
)

// input is the input of a run. Every run that replays it has the same.
type input struct {
	key        uint64
	topic      *topic
	ref        [6]byte // booking reference
	number     int     // five digits: invoices, orders
	flight     int
	from, to   string
	vendor     int
	product    string
	country    string
	day        int64 // ms
	cents      int
	n, hours   int
	percent    int
	turns      int  // earlier turns of the conversation
	style      int  // 0 to 7: decides how the messages are written
	attachment bool // an input file
	second     bool // the topic's second call is made too, in parallel
}

var (
	cities = []string{"Lisbon", "Osaka", "Zürich", "São Paulo", "Kraków", "Nairobi", "Montréal", "Hà Nội", "Reykjavík",
		"İstanbul", "Cairo", "Auckland"}
	products  = []string{"Aero 7", "Aero 9 Plus", "TerraLoop 12", "Nimbus Mini", "Nimbus Duo"}
	countries = []string{"Germany", "Japan", "Brazil", "Kenya", "Canada", "Egypt", "France", "India"}
)

// draw draws the input. It seeds the dice for this input, which depends only on the seed, the
// number of the workspace, the app and the slot.
func (in *input) draw(d *dice, a *app, key, slot uint64) {
	d.seed(key, 1, 0)
	*in = input{key: key}
	in.topic = &a.topics[d.below(len(a.topics))]
	if a.hard != nil && d.oneIn(9) {
		in.topic = &oddTopics[d.below(len(oddTopics))]
	}
	if k := int(slot) - poolSize; 0 <= k && k < len(a.hard) {
		in.topic = &a.hard[k]
	}
	const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
	for i := range in.ref {
		in.ref[i] = alphabet[d.below(len(alphabet))]
	}
	in.number = d.between(10_000, 99_999)
	in.flight = d.between(100, 989)
	in.from = d.pick(cities)
	for in.to = in.from; in.to == in.from; {
		in.to = d.pick(cities)
	}
	in.vendor = d.below(len(vendors))
	in.product = d.pick(products)
	in.country = d.pick(countries)
	in.day = 1767571200000 + int64(d.below(90))*86_400_000 // from 2026-01-05 on
	in.cents = d.between(1_500, 48_000) * 5
	in.n, in.hours, in.percent = d.between(2, 30), d.between(2, 48), d.between(3, 40)
	if a.document != nil {
		in.cents = in.invoiceTotal()
	}
	if d.oneIn(3) {
		in.turns = d.between(1, 3)
	}
	in.style = d.below(8)
	in.attachment, in.second = d.oneIn(6), d.oneIn(2)
}

// appendSlot appends the parameter called name and reports whether there is one.
func (in *input) appendSlot(b []byte, name string) ([]byte, bool) {
	switch name {
	case "ref":
		b = append(b, in.ref[:]...)
	case "flight":
		b = appendPadded(append(b, "ZS "...), in.flight, 3)
	case "from":
		b = append(b, in.from...)
	case "to":
		b = append(b, in.to...)
	case "vendor":
		b = append(b, vendors[in.vendor]...)
	case "product":
		b = append(b, in.product...)
	case "country":
		b = append(b, in.country...)
	case "date":
		b = appendDay(b, in.day)
	case "money":
		b = append(appendMoney(b, in.cents), " EUR"...)
	case "fee":
		b = append(appendMoney(b, 1500+in.cents%6000), " EUR"...)
	case "amount":
		b = appendMoney(b, in.cents)
	case "n":
		b = appendPadded(b, in.n, 1)
	case "hours":
		b = appendPadded(b, in.hours, 1)
	case "pct":
		b = appendPadded(b, in.percent, 1)
	case "code":
		b = appendPadded(append(b, "E-"...), in.number%90+10, 2)
	case "invoice":
		b = appendPadded(append(b, "INV-"...), in.number, 5)
	case "po":
		b = appendPadded(append(b, "PO-"...), in.number*7%100_000, 5)
	default:
		return b, false
	}
	return b, true
}

func appendMoney(b []byte, cents int) []byte {
	b = appendPadded(b, cents/100, 1)
	return appendPadded(append(b, '.'), cents%100, 2)
}

// expand appends text with its {names} replaced. A brace without a known name stays as it is, so
// text may contain JSON.
func (in *input) expand(b []byte, text string) []byte {
	from := 0
	for i := 0; i < len(text); i++ {
		if text[i] != '{' {
			continue
		}
		end := i + 1
		for end < len(text) && 'a' <= text[end] && text[end] <= 'z' {
			end++
		}
		if end == i+1 || end == len(text) || text[end] != '}' {
			continue
		}
		b = append(b, text[from:i]...)
		known := false
		if b, known = in.appendSlot(b, text[i+1:end]); known {
			from = end + 1
		} else {
			from = i
		}
		i = end
	}
	return append(b, text[from:]...)
}
