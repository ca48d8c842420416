package jsonscan

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestStringsEscapeOnlyWhatJSONRequires(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":               `"plain"`,
		`a "quote" and \`:     `"a \"quote\" and \\"`,
		"\b\f\n\r\t":          `"\b\f\n\r\t"`,
		"\x00\x01\x1f\x7f":    "\"\\u0000\\u0001\\u001f\x7f\"",
		"</script>&'":         `"</script>&'"`,
		"line\u2028separator": "\"line\u2028separator\"",
		"żółw 漢字 👩\u200d👩\u200d👧": "\"żółw 漢字 👩\u200d👩\u200d👧\"",
		"\"":                 `"\""`,
		"1234567\"":          `"1234567\""`,
		"12345678\n":         `"12345678\n"`,
		"\\\\\\\\\\\\\\\\\\": `"` + strings.Repeat(`\\`, 9) + `"`,
	} {
		if got := string(AppendString(nil, []byte(in))); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// FuzzStringsReadBack checks that the text reads back as the same string, whatever its length and
// wherever its escapes are.
func FuzzStringsReadBack(f *testing.F) {
	f.Add("12345678\"\x00ż")
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			t.Skip("refused at ingest")
		}
		var back string
		out := AppendString(nil, []byte(s))
		if err := json.Unmarshal(out, &back); err != nil || back != s {
			t.Fatalf("%q became %s: %q, %v", s, out, back, err)
		}
	})
}

func TestEscapesAreFoundAtEveryOffset(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		for n := range 20 {
			s := []byte(strings.Repeat("é", 20)[:n] + string([]byte{byte(c)}) + "tail of the text")
			got := IndexSpecial(s)
			want := len(s)
			if c < 0x20 || c == '"' || c == '\\' {
				want = n
			}
			if got != want {
				t.Fatalf("byte %#x at %d: found at %d, want %d", c, n, got, want)
			}
		}
	}
}

func TestFloatsReadBackAndStayFloats(t *testing.T) {
	t.Parallel()
	for in, want := range map[float64]string{
		0: "0.0", 1: "1.0", -1: "-1.0", 0.5: "0.5", 0.1: "0.1", 1e-7: "1e-07", 123456789: "123456789.0",
		1e20: "100000000000000000000.0",
		1e21: "1e+21", 1.0 / 3: "0.3333333333333333", 5e-324: "5e-324", math.MaxFloat64: "1.7976931348623157e+308",
		0.000123:             "0.000123",
		math.Copysign(0, -1): "-0.0", math.NaN(): "null", math.Inf(1): "null", math.Inf(-1): "null",
	} {
		got := string(AppendFloat(nil, in))
		if got != want && !(in == 0 && (got == "0.0" || got == "-0.0")) {
			t.Errorf("%v: %s, want %s", in, got, want)
		}
		if want == "null" {
			continue
		}
		var back float64
		if err := json.Unmarshal([]byte(got), &back); err != nil || math.Float64bits(back) != math.Float64bits(in) {
			t.Errorf("%v became %s, read as %v, %v", in, got, back, err)
		}
		if !strings.ContainsAny(got, ".e") {
			t.Errorf("%s reads as an integer", got)
		}
	}
}

func TestTimesAreWrittenLikeTheStandardLibrary(t *testing.T) {
	t.Parallel()
	check := func(ms int64) {
		t.Helper()
		want := time.UnixMilli(ms).UTC().Format(`"2006-01-02T15:04:05.000Z"`)
		if got := string(AppendTime(nil, ms)); got != want {
			t.Fatalf("%d: %s, want %s", ms, got, want)
		}
	}
	for day := int64(-25567); day < 120529; day++ { // 1900 to 2299, what DateTime64 can hold
		check(day * 86_400_000)
		check(day*86_400_000 + day*9973%86_400_000)
		check(day*86_400_000 - 1)
	}
}
