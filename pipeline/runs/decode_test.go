package runs_test

import (
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/runs"
)

// full has an event of each type with every field of the contract.
var full = map[string]object{
	runs.TypeRun: {
		"workspace_id": `"acme"`, "run_id": `"r:1~a"`, "source": `"copilot"`, "app_id": `"Bot.7"`,
		"app_name": `"Bot"`, "app_version": `"175b_verification"`, "request_id": `"req"`, "session_id": `"ses"`,
		"user_id": `"user"`,
		"model":   `"gpt"`, "trace_id": `"trace"`, "trigger": `"chat"`, "status": `"failed"`,
		"started_at": `"2026-01-31T10:00:00.1239Z"`, "ended_at": `"2026-01-31T10:00:01.5Z"`,
		"updated_at": `"2026-01-31T10:00:02.123456789Z"`,
		"question":   `"why?\n\u00e9\ud83d\ude00"`, "answer": `""`, "reference": `"because"`,
		"inputs": ` { "a" : [ 1.0 , 1e400 ] } `, "system_inputs": `{"b":null}`, "outputs": `{}`,
		"messages": `[{"role":"user","content":"hi"},{"role":"assistant","content":null,"tool_calls":[{"id":"c"}]},` +
			`{"role":"tool","tool_call_id":"c","name":"f","content":[{"type":"text","text":"x"}],"more":[1]}]`,
		"tools":    `[{"type":"function","function":{"name":"f"}}]`,
		"error":    `{"type":"Timeout","message":"too slow"}`,
		"files":    `[{"file_id":"f","name":"n","uri":"s3://b/k","content_type":"text/plain","size_bytes":9223372036854775807,"direction":"input"},{}]`,
		"usage":    `{"input_tokens":5,"output_tokens":-5e0}`,
		"cost_usd": `1.5e-3`, "metadata": `{"z":"1","a":"","é":"ü"}`,
	},
	runs.TypeNode: {
		"workspace_id": `"acme"`, "run_id": `"r1"`, "node_run_id": `"n1"`, "source": `"recipe"`, "app_id": `"a1"`,
		"app_version": `"v2"`,
		"node_id":     `"solve"`, "node_name": `"Solve"`, "node_type": `"llm"`, "parent_node_run_id": `"n0"`, "sequence": `3`,
		"status": `"succeeded"`, "started_at": `"1970-01-01T00:00:00Z"`, "ended_at": `"2199-12-31T23:59:59.999Z"`,
		"updated_at": `"2026-01-31T10:00:02Z"`,
		"inputs":     `{"a":1}`, "outputs": `{"b":2}`, "prompt": `{"template":"Solve {{q}}","variables":{"q":"1+1"}}`,
		"messages": `[{"role":"user","content":"1+1"}]`, "tools": `[]`, "model": `"gpt"`,
		"parameters": `{"temperature":0.10,"stop":["\u000a"],"seed":null}`,
		"chunks":     `[{"chunk_id":"c","text":"t","score":0.5,"source_uri":"u","title":"h","sent_to_llm":true,"used_in_answer":false},{}]`,
		"error":      `{"type":"T","message":"m"}`, "files": `[{"direction":"output","size_bytes":0}]`,
		"usage": `{"input_tokens":1,"output_tokens":2}`, "cost_usd": `0`, "metadata": `{"k":"v"}`,
	},
	runs.TypeFeedback: {
		"workspace_id": `"acme"`, "run_id": `"r1"`, "feedback_id": `"f1"`, "rating": `"thumbsDown"`, "score": `-0.25`,
		"name": `"tone"`, "kind": `"model"`, "node_run_id": `"n1"`,
		"comment": `"no"`,
		"tags":    `["a","","a"]`, "corrected_answer": `"yes"`, "node_id": `"solve"`, "created_by": `"me"`,
		"created_at": `"2026-01-31T10:00:00.999Z"`, "updated_at": `"2026-01-31T10:00:02.000001Z"`,
	},
}

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t.UTC()
}

