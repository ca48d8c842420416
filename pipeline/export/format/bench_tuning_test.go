package format

import "testing"

// BenchmarkTuning sends the runs of the sample through each target, one after another as the stage does. Bytes are
// those of the records; a row that is dropped costs its time too.
func BenchmarkTuning(b *testing.B) {
	h := sampleHistory(b, 3000)
	for _, target := range Targets(FineTuning) {
		b.Run(target.Name, func(b *testing.B) {
			f, err := New(FineTuning, target.Name, nil)
			if err != nil {
				b.Fatal(err)
			}
			benchmarkRows(b, f, h.rows(f.Needs(), nil))
		})
	}
}

// BenchmarkTuningLongTexts is of conversations with texts of 4 kB.
func BenchmarkTuningLongTexts(b *testing.B) {
	text := string(mathRow().Answer)
	for len(text) < 4096 {
		text += " and so on,\n" + text
	}
	for _, target := range Targets(FineTuning) {
		b.Run(target.Name, func(b *testing.B) {
			f, err := New(FineTuning, target.Name, nil)
			if err != nil {
				b.Fatal(err)
			}
			good := rated(chatRow(chat(told("x"), user(text), said(text))), "thumbsUp")
			bad := rated(chatRow(chat(told("x"), user(text), said(text+"!"))), "thumbsDown")
			benchmarkRows(b, f, []*Row{good, bad})
		})
	}
}

func benchmarkRows(b *testing.B, f Formatter, rows []*Row) {
	b.Helper()
	b.ReportAllocs()
	var out []byte
	records, bytes := 0, 0
	for b.Loop() {
		records, bytes = 0, 0
		switch f := f.(type) {
		case RowFormatter:
			for _, row := range rows {
				record, drop, err := f.Append(out[:0], row)
				if err != nil {
					b.Fatal(err)
				}
				if drop == "" {
					records, bytes = records+1, bytes+len(record)
				}
				out = record
			}
		case GroupFormatter:
			emit := func(record []byte, _ ...Source) error {
				records, bytes = records+1, bytes+len(record)
				return nil
			}
			for i, row := range rows {
				if _, err := f.Add(row); err != nil {
					b.Fatal(err)
				}
				if i+1 == len(rows) || string(rows[i+1].Group) != string(row.Group) {
					if err := f.Flush(emit, func(string, int) {}); err != nil {
						b.Fatal(err)
					}
				}
			}
		}
	}
	b.SetBytes(int64(bytes))
	b.ReportMetric(float64(records)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(len(rows))*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
