package purposes

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/export"
)

// chatRun is the event of a run of a copilot with messages and tools, which may be nil.
func chatRun(app, id string, messages, tools any) object {
	run := object{"type": "dev.millrace.run.v1", "workspace_id": "default", "run_id": id, "source": "copilot",
		"app_id": app, "started_at": "2026-10-05T08:00:00Z", "ended_at": "2026-10-05T08:00:02Z", "status": "succeeded", "question": "q " + id,
		"messages": messages}
	if tools != nil {
		run["tools"] = tools
	}
	return run
}

// replayed writes events to a file, replays it and waits until they are ingested.
func replayed(t *testing.T, s *e2etest.Site, events ...object) {
	t.Helper()
	var lines strings.Builder
	for _, e := range events {
		lines.WriteString(e2etest.JSONText(t, e) + "\n")
	}
	path := filepath.Join(t.TempDir(), "events.jsonl")
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Env.Run(t, "replay", path)
	e2etest.WaitIngested(t, s)
}

// tuned files an export of fine-tuning data of all runs of an app.
func tuned(t *testing.T, b *e2etest.Batch, app, id string, fields object) {
	t.Helper()
	request := object{"export_id": id, "workspace_id": "default", "source": "copilot", "app_id": app,
		"purpose": "fine_tuning", "selection": object{"limit": 10_000}, "options": object{"dedupe": false}}
	maps.Copy(request, fields)
	b.File(t, request)
}

// call is a message of the assistant that calls a function.
func call(id, name, arguments string) object {
	return object{"role": "assistant", "tool_calls": []any{object{"id": id, "type": "function",
		"function": object{"name": name, "arguments": arguments}}}}
}

func TestTheLastTurnMayBeACallAndWeightsStay(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	s.Env.Start(t, "ingest")
	s.Env.Start(t, "export")
	user := func(text string) object { return object{"role": "user", "content": text} }
	assistant := func(text string) object { return object{"role": "assistant", "content": text} }
	takeOff := []any{object{"type": "function", "function": object{"name": "take_off",
		"parameters": object{"type": "object", "properties": object{"altitude": object{"type": "integer"}}}}}}
	one := chatRun("last-call", "one", []any{user("Let the drone take off"), call("c1", "take_off", `{"altitude":100}`)},
		takeOff)
	two := chatRun("last-call", "two", []any{user("Change my address"), assistant("To which one?"), user("1 Long Road"),
		call("c1", "change", `{}`)}, nil)
	wrong, right := assistant("5"), assistant("4")
	wrong["weight"], right["weight"] = 0, 1
	weighed := chatRun("weights", "weighed", []any{user("2+2?"), wrong, user("Sure?"), right}, nil)
	replayed(t, s, one, two, weighed)
	batch := e2etest.NewBatch(t, s)
	tuned(t, batch, "last-call", "calls", object{})
	tuned(t, batch, "last-call", "elsewhere", object{"target": "gemini"})
	tuned(t, batch, "weights", "weights", object{})
	tuned(t, batch, "weights", "unweighed", object{"target": "gemini"})
	ended := batch.Wait(t)
	of := func(id string) *export.Completion {
		c := ended[export.ID{WorkspaceID: "default", ExportID: id}]
		return &c
	}
	for id, runs := range map[string][]object{"calls": {one, two}, "weights": {weighed}} {
		same(t, of(id), runs)
	}
	if c := of("elsewhere"); c.Records != 1 || c.Dropped["no_assistant_message"] != 1 || !warns(c, "trimmed_tail", 1) {
		t.Errorf("gemini: %d records, dropped %v, warnings %+v", c.Records, c.Dropped, c.Warnings)
	}
	if c := of("unweighed"); c.Records != 0 || c.Dropped["unwanted_answer"] != 1 {
		t.Errorf("gemini: %d records, dropped %v", c.Records, c.Dropped)
	}
}

func warns(c *export.Completion, code string, count int64) bool {
	return slices.ContainsFunc(c.Warnings, func(w export.Warning) bool { return w.Code == code && w.Count == count })
}

// same holds the records of an export against the messages and tools that were sent. Runs of the
// same time are in no certain order.
func same(t *testing.T, c *export.Completion, runs []object) {
	t.Helper()
	var got, want []string
	for _, record := range e2etest.RecordsOf(t, c) {
		got = append(got, e2etest.JSONText(t, []any{record["messages"], record["tools"]}))
	}
	for _, run := range runs {
		want = append(want, e2etest.JSONText(t, []any{run["messages"], run["tools"]}))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: %d records, dropped %v, warnings %+v: they are not the %d that were sent", c.ExportID, c.Records,
			c.Dropped, c.Warnings, len(runs))
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Errorf("%.600s\nwant %.600s", got[i], want[i])
				break
			}
		}
	}
}

