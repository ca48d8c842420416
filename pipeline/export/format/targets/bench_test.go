package targets_test

import (
	"bytes"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// BenchmarkTargets sends the rows of 2,000 sample runs, or of their node runs, through each target,
// one after another as the stage does. The time includes dropped rows. MB/s counts the bytes of the
// records. For targets that make one record of several rows, MB/s counts the documents and texts of
// the rows, and out-MB/s counts the records.
func BenchmarkTargets(b *testing.B) {
	for purpose, target := range formattest.EveryTarget() {
		b.Run(purpose+"/"+target.Name, func(b *testing.B) { benchmarkSample(b, purpose, target.Name, nil, 2000) })
	}
}

// BenchmarkNodesOfRuns is of the canonical data set with every node run of a run in its record.
func BenchmarkNodesOfRuns(b *testing.B) {
	benchmarkSample(b, format.ExportDataset, record.Canonical, map[string]any{"with_nodes": true}, 2000)
}

// BenchmarkBedrockAPO is of many more rows than a template has samples, of which only a few are
// written, and of no more.
func BenchmarkBedrockAPO(b *testing.B) {
	f, err := targets.New(format.NodeOptimization, "bedrock_apo", nil)
	if err != nil {
		b.Fatal(err)
	}
	all := formattest.SampleHistory(b, 20_000).Rows(f.Needs(), formattest.NodesFor(format.NodeOptimization))
	var few []*record.Row
	for group := range formattest.Chunked(all) {
		few = append(few, group[:min(100, len(group))]...)
	}
	b.Run("all", func(b *testing.B) { benchmarkRows(b, f, all) })
	b.Run("100_a_template", func(b *testing.B) { benchmarkRows(b, f, few) })
}

// BenchmarkLongTexts is of conversations with texts of 4 kB, two to the same input.
func BenchmarkLongTexts(b *testing.B) {
	text := string(formattest.MathRow().Answer)
	for len(text) < 4096 {
		text += " and so on,\n" + text
	}
	good := formattest.Rated(formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.UserSays(text),
		formattest.AssistantSays(text))), "thumbsUp")
	bad := formattest.Rated(formattest.ChatRow(formattest.Chat(formattest.SystemSays("x"), formattest.UserSays(text),
		formattest.AssistantSays(text+"!"))), "thumbsDown")
	for _, target := range targets.Targets(format.FineTuning) {
		b.Run(target.Name, func(b *testing.B) {
			f, err := targets.New(format.FineTuning, target.Name, nil)
			if err != nil {
				b.Fatal(err)
			}
			benchmarkRows(b, f, []*record.Row{good, bad})
		})
	}
}

func benchmarkSample(b *testing.B, purpose, target string, options map[string]any, runs int) {
	b.Helper()
	f, err := targets.New(purpose, target, options)
	if err != nil {
		b.Fatal(err)
	}
	benchmarkRows(b, f, formattest.SampleHistory(b, runs).Rows(f.Needs(), formattest.NodesFor(purpose)))
}

func benchmarkRows(b *testing.B, f format.Formatter, rows []*record.Row) {
	b.Helper()
	records, written := 0, int64(0)
	emit := func(record []byte, _ ...format.Source) error {
		records, written = records+1, written+int64(len(record))
		return nil
	}
	var out []byte
	pass := func() {
		records, written = 0, 0
		for i, row := range rows {
			var drop string
			var err error
			switch f := f.(type) {
			case format.RowFormatter:
				if out, drop, err = f.Append(out[:0], row); drop == "" {
					_ = emit(out)
				}
			case format.GroupFormatter:
				_, err = f.Add(row)
				if err == nil && (i+1 == len(rows) || !bytes.Equal(rows[i+1].Group, row.Group)) {
					err = f.Flush(emit, func(string, int) {}, func(string) {})
				}
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	pass()
	b.SetBytes(written)
	if _, group := f.(format.GroupFormatter); group {
		b.SetBytes(read(rows))
	}
	b.ReportAllocs()
	for b.Loop() {
		pass()
	}
	passes := float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(float64(records)*passes, "records/s")
	b.ReportMetric(float64(len(rows))*passes, "rows/s")
	if _, group := f.(format.GroupFormatter); group {
		b.ReportMetric(float64(written)*passes/1e6, "out-MB/s")
	}
}

// read is how many bytes the documents and texts of rows have.
func read(rows []*record.Row) (n int64) {
	for _, row := range rows {
		e := row.Subject()
		texts := [][]byte{e.Inputs, e.Outputs, e.Messages, e.Tools, row.SystemInputs, row.Question, row.Answer, row.Reference}
		if row.HasFeedback {
			texts = append(texts, row.Feedback.Comment, row.Feedback.CorrectedAnswer)
		}
		if row.Node != nil {
			texts = append(texts, row.Node.PromptTemplate, row.Node.PromptVariables)
		}
		for _, text := range texts {
			n += int64(len(text))
		}
	}
	return n
}
