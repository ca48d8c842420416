package runs_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/runs"
)

func TestTheSameInputIsTheSameGroup(t *testing.T) {
	t.Parallel()
	base := runs.Run{RunID: "r1", Question: "Wie spät ist es?", Inputs: `{"a":1,"b":{"x":"one two","y":[true,null,"z"]}}`}
	same := map[string]runs.Run{
		"another run":          {RunID: "r2", Question: base.Question, Inputs: base.Inputs},
		"white space":          {Question: "  Wie\tspät \n ist es?\u00a0", Inputs: base.Inputs},
		"decomposed":           {Question: "Wie spa\u0308t ist es?", Inputs: base.Inputs},
		"keys in other orders": {Question: base.Question, Inputs: `{"b":{"y":[true,null,"z"],"x":"one two"},"a":1}`},
		"escapes": {Question: base.Question,
			Inputs: `{"\u0061":1,"b":{"x":"one \t\u0074wo ","y":[true,null,"z"]}}`},
		"messages of no user": {Question: base.Question, Inputs: base.Inputs,
			Messages: `[{"role":"assistant","content":"Hello"}]`},
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
		if !strings.HasPrefix(g, "02") || len(g) != 32 {
			t.Errorf("%s: group %q", name, g)
		}
		if there := seen[g]; there != "" {
			t.Errorf("%s has the group of %s", name, there)
		}
		seen[g] = name
	}
}

// A text that looks like the end of a value and the next key is a text all the same.
func TestATextIsNoPartOfTheShapeOfAnInput(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, inputs := range []string{
		`{"a":"1","b":"2"}`, `{"a":"1\"\u0002b\u0001\"2"}`, `{"a\u0001\"1\"\u0002b":"2"}`, `{"a":"1\" b \"2"}`,
	} {
		r := runs.Run{RunID: "r", Inputs: inputs}
		if there := seen[r.InputGroup()]; there != "" {
			t.Errorf("%s has the group of %s", inputs, there)
		}
		seen[r.InputGroup()] = inputs
	}
}

