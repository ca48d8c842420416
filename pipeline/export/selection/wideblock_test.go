package selection

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

// However wide rows are, blocks of some number of rows let them pass.
func TestOversizedRowsAreReadInSmallerBlocks(t *testing.T) {
	t.Parallel()
	dsn := clickhousetest.Database(t)
	exec(t, dsn, insertRuns...)
	for _, test := range []struct {
		name        string
		question    string    // of 40 rows, by their number
		rows        BlockRows // with which they pass
		least, most int       // bytes of a question
	}{
		{"narrow rows", "'narrow'", maxReadBlock, 6, 6},
		{"rows of 100 kB", "repeat('x', 100000)", maxReadBlock, 100_000, 100_000},
		{"rows of 2 MB", "repeat(repeat('x', 1000), 2000)", 1, 2_000_000, 2_000_000},
		{"a row of 17 MB among others", "if(number = 30, repeat(repeat('x', 1000), 17000), 'x')", 1, 1, 17_000_000},
	} {
		sql := strings.Replace(numbered(40, "ORDER BY sipHash64(number)"), "repeat(toString(number % 10), 200)",
			test.question, 1)
		for rows := BlockRows(0); ; rows = rows.Fewer() {
			least, most := 1<<30, 0
			n, err := ReadRows(t.Context(), dial(t, dsn), RowQuery{Query: clickhouse.Query{
				SQL: sql, Settings: ReadSettings("a test", time.Minute, rows),
			}}, func(row *record.Row) error {
				least, most = min(least, len(row.Question)), max(most, len(row.Question))
				return nil
			})
			if errors.Is(err, ErrWide) && !rows.Wide() {
				continue
			}
			if err != nil || n != 40 || rows.rows() != test.rows || least != test.least || most != test.most {
				t.Errorf("%s: %d rows in blocks of %d, of %d to %d bytes, %v", test.name, n, rows.rows(), least, most, err)
			}
			break
		}
	}
}

// Texts of any lengths are read as ch-go reads them, whatever arrives at a time, and not a byte beyond the column.
func TestTextsAreReadAsTheyWereSent(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	column := &textColumn{room: &room{}}
	for round := range 500 {
		var sent proto.ColStr
		for range random.IntN(300) {
			size := []int{0, 1, 127, 128, 300, 16_383, 16_384}[random.IntN([]int{1, 3, 5, 7}[round%4])]
			text := make([]byte, size)
			for i := range text {
				text[i] = byte(random.Uint32())
			}
			sent.AppendBytes(text)
		}
		var b proto.Buffer
		sent.EncodeColumn(&b)
		b.PutString("what follows")
		var from io.Reader = bytes.NewReader(b.Buf)
		if round%2 == 0 {
			from = iotest.HalfReader(from)
		}
		r := proto.NewReader(from)
		column.room.used = 0
		if err := column.DecodeColumn(r, sent.Rows()); err != nil {
			t.Fatal(err)
		}
		if column.Rows() != sent.Rows() || column.room.used != len(sent.Buf) {
			t.Fatalf("%d texts of %d bytes, want %d of %d", column.Rows(), column.room.used, sent.Rows(), len(sent.Buf))
		}
		for i := range sent.Rows() {
			if !bytes.Equal(view(column, i), sent.RowBytes(i)) {
				t.Fatalf("round %d, text %d of %d differs", round, i, sent.Rows())
			}
		}
		if next, err := r.Str(); next != "what follows" {
			t.Fatalf("after it comes %q, %v", next, err)
		}
		if n := sent.Rows(); n > 0 {
			short := proto.NewReader(bytes.NewReader(b.Buf[:len(b.Buf)-len("what follows")-2]))
			column.room.used = 0
			if err := column.DecodeColumn(short, n); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("a column that lacks its last byte: %v", err)
			}
		}
	}
	column.room.used = 0
	endless := proto.NewReader(bytes.NewReader(bytes.Repeat([]byte{0xff}, 100)))
	if err := column.DecodeColumn(endless, 3); err == nil || !strings.Contains(err.Error(), "has no length") {
		t.Errorf("a length without an end: %v", err)
	}
}

func BenchmarkTexts(b *testing.B) {
	for _, size := range []int{0, 20, 300, 2000} {
		var sent proto.ColStr
		for range maxReadBlock {
			sent.AppendBytes(make([]byte, size))
		}
		var encoded proto.Buffer
		sent.EncodeColumn(&encoded)
		for name, column := range map[string]proto.ColResult{"ch-go": new(proto.ColStr),
			"ours": &textColumn{room: &room{whole: true}}} {
			b.Run(fmt.Sprintf("%d bytes/%s", size, name), func(b *testing.B) {
				b.SetBytes(int64(len(encoded.Buf)))
				r := proto.NewReader(&again{text: encoded.Buf})
				for b.Loop() {
					column.Reset()
					if err := column.DecodeColumn(r, maxReadBlock); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// again reads a text again and again.
type again struct {
	text []byte
	at   int
}

func (a *again) Read(p []byte) (int, error) {
	n := copy(p, a.text[a.at:])
	a.at = (a.at + n) % len(a.text)
	return n, nil
}
