package statistics

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

func count(records ...string) *Statistics {
	var c Counter
	for _, r := range records {
		c.Add([]byte(r))
	}
	return c.Statistics()
}

func TestColumnsAreDescribed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		records []string
		want    string // of each column: name, values, bytes, types, lengths, range, frequent values
	}{
		"none": {},
		"texts": {
			records: []string{`{"a":"é\n\"😀"}`, `{"a":"\u00e9\ud83d\ude00"}`, `{"a":""}`, `{"a":""}`, `{"a":null}`, `{}`},
			want:    `a 5 40 null:1 text:4 text 0–4 sum 6 [2 0 1 1] "" 2 "é\n\"😀" 1 "é😀" 1`,
		},
		"numbers": {
			records: []string{`{"n":2}`, `{"n":-3}`, `{"n":2.50}`, `{"n":1e2}`, `{"n":2}`, `{"n":9007199254740993}`},
			want:    `n 6 27 integer:4 number:2 -3–9007199254740993 2 2 -3 1 1e2 1 2.50 1 9007199254740993 1`,
		},
		"lists, objects and others": {
			records: []string{`{"l":[1,[2,3]],"o":{"a":{"b":1}},"b":true}`, `{"l":[],"o":{},"b":false}`,
				`{"b":true,"l":"mixed"}`},
			want: `l 3 18 list:2 text:1 list 0–2 sum 2 [1 0 1] text 5–5 sum 5 [0 0 0 1] [1,[2,3]] 1 [] 1 "mixed" 1; ` +
				`o 2 15 object:2 object 0–1 sum 1 [1 1] {"a":{"b":1}} 1 {} 1; b 3 13 boolean:3 true 2 false 1`,
		},
		"columns in their order, whichever record has them": {
			records: []string{`{"a":1,"c":1}`, `{"b":1}`, `{"a":1,"b":1,"c":1}`},
			want:    `a 2 2 integer:2 1–1 1 2; b 2 2 integer:2 1–1 1 2; c 2 2 integer:2 1–1 1 2`,
		},
		"white space, and names that are escaped": {
			records: []string{" { \"a\\n\" : 1 , \"é\" : null } ", `{"\u0061\n":2}`},
			want:    `"a\n" 2 2 integer:2 1–2 1 1 2 1; é 1 4 null:1`,
		},
		"no objects": {records: []string{`[1]`, ``, `{`, `{"a"`, `{"a":tru}`}, want: `a 0 0`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := count(c.records...)
			if s.Records != int64(len(c.records)) {
				t.Errorf("%d records", s.Records)
			}
			if got := describe(s); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			back, err := Parse(s.JSON())
			if err != nil || describe(back) != c.want {
				t.Errorf("the document has %s, %v", describe(back), err)
			}
		})
	}
}

func describe(s *Statistics) string {
	var columns []string
	for _, c := range s.Columns {
		name := c.Name
		if strings.ContainsRune(name, '\n') {
			name = fmt.Sprintf("%q", name)
		}
		parts := []string{name, fmt.Sprint(c.Values), fmt.Sprint(c.Bytes)}
		for _, kind := range []Type{Boolean, Integer, List, Null, Number, Object, Text} {
			if n := c.Types[kind]; n > 0 {
				parts = append(parts, fmt.Sprintf("%s:%d", kind, n))
			}
		}
		for _, kind := range []Type{List, Object, Text} {
			if l := c.Lengths[kind]; l != nil {
				parts = append(parts, fmt.Sprintf("%s %d–%d sum %d %v", kind, l.Min, l.Max, l.Sum, l.Histogram))
			}
		}
		if c.Numbers != nil {
			parts = append(parts, fmt.Sprintf("%s–%s", c.Numbers.Min, c.Numbers.Max))
		}
		for _, v := range c.Frequent.Values {
			text := v.Text
			if v.Type == Text {
				text = string(jsonscan.AppendString(nil, []byte(text)))
			}
			parts = append(parts, text, fmt.Sprint(v.Count))
		}
		columns = append(columns, strings.Join(parts, " "))
	}
	return strings.Join(columns, "; ")
}