// Each conversation is compared with the first one: has it the same input, and in the same context?
func TestTwoGroupsTwoMeanings(t *testing.T) {
	t.Parallel()
	const (
		hello  = `{"role":"user","content":"Good morning"},{"role":"assistant","content":"How can I help?"}`
		ask    = `{"role":"user","content":"Rent a  boat"}`
		answer = `{"role":"assistant","content":"Done."}`
		guide  = `{"role":"system","content":"You rent boats."}`
		called = `{"role":"assistant","content":null,"tool_calls":[{"id":"%","type":"function","function":` +
			`{"name":"boats","arguments":"{}"}}]},{"role":"tool","tool_call_id":"%","content":"3"}`
		tools = `[{"type":"function","function":{"name":"boats","description":"Free boats"}}]`
	)
	calls := func(id string) string { return strings.ReplaceAll(called, "%", id) }
	chat := func(messages ...string) *runs.Run {
		return &runs.Run{RunID: messages[0], Question: "Good morning", Messages: "[" + strings.Join(messages, ",") + "]"}
	}
	with := func(r *runs.Run, change func(*runs.Run)) *runs.Run { change(r); return r }
	base := chat(guide, hello, ask, answer)
	for _, c := range []struct {
		name           string
		run            *runs.Run
		input, context bool
	}{
		{"another answer", chat(guide, hello, ask, `{"role":"assistant","content":"No boat is left."}`), true, true},
		{"no answer yet", chat(guide, hello, ask), true, true},
		{"calls on the way to the answer", chat(guide, hello, ask, calls("c1"), answer), true, true},
		{"another question, inputs and run", with(chat(guide, hello, ask, answer), func(r *runs.Run) {
			r.RunID, r.Question, r.Inputs, r.SystemInputs = "other", "Rent a boat", `{"a":1}`, `{"system":"You sail."}`
		}), true, true},
		{"white space and decomposed letters", chat(guide, hello, `{"role":"user","content":" Rent\na boat "}`), true, true},
		{"parts of text", chat(`{"role":"system","content":[{"type":"text","text":"You rent"},{"type":"text","text":"boats."}]}`,
			hello, `{"content":[{"text":"Rent a boat","type":"text","annotations":null}],"role":"user","name":null}`), true, true},
		{"the developer's message", chat(strings.Replace(guide, "system", "developer", 1), hello, ask), true, true},
		{"no tools", with(chat(guide, hello, ask), func(r *runs.Run) { r.Tools = "[]" }), true, true},

		{"another system prompt", chat(`{"role":"system","content":"You rent yachts."}`, hello, ask, answer), true, false},
		{"no system prompt", chat(hello, ask, answer), true, false},
		{"tools", with(chat(guide, hello, ask, answer), func(r *runs.Run) { r.Tools = tools }), true, false},

		{"the same beginning", chat(guide, hello, `{"role":"user","content":"Sell a boat"}`, answer), false, false},
		{"only the beginning", chat(guide, hello), false, false},
		{"a user who goes on", chat(guide, hello, ask, answer, `{"role":"user","content":"Thanks"}`), false, false},
		{"another answer before", chat(guide, `{"role":"user","content":"Good morning"},{"role":"assistant","content":"Yes?"}`,
			ask), false, false},
		{"a call before", chat(guide, hello, calls("c1"), ask), false, false},
		{"a name", chat(guide, hello, `{"role":"user","name":"Ann","content":"Rent a boat"}`), false, false},
		{"a picture", chat(guide, hello, `{"role":"user","content":[{"type":"text","text":"Rent a boat"},`+
			`{"type":"image_url","image_url":{"url":"u"}}]}`), false, false},
		{"a file", chat(guide, hello, `{"role":"user","content":[{"type":"file","file":{"file_id":"f"}}]}`), false, false},
		{"the question alone", &runs.Run{Question: "Good morning"}, false, false},
		{"what is not a conversation", &runs.Run{Messages: `[1,{},{"role":7}]`, Question: "Good morning"}, false, false},
	} {
		input := c.run.InputGroup() == base.InputGroup()
		if context := input && c.run.ContextHash() == base.ContextHash(); input != c.input || context != c.context {
			t.Errorf("%s: same input %t, same context %t, want %t and %t", c.name, input, context, c.input, c.context)
		}
	}

	one, two := chat(hello, calls("c1"), ask), chat(hello, calls("call_9f"), ask)
	if one.InputGroup() != two.InputGroup() {
		t.Error("the ids of calls count")
	}
	parallel := func(first, second string) *runs.Run {
		return chat(ask, `{"role":"assistant","tool_calls":[{"id":"a"},{"id":"b"}]}`,
			`{"role":"tool","tool_call_id":"`+first+`","content":"x"}`, `{"role":"tool","tool_call_id":"`+second+`","content":"x"}`, ask)
	}
	if parallel("a", "b").InputGroup() == parallel("b", "a").InputGroup() {
		t.Error("which call a tool answers does not count")
	}
	if hash := chat(hello).ContextHash(); hash != "" {
		t.Errorf("a run without a system prompt and tools has the context %q", hash)
	}
	for name, system := range map[string]string{"none": "", "one": `{"system":"You sail."}`, "another": `{"system":"You row.","n":1}`,
		"nothing": `{"system":null}`} {
		r := &runs.Run{Question: "q", SystemInputs: system}
		if known := strings.Contains(system, "You"); known != strings.HasPrefix(r.ContextHash(), "02") {
			t.Errorf("system input, %s: context %q", name, r.ContextHash())
		}
	}
	a, b := runs.Run{SystemInputs: `{"system":"You sail."}`}, runs.Run{SystemInputs: `{"at":"noon","system":" You sail."}`}
	if a.ContextHash() != b.ContextHash() {
		t.Error("more than the system prompt of the system inputs counts")
	}
}