// Vendors' own samples come back message for message and tool for tool.
func TestVendorsSamplesComeBackAsTheyAre(t *testing.T) {
	t.Parallel()
	names := []string{"gsm", "tool", "zava", "rft"}
	files := map[string]string{}
	for _, name := range names {
		files[name] = e2etest.Shared(t, filepath.Join("vendor", name+".chats.jsonl.gz"))
	}
	s := e2etest.NewSite(t)
	s.Env.Start(t, "ingest")
	s.Env.Start(t, "export")
	for _, name := range names {
		s.Env.Run(t, "replay", "--as", "openai-chat", "--app", name, files[name])
	}
	e2etest.WaitIngested(t, s)
	batch := e2etest.NewBatch(t, s)
	for _, name := range names {
		tuned(t, batch, name, name, object{})
	}
	ended := batch.Wait(t)
	for _, name := range names {
		c := ended[export.ID{WorkspaceID: "default", ExportID: name}]
		var sent []object
		for _, line := range e2etest.ReadLines(t, files[name]) {
			sent = append(sent, e2etest.ParseObject(t, line))
		}
		t.Logf("%-5s %4d lines, %4d equal to the source, dropped %v, warnings %v", name, len(sent), c.Records, c.Dropped,
			c.Warnings)
		if name == "rft" { // no assistant speaks: there is nothing to learn
			if c.Records != 0 || c.Dropped["no_assistant_message"] != int64(len(sent)) {
				t.Errorf("rft: %d records, dropped %v", c.Records, c.Dropped)
			}
			continue
		}
		same(t, &c, sent)
	}
}

// mistral-common refuses no line that was written, and its rules for definitions of tools are those
// that rows are dropped for.
func TestMistralCommonTakesEveryToolThatIsWritten(t *testing.T) {
	t.Parallel()
	const definitions = 200
	r := rand.New(rand.NewPCG(3, definitions))
	var events []object
	tools := map[string][]any{}
	for i := range definitions {
		id := fmt.Sprintf("run-%03d", i)
		tools[id] = []any{object{"type": "function", "function": object{"name": "f", "description": "d",
			"parameters": randomParameters(r)}}}
		events = append(events, chatRun("tools", id, []any{object{"role": "user", "content": "Hi"}, call("c1", "f", "{}")},
			tools[id]))
	}
	s := e2etest.NewSite(t)
	s.Env.Start(t, "ingest")
	s.Env.Start(t, "export")
	replayed(t, s, events...)
	batch := e2etest.NewBatch(t, s)
	tuned(t, batch, "tools", "tools", object{"target": "mistral"})
	ended := batch.Wait(t)
	c := ended[export.ID{WorkspaceID: "default", ExportID: "tools"}]
	dropped := c.Dropped["invalid_tools"]
	if c.Records+dropped != definitions || c.Records < 50 || dropped < 50 {
		t.Fatalf("%d records, dropped %v", c.Records, c.Dropped)
	}
	for _, line := range e2etest.LineageOf(t, &c) {
		delete(tools, line["run_id"].(string))
	}
	var refused strings.Builder
	ids := slices.Sorted(maps.Keys(tools))
	for _, id := range ids {
		refused.WriteString(e2etest.JSONText(t, tools[id]) + "\n")
	}
	path := filepath.Join(t.TempDir(), "refused.jsonl")
	if err := os.WriteFile(path, []byte(refused.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	verdicts := pythonTool(t, "mistral.py", dataFiles(t, &c)[0], path)
	if len(verdicts) != definitions {
		t.Fatalf("%d verdicts", len(verdicts))
	}
	for i, verdict := range verdicts {
		if written := i < int(c.Records); written != (verdict == "") {
			t.Errorf("line %d: written %v, but mistral-common says %q", i, written, verdict)
		}
	}
}

// pythonTool runs a script of .ci/python and returns the JSON strings that it prints.
func pythonTool(t *testing.T, script string, args ...string) (lines []string) {
	t.Helper()
	for line := range bytes.Lines(e2etest.Python(t, script)(t, "", args...)) {
		var text string
		e2etest.Decode(t, line, &text)
		lines = append(lines, text)
	}
	return lines
}

// randomParameters are parameters of a function, about half of which are no JSON Schema.
func randomParameters(r *rand.Rand) object {
	kinds := []any{"string", "integer", "number", "boolean", []any{"string", "null"}}
	property := func() object { return object{"type": kinds[r.IntN(len(kinds))], "description": "d"} }
	p := object{"type": "object", "properties": object{"a": property(), "b": property(),
		"c": object{"type": "array", "items": property()}}, "required": []any{"a"}}
	a := p["properties"].(object)["a"].(object)
	for range r.IntN(2) + 1 {
		switch r.IntN(16) {
		case 0:
			a["type"] = []string{"text", "float", "any", "str"}[r.IntN(4)]
		case 1:
			a["required"] = true
		case 2:
			p["required"] = "a"
		case 3:
			p["required"] = []any{"a", "a"}
		case 4:
			a["minLength"] = []any{-1, "1", 1.5}[r.IntN(3)]
		case 5:
			a["enum"] = "x"
		case 6:
			a["pattern"] = []string{"(", "[", "*a", "(?<y>a)", `\p{L}`}[r.IntN(5)]
		case 7:
			p["properties"] = []any{a}
		case 8:
			a["items"] = "string"
		case 9:
			a["exclusiveMinimum"] = true
		case 10:
			a["pattern"] = []string{`^\d{4}-\d{2}$`, `[A-Z]+`, `^(a|b)*$`}[r.IntN(3)]
		case 11:
			a["anyOf"] = []any{property(), object{"$ref": "#/$defs/x y"}}
		case 12:
			p["additionalProperties"] = []any{true, false, property()}[r.IntN(3)]
		case 13:
			a["minimum"], a["maxLength"] = -1.5, 3.0
		case 14:
			p["$defs"] = object{"x": object{"type": "object", "patternProperties": object{"^x-": property()}}}
		case 15:
			a["x-anything"] = []any{nil, "string"}
		}
	}
	return p
}
