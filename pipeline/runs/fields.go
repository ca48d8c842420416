package runs

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/strictjson"
)

var (
	sources    = []string{"copilot", "recipe"}
	statuses   = []string{"running", "succeeded", "failed", "cancelled"}
	ratings    = []string{"thumbsUp", "thumbsDown"}
	kinds      = []string{"human", "model", "code"}
	directions = []string{"input", "output"}
)

// fields reads the typed fields of an event at the reader's cursor. A null counts as an absent
// field.
type fields struct {
	r       *strictjson.Reader
	unknown func(field string)
	// elements is how many files, chunks, tags, and entries of maps were read
	elements int
	latest   time.Time // see Decoder.Latest
}

// MaxElements is how many files, chunks, tags, and entries of metadata and parameters an event has at
// most, all together: an empty one takes a few bytes of the event, and many times that when it is decoded.
const MaxElements = 1 << 17

// element counts an element of a list or of a map that is decoded.
func (f *fields) element() error {
	if f.elements++; f.elements <= MaxElements {
		return nil
	}
	return f.r.Refuse(strictjson.TooLarge, "an event may have "+strconv.Itoa(MaxElements)+
		" files, chunks, tags, and entries of metadata and parameters, all together")
}

func (f *fields) null() bool { return f.r.Kind() == strictjson.Null }

func (f *fields) skip(key string) error {
	// A bare event has its type among the keys of the data.
	if f.unknown != nil && key != "type" {
		f.unknown(key)
	}
	return f.r.Skip()
}

func (f *fields) text(p *string) (err error) {
	if f.null() {
		return f.r.Null()
	}
	*p, err = f.r.Text()
	return err
}

func (f *fields) id(p *string) error          { return f.checked(p, ValidID, idRule) }
func (f *fields) workspaceID(p *string) error { return f.checked(p, ValidWorkspaceID, workspaceRule) }

func (f *fields) checked(p *string, valid func(string) bool, rule string) error {
	if f.null() {
		return f.r.Null()
	}
	s, err := f.r.Text()
	if err != nil {
		return err
	}
	if !valid(s) {
		return f.r.Refuse(strictjson.BadID, rule)
	}
	*p = s
	return nil
}

const (
	idRule        = "must match [A-Za-z0-9][A-Za-z0-9._:~-]{0,127}"
	workspaceRule = "must match [a-z0-9][a-z0-9_-]{0,62}"
)

// ValidID reports whether s is an id of the contract: [A-Za-z0-9][A-Za-z0-9._:~-]{0,127}.
func ValidID(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == ':' || c == '~' || c == '-'):
		default:
			return false
		}
	}
	return true
}

// ValidWorkspaceID reports whether s is a workspace id of the contract: [a-z0-9][a-z0-9_-]{0,62}.
func ValidWorkspaceID(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case i > 0 && (c == '_' || c == '-'):
		default:
			return false
		}
	}
	return true
}

func (f *fields) enum(p *string, values []string) error {
	if f.null() {
		return f.r.Null()
	}
	s, err := f.r.Text()
	if err != nil {
		return err
	}
	i := slices.Index(values, s)
	if i < 0 {
		return f.r.Refuse(strictjson.WrongType, "must be one of "+strings.Join(values, ", "))
	}
	*p = values[i]
	return nil
}

// judgementName reads what a score measures. The readers of exports have scores of two names already:
// the score without a name, and the rating.
func (f *fields) judgementName(p *string) error {
	if f.null() {
		return f.r.Null()
	}
	name, err := f.r.Text()
	if err != nil {
		return err
	}
	if name == "score" || name == "rating" {
		return f.r.Refuse(strictjson.OutOfRange, "must be neither score nor rating: leave it out, and set that field")
	}
	*p = name
	return nil
}

func (f *fields) time(p *time.Time, precision time.Duration) error {
	if f.null() {
		return f.r.Null()
	}
	s, err := f.r.Text()
	if err != nil {
		return err
	}
	t, rule, inRange := ParseTime(s)
	switch {
	case rule != "" && inRange:
		return f.r.Refuse(strictjson.WrongType, rule)
	case rule != "":
		return f.r.Refuse(strictjson.OutOfRange, rule)
	}
	*p = t.Truncate(precision)
	return nil
}

