package targets_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

// longRow returns a run, or a node run, each of whose texts is a piece that is repeated up to a MiB.
func longRow(t *testing.T, piece string, ofNode bool) *record.Row {
	t.Helper()
	text := strings.Repeat(piece, (1<<20)/len(piece))
	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	messages := formattest.Chat(formattest.SystemSays("s"), `{"role":"user","content":`+string(quoted)+`}`,
		`{"role":"assistant","content":`+string(quoted)+`}`)
	r := formattest.Rated(formattest.ChatRow(messages), "thumbsUp")
	r.Question, r.Answer, r.Reference = []byte(text), []byte(text), []byte(text)
	r.Inputs, r.Outputs = []byte(`{"a":`+string(quoted)+`}`), []byte(`{"a":`+string(quoted)+`}`)
	if ofNode {
		r.Node = &record.Node{Execution: r.Execution, NodeID: []byte("n"), NodeRunID: []byte("n1"), NodeType: []byte("llm"),
			PromptTemplate: []byte("Say {{a}} " + text), PromptVariables: r.Inputs}
	}
	return r
}

// No target scans a text again and again: of the square of a MiB, this test would see no end.
func TestLongTextsOfOnePieceReachTheirEnd(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("large texts and no concurrency: it runs without -short")
	}
	for _, piece := range []string{"7", "1e", "{{a}}", `\`, "\n"} {
		run, node := longRow(t, piece, false), longRow(t, piece, true)
		for purpose, target := range formattest.EveryTarget() {
			row := run
			if formattest.NodesFor(purpose) != nil {
				row = node
			}
			o := formattest.StreamRows(t, purpose, target.Name, nil, []*record.Row{row})
			if len(o.Records) == 0 && len(o.Dropped) == 0 {
				t.Errorf("%s %s: %q repeated is no record, and nothing says why", purpose, target.Name, piece)
			}
		}
	}
}
