package formattest

import (
	"bytes"
	"iter"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// EveryTarget yields each purpose with each of its targets.
func EveryTarget() iter.Seq2[string, *format.Target] {
	return func(yield func(string, *format.Target) bool) {
		for _, purpose := range format.Purposes {
			for _, target := range targets.Targets(purpose) {
				if !yield(purpose, target) {
					return
				}
			}
		}
	}
}

// Outcome collects the records and counts of a Stream.
type Outcome struct {
	Records    [][]byte
	splits     []string // of each record
	Partitions []string // of each record
	Lineage    [][]byte
	Used       int64
	Dropped    map[string]int64
	Warned     map[string]int64
	WarnedRuns map[string][]string
	Keys       []string
}

// Record implements [format.Output].
func (o *Outcome) Record(r *format.Record) error {
	o.Records = append(o.Records, bytes.Clone(r.JSON))
	o.splits, o.Partitions = append(o.splits, r.Split), append(o.Partitions, r.Partition)
	for _, l := range r.Lineage {
		o.Lineage = append(o.Lineage, append([]byte("{"), l...))
	}
	o.Used += r.Rows
	return nil
}

// Drop implements [format.Output].
func (o *Outcome) Drop(reason string, rows int64) { o.Dropped[reason] += rows }

// Warn implements [format.Output].
func (o *Outcome) Warn(code string, run []byte) {
	o.Warned[code]++
	if o.WarnedRuns == nil {
		o.WarnedRuns = map[string][]string{}
	}
	o.WarnedRuns[code] = append(o.WarnedRuns[code], string(run))
}

// StreamRows sends rows through a target, and checks that each row is used or dropped.
func StreamRows(t testing.TB, purpose, target string, options map[string]any, rows []*record.Row) *Outcome {
	t.Helper()
	o := &Outcome{Dropped: map[string]int64{}, Warned: map[string]int64{}}
	s, err := targets.NewStream(purpose, target, options, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if err := s.Row(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	o.Keys = s.Keys()
	dropped := int64(0)
	for _, n := range o.Dropped {
		dropped += n
	}
	if o.Used+dropped != int64(len(rows)) {
		t.Errorf("%s/%s: %d rows used and %v dropped, of %d", purpose, target, o.Used, o.Dropped, len(rows))
	}
	return o
}

// StreamHistory sends the rows of a history through a target: all runs, or all node runs for node
// purposes.
func StreamHistory(t testing.TB, purpose, target string, options map[string]any, h *history, apps ...string) *Outcome {
	t.Helper()
	f, err := targets.New(purpose, target, options)
	if err != nil {
		t.Fatal(err)
	}
	return StreamRows(t, purpose, target, options, h.Rows(f.Needs(), NodesFor(purpose), apps...))
}

// NodesFor returns the nodes whose node runs are the rows of a purpose: all nodes, or nil if the
// rows are runs.
func NodesFor(purpose string) []string {
	if purpose == format.NodeEvaluation || purpose == format.NodeOptimization {
		return []string{"*"}
	}
	return nil
}