var (
	minTime = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	endTime = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// EndTime is when the times of the contract end, and so the last end that a window of time can have.
func EndTime() time.Time { return endTime }

// timeRule is the rule that a malformed time breaks.
const timeRule = "must be an RFC 3339 time in UTC, such as 2026-01-31T23:59:59.123Z"

// ParseTime reads a time of the contract: RFC 3339 in UTC, from 1970 to 2199. Rule is "", or the
// rule that s breaks. InRange is false where s is a well-formed time outside these years.
func ParseTime(s string) (t time.Time, rule string, inRange bool) {
	t, rule, inRange = ParseTimestamp(s)
	if rule == "" && !strings.HasSuffix(s, "Z") && !strings.HasSuffix(s, "00:00") {
		return t, timeRule, true
	}
	return t, rule, inRange
}

// ParseTimestamp is ParseTime for times of other specifications: they may have any offset from UTC.
func ParseTimestamp(s string) (t time.Time, rule string, inRange bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	// time.Parse is less strict than RFC 3339, which has two digits for the hour and a point before
	// the fraction.
	if err != nil || s[len("2006-01-02T15")] != ':' || strings.Contains(s, ",") {
		return t, timeRule, true
	}
	if t = t.UTC(); !inYears(t) {
		return t, "must be a time from 1970 to 2199", false
	}
	return t, "", true
}

func inYears(t time.Time) bool { return !t.Before(minTime) && t.Before(endTime) }

// version checks the time that orders snapshots. It may be the event's time, and so a record's
// timestamp, which depends on the producer's clock and units.
func (f *fields) version(updatedAt time.Time) error {
	switch {
	case !inYears(updatedAt):
		return f.r.RefuseField(strictjson.OutOfRange, "updated_at",
			"is absent, and its default, the event's time, is not from 1970 to 2199")
	case !f.latest.IsZero() && updatedAt.After(f.latest):
		return f.r.RefuseField(strictjson.ClockSkew, "updated_at", "must be at "+f.latest.UTC().Format(time.RFC3339)+
			" or before, which is as far ahead as a producer's clock may be; without updated_at, the event's time counts")
	}
	return nil
}

func (f *fields) integer(p **int64) error {
	if f.null() {
		return f.r.Null()
	}
	s, err := f.r.Numeral()
	if err != nil {
		return err
	}
	whole, ok := wholeNumber(s)
	if !ok {
		return f.r.Refuse(strictjson.WrongType, "must be an integer")
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return f.r.Refuse(strictjson.OutOfRange, "must be an integer of 64 bits")
	}
	*p = &n
	return nil
}

// wholeNumber returns a JSON number as a sign and digits, or false where it has a fraction. 5.0 and
// 5e3 are integers, as in JSON Schema. A number that is too long for 64 bits may be shortened, but
// stays too long.
func wholeNumber(s string) (string, bool) {
	if !strings.ContainsAny(s, ".eE") {
		return s, true
	}
	digits, sign := s, ""
	if digits[0] == '-' {
		digits, sign = digits[1:], "-"
	}
	mantissa, exponent := digits, 0
	if i := strings.IndexAny(digits, "eE"); i >= 0 {
		mantissa = digits[:i]
		exponent, _ = strconv.Atoi(digits[i+1:]) // out of range, Atoi returns the largest int
		exponent = max(-1<<40, min(exponent, 1<<40))
	}
	integer, fraction, _ := strings.Cut(mantissa, ".")
	digits = strings.TrimRight(integer+fraction, "0")
	zeros := len(integer) + exponent - len(digits)
	switch {
	case strings.Trim(digits, "0") == "":
		return "0", true
	case zeros < 0:
		return "", false
	}
	return sign + digits + strings.Repeat("0", min(zeros, 20)), true
}

func (f *fields) float(p **float64) error {
	if f.null() {
		return f.r.Null()
	}
	s, err := f.r.Numeral()
	if err != nil {
		return err
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return f.r.Refuse(strictjson.OutOfRange, "must be a number within the range of a 64-bit float")
	}
	*p = &x
	return nil
}

func (f *fields) boolean(p **bool) error {
	if f.null() {
		return f.r.Null()
	}
	v, err := f.r.Boolean()
	*p = &v
	return err
}

// object reads a document as it was sent. It must be an object.
func (f *fields) object(p *Doc) (err error) {
	switch got := f.r.Kind(); got {
	case strictjson.Object, strictjson.Invalid:
		*p, err = f.r.Raw()
		return err
	case strictjson.Null:
		return f.r.Null()
	default:
		return f.r.WrongType("must be an object, not " + got.String())
	}
}

func (f *fields) texts(p *[]string) error {
	if f.null() {
		return f.r.Null()
	}
	return f.r.Array(func(int) error {
		s, err := f.r.Text()
		if err == nil {
			err = f.element()
		}
		*p = append(*p, s)
		return err
	})
}