// want is what full decodes to.
var want = map[string]runs.Event{
	runs.TypeRun: &runs.Run{
		WorkspaceID: "acme", RunID: "r:1~a", Source: "copilot", AppID: "Bot.7", AppName: "Bot",
		AppVersion: "175b_verification",
		RequestID:  "req", SessionID: "ses", UserID: "user", Model: "gpt", TraceID: "trace", Trigger: "chat",
		Status:    "failed",
		StartedAt: at("2026-01-31T10:00:00.123Z"), EndedAt: at("2026-01-31T10:00:01.5Z"),
		UpdatedAt: at("2026-01-31T10:00:02.123456Z"),
		Question:  "why?\né😀", Answer: "", Reference: "because",
		Inputs: `{"a":[1.0,1e400]}`, SystemInputs: `{"b":null}`, Outputs: `{}`,
		Messages: full[runs.TypeRun]["messages"], Tools: full[runs.TypeRun]["tools"],
		Error: &runs.Error{Type: "Timeout", Message: "too slow"},
		Files: []runs.File{{FileID: "f", Name: "n", URI: "s3://b/k", ContentType: "text/plain",
			SizeBytes: ptr[int64](1<<63 - 1), Direction: "input"}, {}},
		Usage: &runs.Usage{InputTokens: ptr[int64](5), OutputTokens: ptr[int64](-5)}, CostUSD: ptr(0.0015),
		Metadata: []runs.Pair{{Key: "z", Value: "1"}, {Key: "a"}, {Key: "é", Value: "ü"}},
	},
	runs.TypeNode: &runs.Node{
		WorkspaceID: "acme", RunID: "r1", NodeRunID: "n1", Source: "recipe", AppID: "a1", AppVersion: "v2", NodeID: "solve",
		NodeName: "Solve",
		NodeType: "llm", ParentNodeRunID: "n0", Sequence: ptr[int64](3), Status: "succeeded",
		StartedAt: at("1970-01-01T00:00:00Z"), EndedAt: at("2199-12-31T23:59:59.999Z"), UpdatedAt: at("2026-01-31T10:00:02Z"),
		Inputs: `{"a":1}`, Outputs: `{"b":2}`, PromptTemplate: "Solve {{q}}", PromptVariables: `{"q":"1+1"}`,
		Messages: `[{"role":"user","content":"1+1"}]`, Tools: `[]`, Model: "gpt",
		Parameters: []runs.Pair{{Key: "temperature", Value: "0.10"}, {Key: "stop", Value: `["\u000a"]`},
			{Key: "seed", Value: "null"}},
		Chunks: []runs.Chunk{{ChunkID: "c", Text: "t", Score: ptr(0.5), SourceURI: "u", Title: "h", SentToLLM: ptr(true),
			UsedInAnswer: ptr(false)}, {}},
		Error: &runs.Error{Type: "T", Message: "m"}, Files: []runs.File{{SizeBytes: ptr[int64](0), Direction: "output"}},
		Usage: &runs.Usage{InputTokens: ptr[int64](1), OutputTokens: ptr[int64](2)}, CostUSD: ptr(0.0),
		Metadata: []runs.Pair{{Key: "k", Value: "v"}},
	},
	runs.TypeFeedback: &runs.Feedback{
		WorkspaceID: "acme", RunID: "r1", FeedbackID: "f1", Rating: "thumbsDown", Score: ptr(-0.25), Comment: "no",
		Name: "tone", Kind: "model", NodeRunID: "n1",
		Tags:            []string{"a", "", "a"},
		CorrectedAnswer: "yes", NodeID: "solve", CreatedBy: "me", CreatedAt: at("2026-01-31T10:00:00.999Z"),
		UpdatedAt: at("2026-01-31T10:00:02.000001Z"),
	},
}

// wantMinimal is what minimal decodes to.
var wantMinimal = map[string]runs.Event{
	runs.TypeRun: &runs.Run{
		WorkspaceID: "acme", RunID: "r1", Source: "recipe", AppID: "a1", Status: "running",
		StartedAt: at("2026-01-31T10:00:00Z"), UpdatedAt: eventTime,
	},
	runs.TypeNode: &runs.Node{
		WorkspaceID: "acme", RunID: "r1", NodeRunID: "n1", Source: "recipe", AppID: "a1", NodeID: "solve", Status: "running",
		StartedAt: at("2026-01-31T10:00:00Z"), UpdatedAt: eventTime,
	},
	runs.TypeFeedback: &runs.Feedback{WorkspaceID: "acme", RunID: "r1", FeedbackID: "f1", Kind: "human",
		Rating:    "thumbsUp",
		UpdatedAt: eventTime},
}

