package fragment

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestEncodersThatDoNotExistAreNamedWithThoseThatDo(t *testing.T) {
	t.Parallel()
	for _, test := range [][3]string{{"xml", Uncompressed, "parquet"}, {JSONL, "rar", "zstd"}, {"", "", "jsonl"}} {
		_, err := NewEncoder(test[0], test[1], Settings{})
		if err == nil || !strings.Contains(err.Error(), test[2]) {
			t.Errorf("%v: %v", test, err)
		}
		if _, err := NewReader(test[0], test[1], strings.NewReader(""), 0); err == nil || !strings.Contains(err.Error(),
			test[2]) {
			t.Errorf("reading %v: %v", test, err)
		}
	}
}

func TestRecordsRollIntoFragments(t *testing.T) {
	t.Parallel()
	const line = 100 // bytes of a record with its line feed
	for _, test := range []struct {
		name    string
		limits  Limits
		records []int // sizes in bytes, with the line feed
		want    []int64
	}{
		{"no records", Limits{150, 1 << 20}, nil, nil},
		{"one record", Limits{150, 1 << 20}, sizes(1, line), []int64{1}},
		{"one less than a fragment", Limits{150, 1 << 20}, sizes(149, line), []int64{149}},
		{"exactly a fragment", Limits{150, 1 << 20}, sizes(150, line), []int64{150}},
		{"one more than a fragment", Limits{150, 1 << 20}, sizes(151, line), []int64{150, 1}},
		{"three fragments", Limits{150, 1 << 20}, sizes(400, line), []int64{150, 150, 100}},
		{"one record a fragment", Limits{1, 0}, sizes(3, line), []int64{1, 1, 1}},
		{"no limits", Limits{}, sizes(1000, line), []int64{1000}},
		{"exactly as many bytes as allowed", Limits{0, 10 * line}, sizes(20, line), []int64{10, 10}},
		{"one byte less allowed", Limits{0, 10*line - 1}, sizes(20, line), []int64{9, 9, 2}},
		{"records reach their limit first", Limits{4, 10 * line}, sizes(9, line), []int64{4, 4, 1}},
		{"a record larger than a fragment is alone", Limits{150, 1000}, []int{line, 5000, line, line}, []int64{1, 1, 2}},
		{"only records larger than a fragment", Limits{150, 10}, sizes(3, line), []int64{1, 1, 1}},
		{"a record larger than every buffer", Limits{150, 0}, []int{line, 9 << 20, line}, []int64{3}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var s shelf
			w := NewWriter(jsonlEncoder(t), test.limits, s.open)
			var records [][]byte
			for i, size := range test.records {
				record := []byte(fmt.Sprintf(`{"i":%d,"text":"`, i))
				record = append(record, bytes.Repeat([]byte{'x'}, size-3-len(record))...)
				record = append(record, `"}`...)
				records = append(records, record)
				if err := w.Write(slices.Clone(record), int64(1000+i*7%50)); err != nil {
					t.Fatal(err)
				}
			}
			infos, err := w.Close()
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			next := 0
			for i, info := range infos {
				got = append(got, info.Records)
				body := s.fragments[i].body.Bytes()
				sum := sha256.Sum256(body)
				if info.Index != i || info.Bytes != int64(len(body)) || info.SHA256 != hex.EncodeToString(sum[:]) {
					t.Errorf("fragment %d of %d bytes: %+v", i, len(body), info)
				}
				if s.fragments[i].state != "committed" {
					t.Errorf("fragment %d is %s", i, s.fragments[i].state)
				}
				lo, hi := int64(1<<62), int64(0)
				for _, back := range readLines(t, body) {
					var number struct{ I int }
					if err := json.Unmarshal(back, &number); err != nil || number.I != next || !bytes.Equal(back, records[next]) {
						t.Fatalf("fragment %d: record %d is %.60s, %v", i, next, back, err)
					}
					lo, hi = min(lo, int64(1000+next*7%50)), max(hi, int64(1000+next*7%50))
					next++
				}
				if info.MinStartedAt != lo || info.MaxStartedAt != hi {
					t.Errorf("fragment %d: started_at %d to %d, want %d to %d", i, info.MinStartedAt, info.MaxStartedAt, lo, hi)
				}
			}
			if !slices.Equal(got, test.want) || len(s.fragments) != len(test.want) {
				t.Errorf("records a fragment %v, want %v; %d fragments opened", got, test.want, len(s.fragments))
			}
			if next != len(records) {
				t.Errorf("%d of %d records read back", next, len(records))
			}
		})
	}
}

