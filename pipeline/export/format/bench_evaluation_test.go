package format

import "testing"

// BenchmarkEvaluation measures each evaluation target on the rows of the sample: bytes of records made.
func BenchmarkEvaluation(b *testing.B) {
	h := sampleHistory(b, 2000)
	for _, purpose := range evaluationPurposes {
		for _, target := range Targets(purpose) {
			b.Run(purpose+"/"+target.Name, func(b *testing.B) {
				f := newRowFormatter(b, purpose, target.Name, nil)
				var nodes []string
				if purpose == NodeEvaluation {
					nodes = []string{"*"}
				}
				rows := h.rows(f.Needs(), nodes)
				var out []byte
				size, records := 0, 0
				for _, row := range rows {
					var drop string
					if out, drop, _ = f.Append(out[:0], row); drop == "" {
						size += len(out)
						records++
					}
				}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					for _, row := range rows {
						out, _, _ = f.Append(out[:0], row)
					}
				}
				b.ReportMetric(float64(records)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
			})
		}
	}
}