func TestLongValuesAreCutBetweenCharacters(t *testing.T) {
	t.Parallel()
	for n := range 5 {
		text := strings.Repeat("a", maxText-n) + "😀😀"
		s := count(fmt.Sprintf(`{"a":%q,"b":[%q]}`, text, text), fmt.Sprintf(`{"a":%q}`, text+"!"))
		values := s.Columns[0].Frequent.Values
		if len(values) != 2 || values[0].Hash == values[1].Hash || values[0].Text != values[1].Text {
			t.Fatalf("the values are %+v", values)
		}
		for _, v := range values {
			if !v.Cut || !strings.HasPrefix(text, v.Text) || len(v.Text) > maxText || len(v.Text) < maxText-4 {
				t.Errorf("%+v", v)
			}
		}
	}
	escaped := count(`{"a":"` + strings.Repeat(`\n\ud83d\ude00`, 100) + `"}`).Columns[0].Frequent.Values[0]
	if !escaped.Cut || escaped.Text != strings.Repeat("\n😀", 19)+"\n" {
		t.Errorf("%+v", escaped)
	}
}

func TestADocumentOfAnotherVersionIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{``, `[]`, `{}`, `{"columns_version":2}`,
		`{"columns_version":1}` + strings.Repeat(" ", MaxBytes)} {
		if s, err := Parse([]byte(text)); err == nil {
			t.Errorf("%.30q is %+v", text, s)
		}
	}
}

// TestDocumentsAreBounded counts records that are as bad as they can be.
func TestDocumentsAreBounded(t *testing.T) {
	t.Parallel()
	wide, named := []byte(`{`), []byte(`{`)
	for i := range 3 * MaxColumns {
		wide = fmt.Appendf(wide, `"%d":%d,`, i, i)
		named = fmt.Appendf(named, `"%s%d":%s,`, strings.Repeat(`\u0001`, maxName-3), i, strings.Repeat("9", 400))
	}
	var c Counter
	for i := range 300 {
		c.Add(append(wide[:len(wide)-1:len(wide)-1], '}'))
		c.Add(append(named[:len(named)-1:len(named)-1], '}'))
		c.Add(fmt.Appendf(nil, `{"%d":"%s%d","%s":1}`, i%90, strings.Repeat(`\u0001`, 200), i/7,
			strings.Repeat("n", maxName+1)))
	}
	s := c.Statistics()
	text := s.JSON()
	if len(text) > MaxBytes || len(s.Columns) < 10 || len(s.Columns) > MaxColumns || s.OtherValues < 300*2*MaxColumns {
		t.Errorf("%d bytes, %d columns, %d other values", len(text), len(s.Columns), s.OtherValues)
	}
	if !bytes.Equal(text, s.JSON()) {
		t.Error("the document is another the second time")
	}
	var merged Counter
	for range 100 {
		merged.Merge(s)
	}
	m := merged.Statistics()
	text = m.JSON()
	if len(text) > MaxBytes || m.Columns[0].Values != 100*s.Columns[0].Values || m.OtherValues < 100*s.OtherValues {
		t.Errorf("merged: %d bytes, %+v", len(text), m.Columns[0])
	}
}

// TestMergedStatisticsAreThoseOfAllRecords cuts records into windows, and merges these in any order. Everything is the
// same as counted at once, but the counts of frequent values, whose bounds hold.
func TestMergedStatisticsAreThoseOfAllRecords(t *testing.T) {
	t.Parallel()
	random := newRandom(t)
	for range 20 {
		n := 1 + random.IntN(2000)
		var all Counter
		windows := make([]Counter, 1+random.IntN(8))
		truth := map[string]map[string]int64{}
		for range n {
			record := randomRecord(random, truth)
			all.Add(record)
			windows[random.IntN(len(windows))].Add(record)
		}
		var merged Counter
		for _, i := range random.Perm(len(windows)) {
			window, err := Parse(windows[i].Statistics().JSON())
			if err != nil {
				t.Fatal(err)
			}
			merged.Merge(window)
		}
		one, several := all.Statistics(), merged.Statistics()
		for _, s := range []*Statistics{one, several} {
			for i := range s.Columns {
				c := &s.Columns[i]
				checkFrequent(t, c, truth[c.Name])
				if len(truth[c.Name]) > keptValues {
					c.Frequent = Frequent{}
				}
			}
		}
		if a, b := one.JSON(), several.JSON(); !bytes.Equal(a, b) {
			t.Fatalf("%d windows:\nat once %s\nmerged  %s", len(windows), a, b)
		}
	}
}