func TestNodeRunsAreGroupedByNodeAndInput(t *testing.T) {
	t.Parallel()
	chat := func(system, user string) string {
		return `[{"role":"system","content":"` + system + `"},{"role":"user","content":"` + user + `"}]`
	}
	base := runs.Node{NodeID: "solve", NodeRunID: "1", Inputs: `{"q":"one"}`, Messages: chat("s", "u"), PromptTemplate: "T {q}"}
	for name, c := range map[string]struct {
		node           runs.Node
		input, context bool
	}{
		"another run": {runs.Node{NodeID: "solve", NodeRunID: "2", Inputs: `{"q":" one"}`, Messages: chat("s", " u"),
			PromptTemplate: "T  {q}", PromptVariables: `{"v":1}`}, true, true},
		"another prompt": {runs.Node{NodeID: "solve", Inputs: `{"q":"one"}`, Messages: chat("t", "u"),
			PromptTemplate: "T {q}"}, true, false},
		"other messages": {runs.Node{NodeID: "solve", Inputs: `{"q":"one"}`, Messages: chat("s", "v"),
			PromptTemplate: "T {q}"}, true, false},
		"another template": {runs.Node{NodeID: "solve", Inputs: `{"q":"one"}`, Messages: chat("s", "u"),
			PromptTemplate: "U {q}"}, true, false},
		"tools": {runs.Node{NodeID: "solve", Inputs: `{"q":"one"}`, Messages: chat("s", "u"), PromptTemplate: "T {q}",
			Tools: `[{}]`}, true, false},
		"other variables": {runs.Node{NodeID: "solve", Inputs: `{"q":"one"}`, PromptTemplate: "T {q}",
			PromptVariables: `{"v":1}`}, true, false},
		"another node":   {runs.Node{NodeID: "check", NodeRunID: "1", Inputs: `{"q":"one"}`}, false, false},
		"other inputs":   {runs.Node{NodeID: "solve", NodeRunID: "1", Inputs: `{"q":"two"}`}, false, false},
		"variables only": {runs.Node{NodeID: "solve", NodeRunID: "1", PromptVariables: `{"v":1}`}, false, false},
		"messages only":  {runs.Node{NodeID: "solve", NodeRunID: "1", Messages: chat("s", "u")}, false, false},
		"nothing":        {runs.Node{NodeID: "solve", NodeRunID: "1", RunID: "r"}, false, false},
	} {
		input := c.node.InputGroup() == base.InputGroup()
		if context := input && c.node.ContextHash() == base.ContextHash(); input != c.input || context != c.context {
			t.Errorf("%s: same input %t, same context %t, want %t and %t", name, input, context, c.input, c.context)
		}
	}
	a, b := runs.Node{NodeID: "solve", Messages: chat("s", "u")}, runs.Node{NodeID: "solve", Messages: chat("t", "u")}
	if a.InputGroup() != b.InputGroup() || a.ContextHash() == b.ContextHash() {
		t.Error("by messages: the system prompt is of the input and not of the context")
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

// BenchmarkGroupsOfChat is of a chat of eleven messages, about 2 kB.
func BenchmarkGroupsOfChat(b *testing.B) {
	text := `"A bakery’s oven holds 18 trays and each tray has 24 rolls. On Monday 3 trays burn and the rest is sold for $2 ` +
		`per roll.\nHow many are left?"`
	turn := `,{"role":"user","content":` + text + `},{"role":"assistant","content":` + text + `}`
	r := runs.Run{Question: "q", Messages: `[{"role":"system","content":` + text + `}` + strings.Repeat(turn, 5) + `]`}
	b.SetBytes(int64(len(r.Messages)))
	b.ReportAllocs()
	for b.Loop() {
		r.InputGroup()
		r.ContextHash()
	}
}

// Texts that are normal already take a shorter way than others.
func TestWhiteSpaceNeverDividesAGroup(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		words := make([]string, 1+random.IntN(5))
		for i := range words {
			for range 1 + random.IntN(4) {
				words[i] += string(rune('!' + random.IntN('~'-'!')))
			}
		}
		one := &runs.Run{RunID: "a", Question: strings.Join(words, " ")}
		for _, other := range []string{strings.Join(words, "  "), strings.Join(words, "\t"), " " + one.Question,
			one.Question + "\n", one.Question + "\u00a0"} {
			if other := (&runs.Run{RunID: "b", Question: other}); one.InputGroup() != other.InputGroup() {
				t.Fatalf("%q and %q are in two groups", one.Question, other.Question)
			}
		}
	}
}
