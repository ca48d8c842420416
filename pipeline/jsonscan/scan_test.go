package jsonscan

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestAScannerReadsTokensFromFrontToBack(t *testing.T) {
	t.Parallel()
	var s Scanner
	s.Reset([]byte(" { \"a\" : [1, -2.5e+3] ,\"b\":null}\n"))
	if !s.Take('{') {
		t.Fatal("no bracket")
	}
	for _, want := range [][2]string{{`"a"`, `[1, -2.5e+3]`}, {`"b"`, `null`}} {
		key, err := s.Key()
		if err != nil || string(key) != want[0] {
			t.Fatalf("key %s, %v", key, err)
		}
		value, err := s.Value()
		if err != nil || string(value) != want[1] {
			t.Fatalf("value %s, %v", value, err)
		}
		if want[0] == `"a"` && (s.Take('}') || !s.Take(',')) {
			t.Fatal("no comma")
		}
	}
	if err := s.End(); err == nil {
		t.Error("the end, before the bracket")
	}
	if !s.Take('}') || s.End() != nil || s.Take(0) {
		t.Error("no end")
	}
}

func TestAScannerCountsMembers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{`[]`: 0, `{}`: 0, ` [ ]`: 0, `[1,[2,3],{"a":[4,5]}]`: 3,
		`{"a":1,"b":{"c":2,"d":3}}`: 2} {
		var s Scanner
		s.Reset([]byte(text + " "))
		value, n, err := s.Members()
		if n != want || err != nil || string(value) != strings.TrimSpace(text) || s.End() != nil {
			t.Errorf("%s has %d members, %s, %v", text, n, value, err)
		}
	}
	for _, text := range []string{``, `1`, `"a"`, `[1`, `[1,]`, `{"a"}`, `[1}`} {
		var s Scanner
		s.Reset([]byte(text))
		if _, _, err := s.Members(); err == nil {
			t.Errorf("%q has members", text)
		}
	}
}

func TestTimesReadBack(t *testing.T) {
	t.Parallel()
	for day := int64(-719_528); day < 2_932_897; day += 11 { // year 0 to 9999
		ms := day*86_400_000 + day*9973%86_400_000
		if ms < -62_167_219_200_000 {
			continue
		}
		token := AppendTime(nil, ms)
		if want := time.UnixMilli(ms).UTC().Format(`"2006-01-02T15:04:05.000Z"`); string(token) != want {
			t.Fatalf("%d: %s, want %s", ms, token, want)
		}
		if back, ok := ParseTime(token); !ok || back != ms {
			t.Fatalf("%s reads back as %d, %v, not %d", token, back, ok, ms)
		}
	}
}

// FuzzTimesReadBack checks that a time that ParseTime accepts is written the same again.
func FuzzTimesReadBack(f *testing.F) {
	f.Add([]byte(`"2024-02-29T23:59:59.999Z"`))
	f.Add([]byte(`"0000-01-01T00:00:00.000Z"`))
	f.Fuzz(func(t *testing.T, token []byte) {
		if ms, ok := ParseTime(token); ok && string(AppendTime(nil, ms)) != string(token) {
			t.Fatalf("%s is %d, which is %s", token, ms, AppendTime(nil, ms))
		}
	})
}

// FuzzScannerAgreesWithEncodingJSON checks that the scanner and encoding/json accept the same
// documents, except for their depth, and read the same texts.
func FuzzScannerAgreesWithEncodingJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e-3,true,false,null,"x\u00e9\ud83d\ude00\n"],"b":{}}`, ` [ ] `, `"\ud800"`,
		`01`, `-`, `1.`, `{"a":1,}`, "\"\x01\"", strings.Repeat("[", 600)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !utf8.Valid(text) {
			t.Skip("the caller checks it")
		}
		var s Scanner
		s.Reset(text)
		token, err := s.Value()
		if err == nil {
			err = s.End()
		}
		if err != nil && strings.Contains(err.Error(), "nested") {
			return
		}
		if valid := json.Valid(text); valid != (err == nil) {
			t.Fatalf("%q: valid %v, error %v", text, valid, err)
		}
		if err != nil || token[0] != '"' {
			return
		}
		var want string
		if err := json.Unmarshal(token, &want); err != nil {
			t.Fatal(err)
		}
		if got, err := AppendText(nil, token); err == nil && string(got) != want || err != nil &&
			!strings.Contains(want, "\ufffd") {
			t.Fatalf("%s is %q, %v, want %q", token, got, err, want)
		}
	})
}