func newRandom(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("MILLRACE_TEST_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("MILLRACE_TEST_SEED: %v", err)
		}
	}
	t.Logf("MILLRACE_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// checkFrequent holds the frequent values against how often each value came.
func checkFrequent(t *testing.T, c *Column, truth map[string]int64) {
	t.Helper()
	total, listed := int64(0), map[string]bool{}
	for _, n := range truth {
		total += n
	}
	f := c.Frequent
	for _, v := range f.Values {
		text := v.Text
		if v.Type == Text {
			text = string(jsonscan.AppendString(nil, []byte(text)))
		}
		listed[text] = true
		if n := truth[text]; v.Count > n || v.Count+f.Missing < n {
			t.Errorf("column %s: %s came %d times, and has count %d, and %d may be missing", c.Name, text, n, v.Count,
				f.Missing)
		}
	}
	for text, n := range truth {
		if !listed[text] && n > f.Missing {
			t.Errorf("column %s: %s came %d times, and is not listed; %d may be missing", c.Name, text, n, f.Missing)
		}
	}
	if len(truth) <= keptValues && f.Missing != 0 || f.Missing > 1+total/keptValues {
		t.Errorf("column %s: %d may be missing of %d values, %d different", c.Name, f.Missing, total, len(truth))
	}
	if !slices.IsSortedFunc(f.Values, func(a, b Value) int { return int(b.Count - a.Count) }) {
		t.Errorf("column %s is not sorted: %+v", c.Name, f.Values)
	}
}

// randomRecord returns a record with some of a few columns, and counts its values in truth.
func randomRecord(random *rand.Rand, truth map[string]map[string]int64) []byte {
	record := []byte{'{'}
	for _, name := range []string{"few", "many", "mixed", "skewed"} {
		if random.IntN(5) == 0 {
			continue
		}
		var value string
		switch name {
		case "few":
			value = fmt.Sprintf(`"v%d"`, random.IntN(10))
		case "many":
			value = fmt.Sprintf(`"v%d"`, random.IntN(5000))
		case "skewed":
			value = fmt.Sprint(int(1 / (random.Float64() + 1e-5)))
		case "mixed":
			value = []string{"null", "true", "1.5", "-7", "[]", `["a",2]`, "{}", `{"a":1}`, `""`, `"é\n"`}[random.IntN(10)]
		}
		if value != "null" {
			if truth[name] == nil {
				truth[name] = map[string]int64{}
			}
			truth[name][value]++
		}
		record = fmt.Appendf(record, "%q:%s,", name, value)
	}
	return append(bytes.TrimSuffix(record, []byte{','}), '}')
}

// FuzzCounter checks that whatever a record is, a document comes out that reads back, and that lengths and numbers are
// those that encoding/json reads.
func FuzzCounter(f *testing.F) {
	f.Add([]byte(`{"a":"é\n\"😀","b":[1,{"c":2}],"d":-1.5e3,"e":null}`))
	f.Fuzz(func(t *testing.T, record []byte) {
		s := count(string(record), string(record))
		if _, err := Parse(s.JSON()); err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if !utf8.Valid(record) || json.Unmarshal(record, &fields) != nil || strings.Contains(string(record), `\u`) {
			return // an escaped half of a character, and keys that differ only in it
		}
		for _, c := range s.Columns {
			text, ok := fields[c.Name].(string)
			if l := c.Lengths[Text]; ok && c.Values == 2 && (l == nil || l.Max != int64(utf8.RuneCountInString(text))) {
				t.Errorf("column %q has lengths %+v, and text %q", c.Name, l, text)
			}
			if n, ok := fields[c.Name].(float64); ok && c.Values == 2 && len(c.Numbers.Min) <= maxNumeral {
				if min, err := c.Numbers.Min.Float64(); err == nil && min != n {
					t.Errorf("column %q has the range %+v, and number %v", c.Name, c.Numbers, n)
				}
			}
		}
	})
}