func TestEveryFieldIsDecoded(t *testing.T) {
	t.Parallel()
	for eventType, o := range full {
		var unknown []string
		d := runs.Decoder{Unknown: func(field string) { unknown = append(unknown, field) }}
		got, err := d.Decode(eventType, []byte(o.String()), "", eventTime)
		if err != nil {
			t.Fatalf("%s: %v", eventType, err)
		}
		if !reflect.DeepEqual(got, want[eventType]) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", eventType, got, want[eventType])
		}
		if len(unknown) > 0 {
			t.Errorf("%s: unknown fields %q", eventType, unknown)
		}
		// A field that was added to the type and is not in this test would be zero.
		v := reflect.ValueOf(got).Elem()
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "Answer" {
				t.Errorf("%s: %s is not tested", eventType, name)
			}
		}
		if got.Type() != eventType || got.Workspace() != "acme" {
			t.Errorf("%s of workspace %s", got.Type(), got.Workspace())
		}
	}
}

func TestAFieldThatIsNullOrAbsentIsAbsent(t *testing.T) {
	t.Parallel()
	for eventType, least := range minimal {
		nulls := least
		for key := range full[eventType] {
			if least[key] == "" {
				nulls = nulls.with(key, "null")
			}
		}
		for name, o := range map[string]object{"absent": least, "null": nulls} {
			got, err := decode(eventType, o.String())
			if err != nil {
				t.Errorf("%s, %s: %v", eventType, name, err)
			} else if !reflect.DeepEqual(got, wantMinimal[eventType]) {
				t.Errorf("%s, %s:\ngot  %+v\nwant %+v", eventType, name, got, wantMinimal[eventType])
			}
		}
	}
}

func TestNullsInsideAreAbsentToo(t *testing.T) {
	t.Parallel()
	o := minimal[runs.TypeNode].
		with("prompt", `{"template":null,"variables":null}`).with("error", `{"type":null,"message":null}`).
		with("usage", `{"input_tokens":null,"output_tokens":null}`).
		with("files", `[{"file_id":null,"name":null,"uri":null,"content_type":null,"size_bytes":null,"direction":null}]`).
		with("chunks",
			`[{"chunk_id":null,"text":null,"score":null,"source_uri":null,"title":null,"sent_to_llm":null,"used_in_answer":null}]`).
		with("messages", `[{"role":"user","content":null,"tool_calls":null,"tool_call_id":null,"name":null}]`)
	got := mustDecode[*runs.Node](t, o)
	want := *wantMinimal[runs.TypeNode].(*runs.Node)
	want.Error, want.Usage, want.Files, want.Chunks = &runs.Error{}, &runs.Usage{}, []runs.File{{}}, []runs.Chunk{{}}
	want.Messages = o["messages"]
	if !reflect.DeepEqual(got, &want) {
		t.Errorf("got  %+v\nwant %+v", got, &want)
	}
}

func TestADecoderForgetsTheEventBefore(t *testing.T) {
	t.Parallel()
	var d runs.Decoder
	for range 2 {
		for eventType := range full {
			if _, err := d.Decode(eventType, []byte(full[eventType].String()), "", eventTime); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Decode(eventType, []byte(`{"run_id":{"a":[`), "", eventTime); err == nil {
				t.Fatal("accepted")
			}
			got, err := d.Decode(eventType, []byte(minimal[eventType].String()), "", eventTime)
			if err != nil || !reflect.DeepEqual(got, wantMinimal[eventType]) {
				t.Errorf("got %+v, %v", got, err)
			}
		}
	}
}

