package optimization

import (
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format/record"
)

func TestDSPyKeysAreBounded(t *testing.T) {
	t.Parallel()
	f := newDSPy("", nil).(*dspy)
	for i := range 3 * maxKnownKeys {
		row := &record.Row{RunID: []byte("r"), Node: &record.Node{NodeRunID: []byte("n"),
			Execution: record.Execution{Outputs: []byte(`{"answer":"x"}`)}}}
		row.Node.PromptVariables = append(append([]byte(`{`), strconv.Quote(strings.Repeat("x", i%7)+string(rune('a'+i%26))+
			string(rune(0x4e00+i%20000)))...), `:"v"}`...)
		if _, _, err := f.Append(nil, row); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.known) > maxKnownKeys {
		t.Errorf("%d keys are kept", len(f.known))
	}
}
