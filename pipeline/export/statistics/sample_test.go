package statistics

import "testing"

func TestSamplesAreEvenAndBounded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rows                          int64
		windows, counted, from, until int // until: the most records of all windows
	}{
		{0, 0, 0, 0, 0}, {1, 1, 1, 1, 1}, {10_000, 1, 1, 10_000, 10_000}, {10_001, 2, 2, 4990, 5010},
		{100_000, 4, 4, 9990, 10_010}, {1_920_000, 64, 64, 9800, 10_200}, {1_950_000, 65, 33, 9800, 10_200},
		{3_000_000_000, 100_000, 64, 9800, 10_200}, {90_000, 90_000, 64, 64, 64},
	} {
		s := NewSample(c.rows, c.windows)
		windows, records := 0, 0
		var turns [7]int
		for w := range c.windows {
			if !s.Window(w) {
				continue
			}
			windows++
			for i := range c.rows / int64(c.windows) {
				if s.Record(i) {
					records++
					turns[i%7]++
				}
			}
		}
		if windows != c.counted || records < c.from || records > c.until {
			t.Errorf("of %d rows in %d windows, %d records of %d windows are counted", c.rows, c.windows, records, windows)
		}
		for _, n := range turns {
			if records > 1000 && (n < records/7-records/50 || n > records/7+records/50) {
				t.Errorf("of %d rows that come in turn, %v are counted", c.rows, turns)
			}
		}
	}
}