func TestUnknownFieldsAreIgnoredAndReportedByName(t *testing.T) {
	t.Parallel()
	o := full[runs.TypeNode].with("mood", `"fine"`).with("version", `[{"deep":1}]`).with("type", `"dev.millrace.node.v1"`).
		with("error", `{"type":"T","message":"m","stack":"s"}`).with("usage",
		`{"input_tokens":1,"output_tokens":2,"cached_tokens":3}`).
		with("prompt", `{"template":"Solve {{q}}","variables":{"q":"1+1"},"id":1}`).
		with("files", `[{"direction":"output","size_bytes":0,"sha256":"x"}]`).
		with("chunks",
			`[{"chunk_id":"c","text":"t","score":0.5,"source_uri":"u","title":"h","sent_to_llm":true,"used_in_answer":false,"rank":1},{}]`)
	var unknown []string
	d := runs.Decoder{Unknown: func(field string) { unknown = append(unknown, field) }}
	got, err := d.Decode(runs.TypeNode, []byte(o.String()), "", eventTime)
	if err != nil || !reflect.DeepEqual(got, want[runs.TypeNode]) {
		t.Errorf("got %+v, %v", got, err)
	}
	slices.Sort(unknown)
	// The type is no unknown field: a bare event has it there.
	if want := []string{"chunks.rank", "error.stack", "files.sha256", "mood", "prompt.id", "usage.cached_tokens",
		"version"}; !slices.Equal(unknown, want) {
		t.Errorf("reported %q, want %q", unknown, want)
	}
	if _, err := decode(runs.TypeNode, o.String()); err != nil {
		t.Errorf("with nobody to report to: %v", err)
	}
}

func TestDocumentsAreKeptAsSent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, sent, kept string }{
		{"numbers of any size and form", `{"n":[1.0,1E+5,-0,0.10,123456789012345678901234567890,1e400]}`, ""},
		{"the order of keys", `{"z":1,"a":2,"m":{"y":1,"b":2}}`, ""},
		{"escapes", `{"\u0041\/":"\u00e9\ud83d\ude00\n\"\\ é😀"}`, ""},
		{"spaces between tokens go", "{ \"a\" :\t[ 1 ,\r\n2 ] }", `{"a":[1,2]}`},
		{"spaces inside strings stay", `{ "a b" : "  \" : , \\" }`, `{"a b":"  \" : , \\"}`},
		{"an empty object is not absent", `{}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.kept == "" {
				c.kept = c.sent
			}
			run := mustDecode[*runs.Run](t, minimal[runs.TypeRun].with("inputs", c.sent).with("messages",
				`[ {"role":"user" , "content":[`+c.sent+`]} ]`))
			if run.Inputs != c.kept {
				t.Errorf("inputs are %s, want %s", run.Inputs, c.kept)
			}
			if want := `[{"role":"user","content":[` + c.kept + `]}]`; run.Messages != want {
				t.Errorf("messages are %s, want %s", run.Messages, want)
			}
			node := mustDecode[*runs.Node](t, minimal[runs.TypeNode].with("parameters", `{ "k" : `+c.sent+` }`))
			if got := node.Parameters[0].Value; got != c.kept {
				t.Errorf("the parameter is %s, want %s", got, c.kept)
			}
		})
	}
}

func TestAtEqualTimesAFinalStatusWins(t *testing.T) {
	t.Parallel()
	const earlier, later = `"2026-01-31T10:00:00.000001Z"`, `"2026-01-31T10:00:00.000002Z"`
	for _, eventType := range []string{runs.TypeRun, runs.TypeNode} {
		version := func(status, updatedAt string) uint64 {
			e, err := decode(eventType, minimal[eventType].with("status", quote(status)).with("updated_at", updatedAt).String())
			if err != nil {
				t.Fatal(err)
			}
			return e.(interface{ Version() uint64 }).Version()
		}
		for _, final := range []string{"succeeded", "failed", "cancelled"} {
			if version(final, earlier) <= version("running", earlier) {
				t.Errorf("%s: running is not below %s at the same time", eventType, final)
			}
			if version("running", later) <= version(final, earlier) {
				t.Errorf("%s: a later running is not above %s", eventType, final)
			}
			if version(final, earlier) != version("succeeded", earlier) {
				t.Errorf("%s: %s and succeeded differ at the same time", eventType, final)
			}
		}
		if got, want := version("succeeded", `"1970-01-01T00:00:00Z"`), uint64(1); got != want {
			t.Errorf("%s: the first version is %d, want %d", eventType, got, want)
		}
	}
	a := mustDecode[*runs.Feedback](t, minimal[runs.TypeFeedback].with("updated_at", earlier))
	b := mustDecode[*runs.Feedback](t, minimal[runs.TypeFeedback].with("updated_at", later))
	if a.Version() >= b.Version() {
		t.Error("a later feedback is not above")
	}
}

// optional lists the fields that minimal does not have.
func optional(eventType string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(full[eventType])),
		func(key string) bool { return minimal[eventType][key] != "" })
}
