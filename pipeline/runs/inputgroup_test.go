package runs_test

import (
	"testing"

	"github.com/millrace/millrace/pipeline/runs"
)

func TestTheSameInputIsTheSameGroup(t *testing.T) {
	t.Parallel()
	base := runs.Run{RunID: "r1", Question: "Wie spät ist es?", Inputs: `{"a":1,"b":{"x":"one two","y":[true,null,"z"]}}`,
		Messages: `[1]`}
	same := map[string]runs.Run{
		"another run":          {RunID: "r2", Question: base.Question, Inputs: base.Inputs},
		"white space":          {Question: "  Wie\tspät \n ist es?\u00a0", Inputs: base.Inputs},
		"decomposed":           {Question: "Wie spa\u0308t ist es?", Inputs: base.Inputs},
		"keys in other orders": {Question: base.Question, Inputs: `{"b":{"y":[true,null,"z"],"x":"one two"},"a":1}`},
		"escapes": {Question: base.Question,
			Inputs: `{"\u0061":1,"b":{"x":"one \t\u0074wo ","y":[true,null,"z"]}}`},
	}
	for name, r := range same {
		if r.InputGroup() != base.InputGroup() {
			t.Errorf("%s: another group", name)
		}
	}
	other := map[string]runs.Run{
		"case":             {Question: "wie spät ist es?", Inputs: base.Inputs},
		"another question": {Question: "Wie spät ist", Inputs: base.Inputs},
		"no inputs":        {Question: base.Question},
		"only inputs":      {Inputs: base.Inputs},
		"another number":   {Question: base.Question, Inputs: `{"a":1.0,"b":{"x":"one two","y":[true,null,"z"]}}`},
		"another order":    {Question: base.Question, Inputs: `{"a":1,"b":{"x":"one two","y":[null,true,"z"]}}`},
		"a text":           {Question: base.Question, Inputs: `{"a":"1","b":{"x":"one two","y":[true,null,"z"]}}`},
		"another place":    {Question: base.Question, Inputs: `{"a":1,"b":{"y":"one two","x":[true,null,"z"]}}`},
		"messages":         {RunID: "r1", Messages: `[{"role":"user","content":"Wie spät ist es?"}]`},
		"nothing":          {RunID: "r1"},
		"nothing, another": {RunID: "r2"},
	}
	seen := map[string]string{base.InputGroup(): "the base"}
	for name, r := range other {
		g := r.InputGroup()
		if len(g) != 32 {
			t.Errorf("%s: group %q", name, g)
		}
		if there := seen[g]; there != "" {
			t.Errorf("%s has the group of %s", name, there)
		}
		seen[g] = name
	}
}

func TestNodeRunsAreGroupedByNodeAndInput(t *testing.T) {
	t.Parallel()
	group := func(n runs.Node) string { return n.InputGroup() }
	solve := group(runs.Node{NodeID: "solve", NodeRunID: "1", Inputs: `{"q":"one"}`})
	for name, same := range map[string]bool{
		group(runs.Node{NodeID: "solve", NodeRunID: "2", Inputs: `{"q":" one"}`, PromptVariables: `{"v":1}`}): true,
		group(runs.Node{NodeID: "check", NodeRunID: "1", Inputs: `{"q":"one"}`}):                              false,
		group(runs.Node{NodeID: "solve", NodeRunID: "1", Inputs: `{"q":"two"}`}):                              false,
		group(runs.Node{NodeID: "solve", NodeRunID: "1", PromptVariables: `{"v":1}`}):                         false,
		group(runs.Node{NodeID: "solve", NodeRunID: "1", RunID: "r"}):                                         false,
	} {
		if (name == solve) != same {
			t.Errorf("group %s, want the same: %t", name, same)
		}
	}
}

func BenchmarkInputGroup(b *testing.B) {
	text := "A bakery’s oven holds 18 trays and each tray has 24 rolls. On Monday 3 trays burn and the rest is sold for " +
		"$2 per roll, half of it before noon."
	r := runs.Run{Question: text, Inputs: `{"question":"` + text + `","n":3}`}
	b.SetBytes(int64(len(r.Question) + len(r.Inputs)))
	b.ReportAllocs()
	for b.Loop() {
		r.InputGroup()
	}
}
