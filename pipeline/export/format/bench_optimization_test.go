package format

import "testing"

// BenchmarkNodeTargets and what follows write the sample's records over and over; MB/s are of output.
func BenchmarkNodeTargets(b *testing.B) {
	h := sampleHistory(b, 2000)
	for _, bench := range []struct {
		name, purpose, target string
		options               map[string]any
	}{
		{"optimization_canonical", NodeOptimization, Canonical, nil},
		{"optimization_dspy", NodeOptimization, "dspy", nil},
		{"answer_insights", ExportDataset, "answer_insights", nil},
		{"dataset_with_nodes", ExportDataset, Canonical, withNodes},
	} {
		b.Run(bench.name, func(b *testing.B) {
			f := newRowFormatter(b, bench.purpose, bench.target, bench.options)
			var nodes []string
			if bench.purpose == NodeOptimization {
				nodes = []string{"*"}
			}
			rows := h.rows(f.Needs(), nodes)
			var buf []byte
			pass := func() (records int, size int64) {
				for _, row := range rows {
					out, drop, err := f.Append(buf[:0], row)
					if err != nil {
						b.Fatal(err)
					}
					if buf = out; drop == "" {
						records, size = records+1, size+int64(len(out))
					}
				}
				return records, size
			}
			records, size := pass()
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				pass()
			}
			b.ReportMetric(float64(records)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

func BenchmarkBedrockAPO(b *testing.B) {
	h := sampleHistory(b, 20_000)
	f, err := New(NodeOptimization, "bedrock_apo", nil)
	if err != nil {
		b.Fatal(err)
	}
	// All rows of the sample's nodes: many more than 100 a template, and only a few of them are written.
	benchmarkGroups(b, f.(GroupFormatter), h.rows(f.Needs(), []string{"*"}), "all")
	var few []*Row
	of := map[string]int{}
	for _, row := range h.rows(f.Needs(), []string{"*"}) {
		if of[string(row.Group)]++; of[string(row.Group)] <= apoSamples {
			few = append(few, row)
		}
	}
	benchmarkGroups(b, f.(GroupFormatter), few, "100_a_template")
}

func benchmarkGroups(b *testing.B, f GroupFormatter, rows []*Row, name string) {
	b.Run(name, func(b *testing.B) {
		var size, in int64
		emit := func(record []byte, _ ...Source) error { size += int64(len(record)); return nil }
		drop := func(string, int) {}
		pass := func() {
			size = 0
			for i, row := range rows {
				if i > 0 && string(rows[i-1].Group) != string(row.Group) {
					_ = f.Flush(emit, drop)
				}
				if _, err := f.Add(row); err != nil {
					b.Fatal(err)
				}
			}
			_ = f.Flush(emit, drop)
		}
		pass()
		for _, row := range rows {
			in += int64(len(row.Node.PromptVariables) + len(row.Node.PromptTemplate) + len(row.Reference))
		}
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			pass()
		}
		seconds := b.Elapsed().Seconds()
		b.ReportMetric(float64(len(rows))*float64(b.N)/seconds, "rows/s")
		b.ReportMetric(float64(in)*float64(b.N)/seconds/1e6, "input-MB/s")
	})
}
