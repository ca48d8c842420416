package selection

import (
	"errors"
	"strings"
	"testing"
	"time"

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
		{"a row of 10 MB among others", "if(number = 30, repeat(repeat('x', 1000), 10000), 'x')", 1, 1, 10_000_000},
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
