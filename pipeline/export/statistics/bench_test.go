package statistics

import (
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

type kept struct{ records [][]byte }

func (k *kept) Record(r *format.Record) error {
	k.records = append(k.records, append([]byte(nil), r.JSON...))
	return nil
}
func (k *kept) Drop(string, int64)  {}
func (k *kept) Warn(string, []byte) {}

// BenchmarkCounter counts the records of sample runs.
func BenchmarkCounter(b *testing.B) {
	for _, c := range [][2]string{{format.ExportDataset, record.Canonical}, {format.FineTuning, "openai_chat"}} {
		b.Run(c[0]+"/"+c[1], func(b *testing.B) {
			out := &kept{}
			f, err := targets.New(c[0], c[1], nil)
			if err != nil {
				b.Fatal(err)
			}
			s, err := targets.NewStream(c[0], c[1], nil, nil, out)
			if err != nil {
				b.Fatal(err)
			}
			for _, row := range formattest.SampleHistory(b, 4000).Rows(f.Needs(), nil) {
				if err := s.Row(row); err != nil {
					b.Fatal(err)
				}
			}
			bytes := 0
			for _, r := range out.records {
				bytes += len(r)
			}
			b.SetBytes(int64(bytes) / int64(len(out.records)))
			b.ReportAllocs()
			var counter Counter
			for i := 0; b.Loop(); i++ {
				if i%30000 == 0 {
					counter = Counter{}
				}
				counter.Add(out.records[i%len(out.records)])
			}
			b.Logf("%d bytes, %d columns", len(counter.Statistics().JSON()), len(counter.columns))
		})
	}
}
