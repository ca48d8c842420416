package jsonscan

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

func TestNumbersThat64BitsDoNotHoldAreFound(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"a":1,"b":[-1.5e3,0,-0,-0.0,0e999,1E5],"c":"1e400","d\"1e400":"\\"}`: "",
		`[9223372036854775807,-9223372036854775808]`:                           "",
		`[9223372036854775808]`:                                                "9223372036854775808",
		`[-9223372036854775809]`:                                               "-9223372036854775809",
		`{"a":"\\","b":100000000000000000000000000000}`:                        "100000000000000000000000000000",
		`1e400`:                                "1e400",
		`[1, -1E+400 ]`:                        "-1E+400",
		`1e-400`:                               "1e-400",
		`[1.7976931348623157e308,5e-324]`:      "",
		`1.7976931348623159e308`:               "1.7976931348623159e308",
		`[0.1,0.30000000000000004,1e23]`:       "",
		`0.10000000000000001`:                  "", // as %.17g writes a double
		`0.1000000000000000055511151231257827`: "", // the double that is nearest to 0.1
		`0.12345678901234567890123`:            "0.12345678901234567890123",
		`0.00012345678901234567890123`:         "0.00012345678901234567890123",
		`1000000.00000000000000000000001`:      "1000000.00000000000000000000001",
		`1000000.00000000000000000000000`:      "",
		`100000000000000000000000.0`:           "",
		`"` + `100000000000000000000000` + `"`: "",
		``:                                     "",
	} {
		if got := string(WideNumber([]byte(text))); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// What must hold: a wide number is found wherever it is, and only outside of strings.
func TestWideNumbersAreFoundAtEveryPlace(t *testing.T) {
	t.Parallel()
	for _, number := range []string{"1e400", "-1e400", "1E-400", "100000000000000000000", "0.12345678901234567890123"} {
		for before := range 20 {
			for after := range 10 {
				for _, filling := range []string{" ", "1", "12,"} {
					text := `{"a":[` + strings.Repeat("12,", before) + number + "," + strings.Repeat(filling, after) + `0]}`
					if got := string(WideNumber([]byte(text))); got != number {
						t.Errorf("%s: %q", text, got)
					}
					text = `{"a":"` + strings.Repeat("12,", before) + number + "," + strings.Repeat(filling, after) + `0"}`
					if got := string(WideNumber([]byte(text))); got != "" {
						t.Errorf("%s: %q", text, got)
					}
				}
			}
		}
	}
}

// What must hold: a number of at most 17 digits that is a double is never wide, in whatever form it
// is written.
func FuzzDoublesAreNotWide(f *testing.F) {
	f.Add(0.1)
	f.Add(math.MaxFloat64)
	f.Add(5e-324)
	f.Fuzz(func(t *testing.T, x float64) {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return
		}
		for format, precisions := range map[byte][]int{'e': {-1, 16, 29}, 'g': {-1, 17, 30}, 'f': {-1}} {
			for _, digits := range precisions {
				text := strconv.AppendFloat(nil, x, format, digits, 64)
				if !bytes.ContainsAny(text, ".e") {
					continue // an integer
				}
				if wide := WideNumber(text); wide != nil {
					t.Errorf("%v as %c%d: %s", x, format, digits, text)
				}
			}
		}
	})
}

// The time grows with the text and not with the square of its numerals: 16 MB would take hours.
func TestLongNumeralsTakeNoLongerThanOtherTexts(t *testing.T) {
	t.Parallel()
	for _, piece := range []string{"7", "1e", "-", "1.", "0123456789 ", "1,", "e1", "+1E"} {
		text := `{"text":"` + strings.Repeat(piece, (16<<20)/len(piece)) + `","n":12345678901234567890}`
		if got := string(WideNumber([]byte(text))); got != "12345678901234567890" {
			t.Errorf("%q repeated: got %q", piece, got)
		}
	}
}

// What WideNumber looks for eight bytes at a time is what a scan byte by byte finds.
func TestWideNumbersAreThoseOfAScan(t *testing.T) {
	t.Parallel()
	dice := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"1", "0", "7777777", "12345678901234567890", ".", "e", "E", "-", "+", "400", "a", " ",
		"9223372036854775807"}
	wide := 0
	for range 100_000 {
		var text strings.Builder
		text.WriteString("[0")
		for range dice.IntN(8) {
			var token string
			for range 1 + dice.IntN(5) {
				token += pieces[dice.IntN(len(pieces))]
			}
			if !json.Valid([]byte(token)) || dice.IntN(3) == 0 {
				token = strconv.Quote(token)
			}
			text.WriteString("," + token)
		}
		text.WriteString("]")
		got, want := WideNumber([]byte(text.String())), scanWide([]byte(text.String()))
		if !bytes.Equal(got, want) {
			t.Fatalf("%s: got %q, want %q", &text, got, want)
		}
		if want != nil {
			wide++
		}
	}
	if wide < 1000 {
		t.Errorf("only %d texts have a wide number", wide)
	}
}

func BenchmarkWideNumber(b *testing.B) {
	text := []byte(`{"run_id":"0198c2f0-7f3e-7c11-a3c0-5f1f2b7f0a11","started_at":"2026-11-28T14:00:22.120Z","latency_ms":1204,` +
		`"question":"` + strings.Repeat("How do I change my booking to a later flight? ", 12) + `","metadata":{"tier":"gold"},` +
		`"messages":[{"role":"user","content":"` + strings.Repeat("I would like to fly on the 4th of May. ", 12) + `"}]}`)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if WideNumber(text) != nil {
			b.Fatal("a wide number")
		}
	}
}

// Records of small texts have more ids and numbers than prose.
func BenchmarkWideNumberAmongIDs(b *testing.B) {
	text := []byte(`{"run_id":"0198c2f0-7f3e-7c11-a3c0-5f1f2b7f0a11","started_at":"2026-11-28T14:00:22.120Z","latency_ms":1204,` +
		`"session_id":"8e1f3c5e-2e4b-4d6e-9e0a-1e2e3e4e5e6f","cost_usd":0.0123,"files":[{"file_id":"f3e0a1b2c3d4e5f60718","size_bytes":204800}],` +
		`"outputs":{"items":[{"id":"1e2d3c4b","price":12.5},{"id":"9e8d7c6b","price":7.25}]}}`)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if WideNumber(text) != nil {
			b.Fatal("a wide number")
		}
	}
}
