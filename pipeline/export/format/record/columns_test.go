package record_test

import (
	"testing"

	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

func TestColumnsAreWhatTheFormatterWrites(t *testing.T) {
	t.Parallel()
	for purpose, target := range formattest.EveryTarget() {
		f, err := targets.New(purpose, target.Name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if f.Columns() == nil {
			continue
		}
		t.Run(purpose+"/"+target.Name, func(t *testing.T) {
			t.Parallel()
			formattest.CheckColumns(t, purpose, target, nil, f.Columns(), formattest.StreamHistory(t, purpose, target.Name, nil,
				formattest.SampleHistory(t, 3000)).Records)
		})
	}
}