// Readers of lines differ in what ends a line; RFC 8259 lets line breaks stand between tokens.
func TestARecordIsOneLineToEveryReader(t *testing.T) {
	t.Parallel()
	var s shelf
	w := NewWriter(jsonlEncoder(t), Limits{}, s.open)
	record := []byte("{\"a\":\r\n 1,\n\"żółw\":\"\\n\u2028\"\r}")
	before := slices.Clone(record)
	for range 2 {
		if err := w.Write(record, 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	const line = "{\"a\":   1, \"żółw\":\"\\n\\u2028\" }\n"
	if got := s.fragments[0].body.String(); got != line+line {
		t.Errorf("%q", got)
	}
	if got := w.done[0].Bytes; got != int64(2*len(line)) {
		t.Errorf("%d bytes", got)
	}
	if !bytes.Equal(record, before) {
		t.Error("the caller's record was changed")
	}
}

// The limit in bytes counts the escaped separators.
func TestALimitInBytesCountsTheLine(t *testing.T) {
	t.Parallel()
	for _, format := range []string{JSONL, JSON} {
		e, err := NewEncoder(format, Uncompressed, Settings{})
		if err != nil {
			t.Fatal(err)
		}
		var s shelf
		w := NewWriter(e, Limits{MaxBytes: 40}, s.open)
		for range 5 {
			if err := w.Write([]byte("{\"a\":\"\u2028\u2029\"}"), 0); err != nil {
				t.Fatal(err)
			}
		}
		infos, err := w.Close()
		if err != nil {
			t.Fatal(err)
		}
		for i, info := range infos {
			if info.Bytes > 40 || info.Bytes != int64(s.fragments[i].body.Len()) {
				t.Errorf("%s: fragment %d has %d bytes", format, i, info.Bytes)
			}
		}
	}
}

func TestAnErrorAbortsTheOpenFragmentAndIsFinal(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, test := range []struct {
		name   string
		fail   func(s *shelf, e *failing)
		states []string
	}{
		{"open of the second", func(s *shelf, _ *failing) { s.failOpen = 1 }, []string{"committed"}},
		{"write to the second", func(s *shelf, _ *failing) { s.failWrite = 1 }, []string{"committed", "aborted"}},
		{"commit of the second", func(s *shelf, _ *failing) { s.failCommit = 1 }, []string{"committed", "aborted"}},
		{"opening the encoder", func(_ *shelf, e *failing) { e.open = 1 }, []string{"committed", "aborted"}},
		{"a record", func(_ *shelf, e *failing) { e.append = 5 }, []string{"committed", "aborted"}},
		{"the encoder's end", func(_ *shelf, e *failing) { e.close = 1 }, []string{"committed", "aborted"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := shelf{err: broken, failOpen: -1, failWrite: -1, failCommit: -1}
			e := &failing{Encoder: jsonlEncoder(t), err: broken, open: -1, append: -1, close: -1}
			test.fail(&s, e)
			w := NewWriter(e, Limits{MaxRecords: 3}, s.open)
			var err error
			for i := range 6 {
				if err = w.Write([]byte(`{}`), int64(i)); err != nil {
					break
				}
			}
			infos, closeErr := w.Close()
			if !errors.Is(closeErr, broken) || infos != nil {
				t.Errorf("Close: %v, %v", infos, closeErr)
			}
			if err != nil && !errors.Is(closeErr, err) {
				t.Errorf("Write said %v, Close %v", err, closeErr)
			}
			if err := w.Write([]byte(`{}`), 0); !errors.Is(err, closeErr) {
				t.Errorf("Write after the error: %v", err)
			}
			w.Abort()
			if got := s.states(); !slices.Equal(got, test.states) {
				t.Errorf("fragments are %v, want %v", got, test.states)
			}
		})
	}
}

func TestAbortLeavesNoFragmentOpen(t *testing.T) {
	t.Parallel()
	var s shelf
	w := NewWriter(jsonlEncoder(t), Limits{MaxRecords: 2}, s.open)
	for i := range 3 {
		if err := w.Write([]byte(`{}`), int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	w.Abort()
	w.Abort()
	if got := s.states(); !slices.Equal(got, []string{"committed", "aborted"}) {
		t.Errorf("fragments are %v", got)
	}
	if _, err := w.Close(); err == nil {
		t.Error("closed after it was aborted")
	}
}

func TestAbortAfterCloseDoesNothing(t *testing.T) {
	t.Parallel()
	var s shelf
	w := NewWriter(jsonlEncoder(t), Limits{}, s.open)
	if err := w.Write([]byte(`{}`), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w.Abort()
	if got := s.states(); !slices.Equal(got, []string{"committed"}) {
		t.Errorf("fragments are %v", got)
	}
	if err := w.Write([]byte(`{}`), 0); err == nil {
		t.Error("wrote after Close")
	}
}

func BenchmarkWriter(b *testing.B) {
	record := []byte(`{"text":"` + strings.Repeat("x", 1089) + `"}`)
	w := NewWriter(jsonlEncoder(b), Limits{MaxRecords: 150}, func(int) (Destination, error) { return discard{}, nil })
	b.SetBytes(int64(len(record) + 1))
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Write(record, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func jsonlEncoder(t testing.TB) Encoder {
	t.Helper()
	e, err := NewEncoder(JSONL, Uncompressed, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if e.Extension() != "jsonl" {
		t.Fatal(e.Extension())
	}
	return e
}

func sizes(n, size int) []int { return slices.Repeat([]int{size}, n) }

// readLines reads a fragment with encoding/json, line by line.
func readLines(t *testing.T, body []byte) (lines [][]byte) {
	t.Helper()
	if !bytes.HasSuffix(body, []byte("\n")) {
		t.Fatal("the last line has no end")
	}
	for line := range bytes.Lines(body) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if !json.Valid(line) {
			t.Fatalf("not JSON: %.80s", line)
		}
		lines = append(lines, line)
	}
	return lines
}

// shelf keeps fragments in memory.
type shelf struct {
	fragments                       []*book
	err                             error
	failOpen, failWrite, failCommit int // index of the fragment
}

func (s *shelf) open(index int) (Destination, error) {
	if index != len(s.fragments) {
		return nil, fmt.Errorf("fragment %d opened as %d", len(s.fragments), index)
	}
	if s.err != nil && index == s.failOpen {
		return nil, s.err
	}
	b := &book{shelf: s, index: index, state: "open"}
	s.fragments = append(s.fragments, b)
	return b, nil
}

func (s *shelf) states() (states []string) {
	for _, b := range s.fragments {
		states = append(states, b.state)
	}
	return states
}

type book struct {
	shelf *shelf
	index int
	body  bytes.Buffer
	state string
}

func (b *book) Write(p []byte) (int, error) {
	if b.shelf.err != nil && b.index == b.shelf.failWrite {
		return 0, b.shelf.err
	}
	return b.body.Write(p)
}

func (b *book) Commit() error {
	if b.state != "open" {
		return fmt.Errorf("commit of a fragment that is %s", b.state)
	}
	if b.shelf.err != nil && b.index == b.shelf.failCommit {
		return b.shelf.err
	}
	b.state = "committed"
	return nil
}

func (b *book) Abort() {
	if b.state == "open" {
		b.state = "aborted"
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Commit() error               { return nil }
func (discard) Abort()                      {}

// failing fails the call with this number, counted from 0.
type failing struct {
	Encoder
	err                 error
	open, append, close int
	opened, records     int
	closed              int
}

func (e *failing) Open(w io.Writer) error {
	if e.opened++; e.opened-1 == e.open {
		return e.err
	}
	return e.Encoder.Open(w)
}

func (e *failing) Append(record []byte) error {
	if e.records++; e.records-1 == e.append {
		return e.err
	}
	return e.Encoder.Append(record)
}

func (e *failing) Close() error {
	if e.closed++; e.closed-1 == e.close {
		return e.err
	}
	return e.Encoder.Close()
}
