package runstore_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/runs"
)

// hostile is a text that breaks careless code: quotes and escapes of SQL, JSON, TSV and shells,
// control characters, a NUL, right-to-left text, and text that is not normalised.
const hostile = "'\"`\\ \\N \\t\t\n\r\x00\x01\x7f ; DROP TABLE runs -- {x:String} %s $1 </script> é e\u0301 日本 " +
	"😀👨‍👩‍👧 \u202eabc\u202c עברית \ufeff\u2028"

// hostileJSON is hostile as a JSON string.
const hostileJSON = `"'\"` + "`" +
	`\\ \\N \\t\t\n\r\u0000\u0001\u007f ; DROP TABLE runs -- {x:String} %s $1 </script> é e` + "\u0301" +
	` 日本 😀👨‍👩‍👧 \u202eabc\u202c עברית \ufeff\u2028"`

func TestEveryColumnOfARunIsStored(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	run := &runs.Run{
		WorkspaceID: "acme", RunID: "r1", Source: "copilot", AppID: "a1", AppName: hostile, AppVersion: "v", RequestID: "req",
		SessionID: "ses", UserID: hostile,
		Model: "m", TraceID: "tr", Trigger: "chat", Status: "failed", StartedAt: time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC),
		EndedAt: time.Date(2199, 12, 31, 23, 59, 59, 999_000_000, time.UTC), UpdatedAt: start.Add(456 * time.Microsecond),
		Question: hostile, Answer: strings.Repeat("é", 1<<19), Reference: "ref", Inputs: `{"a":1.0}`, SystemInputs: `{"s":2}`,
		Outputs:  `{}`,
		Messages: `[{"role":"user"}]`, Tools: `[]`, Error: &runs.Error{Type: "T", Message: hostile},
		Files: []runs.File{
			{FileID: "f", Name: hostile, URI: "u", ContentType: "c", SizeBytes: ptr[int64](1<<63 - 1), Direction: "input"},
			{SizeBytes: ptr[int64](-1 << 63)}, {},
		},
		Usage: &runs.Usage{InputTokens: ptr[int64](0), OutputTokens: ptr[int64](7)}, CostUSD: ptr(0.1),
		Metadata: []runs.Pair{{Key: hostile, Value: hostile}, {Key: "", Value: ""}},
	}
	refused, err := d.store(t, d.server.NativeAddr).InsertRuns(t.Context(), []*runs.Run{run, leastRun("r0")})
	wantAll(t, refused, err)
	rows := d.query(t, "SELECT * FROM runs ORDER BY run_id")
	if len(rows) != 2 {
		t.Fatalf("%d rows", len(rows))
	}
	wantRow(t, rows[1], `{"workspace_id":"acme","run_id":"r1","source":"copilot","app_id":"a1","app_name":`+hostileJSON+
		`,"app_version":"v","request_id":"req",
		"session_id":"ses","user_id":`+hostileJSON+
		`,"model":"m","trace_id":"tr","trigger":"chat","status":"failed","started_at":"1970-01-01 00:00:00.000",
		"ended_at":"2199-12-31 23:59:59.999","updated_at":"2026-01-31 10:00:00.123456","question":`+hostileJSON+`,"answer":"`+
		strings.Repeat("é", 1<<19)+`",
		"reference":"ref","inputs":"{\"a\":1.0}","system_inputs":"{\"s\":2}","outputs":"{}","messages":"[{\"role\":\"user\"}]","tools":"[]",
		"error_type":"T","error_message":`+hostileJSON+`,"files":[
			{"file_id":"f","name":`+hostileJSON+
		`,"uri":"u","content_type":"c","size_bytes":9223372036854775807,"direction":"input"},
			{"file_id":"","name":"","uri":"","content_type":"","size_bytes":-9223372036854775808,"direction":""},
			{"file_id":"","name":"","uri":"","content_type":"","size_bytes":null,"direction":""}],
		"usage_input_tokens":0,"usage_output_tokens":7,"cost_usd":0.1,"metadata":{`+hostileJSON+`:`+hostileJSON+
		`,"":""},"input_group":"`+run.InputGroup()+`","context_hash":"`+run.ContextHash()+`","superseded":false,"version":3539707200246913}`)
	wantRow(t, rows[0],
		`{"workspace_id":"acme","run_id":"r0","source":"recipe","app_id":"a1","app_name":"","app_version":"","request_id":"","session_id":"",
		"user_id":"","model":"","trace_id":"","trigger":"","status":"running","started_at":"2026-01-31 10:00:00.123","ended_at":null,
		"updated_at":"2026-01-31 10:00:00.123000","question":"","answer":"","reference":"","inputs":"","system_inputs":"","outputs":"","messages":"","tools":"",
		"error_type":"","error_message":"","files":[],"usage_input_tokens":null,"usage_output_tokens":null,"cost_usd":null,"metadata":{},"input_group":"`+leastRun("r0").InputGroup()+`","context_hash":"","superseded":false,"version":3539707200246000}`)
	wantIngestedNow(t, d, "runs")
}

func TestEveryColumnOfANodeRunIsStored(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	node := &runs.Node{
		WorkspaceID: "acme", RunID: "r1", NodeRunID: "n1", Source: "copilot", AppID: "a1", AppVersion: "v", NodeID: "solve",
		NodeName: hostile, NodeType: "llm",
		ParentNodeRunID: "n0", Sequence: ptr[int64](-3), Status: "succeeded", StartedAt: start,
		EndedAt: start.Add(time.Millisecond), UpdatedAt: start,
		Inputs: `{"a":1}`, Outputs: `{"b":2}`, PromptTemplate: hostile, PromptVariables: `{"c":3}`, Messages: `[1]`,
		Tools: `[2]`, Model: hostile,
		Parameters: []runs.Pair{{Key: "temperature", Value: "0.10"}, {Key: hostile, Value: `"x"`}},
		Chunks: []runs.Chunk{
			{ChunkID: "c", Text: hostile, Score: ptr(-0.5), SourceURI: "u", Title: "h", SentToLLM: ptr(true),
				UsedInAnswer: ptr(false)}, {},
		},
		Error: &runs.Error{Type: "T", Message: "m"}, Files: []runs.File{{Direction: "output"}},
		Usage: &runs.Usage{OutputTokens: ptr[int64](2)}, CostUSD: ptr(1e308), Metadata: []runs.Pair{{Key: "k", Value: "v"}},
	}
	refused, err := d.store(t, d.server.NativeAddr).InsertNodes(t.Context(), []*runs.Node{node, leastNode("n0")})
	wantAll(t, refused, err)
	rows := d.query(t, "SELECT * FROM nodes ORDER BY node_run_id")
	if len(rows) != 2 {
		t.Fatalf("%d rows", len(rows))
	}
	wantRow(t, rows[1],
		`{"workspace_id":"acme","run_id":"r1","node_run_id":"n1","source":"copilot","app_id":"a1","app_version":"v","node_id":"solve",
		"node_name":`+hostileJSON+
			`,"node_type":"llm","parent_node_run_id":"n0","sequence":-3,"status":"succeeded","started_at":"2026-01-31 10:00:00.123",
		"ended_at":"2026-01-31 10:00:00.124","updated_at":"2026-01-31 10:00:00.123000","inputs":"{\"a\":1}","outputs":"{\"b\":2}",
		"prompt_template":`+hostileJSON+`,"prompt_variables":"{\"c\":3}","messages":"[1]","tools":"[2]","model":`+hostileJSON+
			`,
		"parameters":{"temperature":"0.10",`+hostileJSON+`:"\"x\""},"chunks":[
			{"chunk_id":"c","text":`+hostileJSON+
			`,"score":-0.5,"source_uri":"u","title":"h","sent_to_llm":true,"used_in_answer":false},
			{"chunk_id":"","text":"","score":null,"source_uri":"","title":"","sent_to_llm":null,"used_in_answer":null}],
		"error_type":"T","error_message":"m","files":[{"file_id":"","name":"","uri":"","content_type":"","size_bytes":null,"direction":"output"}],
		"usage_input_tokens":null,"usage_output_tokens":2,"cost_usd":1e308,"metadata":{"k":"v"},"input_group":"`+
			node.InputGroup()+`","context_hash":"`+node.ContextHash()+`","superseded":false,"version":3539707200246001}`)
	wantRow(t, rows[0],
		`{"workspace_id":"acme","run_id":"r1","node_run_id":"n0","source":"recipe","app_id":"a1","app_version":"","node_id":"solve","node_name":"",
		"node_type":"","parent_node_run_id":"","sequence":null,"status":"running","started_at":"2026-01-31 10:00:00.123","ended_at":null,
		"updated_at":"2026-01-31 10:00:00.123000","inputs":"","outputs":"","prompt_template":"","prompt_variables":"","messages":"","tools":"","model":"",
		"parameters":{},"chunks":[],"error_type":"","error_message":"","files":[],"usage_input_tokens":null,"usage_output_tokens":null,"cost_usd":null,
		"metadata":{},"input_group":"`+leastNode("n0").InputGroup()+`","context_hash":"","superseded":false,"version":3539707200246000}`)
	wantIngestedNow(t, d, "nodes")
}

func TestEveryColumnOfAFeedbackIsStored(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	feedback := &runs.Feedback{
		WorkspaceID: "acme", RunID: "r1", FeedbackID: "f1", Name: hostile, Kind: "model", Rating: "thumbsDown",
		Score: ptr(-0.25), Comment: hostile,
		Tags:            []string{"a", "", hostile, "a"},
		CorrectedAnswer: hostile, NodeID: "solve", NodeRunID: "n1", CreatedBy: "me", CreatedAt: start, UpdatedAt: start,
	}
	refused, err := d.store(t, d.server.NativeAddr).InsertFeedback(t.Context(),
		[]*runs.Feedback{feedback, leastFeedback("f0")})
	wantAll(t, refused, err)
	rows := d.query(t, "SELECT * FROM feedback ORDER BY feedback_id")
	if len(rows) != 2 {
		t.Fatalf("%d rows", len(rows))
	}
	wantRow(t, rows[1],
		`{"workspace_id":"acme","run_id":"r1","feedback_id":"f1","name":`+hostileJSON+`,"kind":"model","rating":"thumbsDown","score":-0.25,"comment":`+hostileJSON+
			`,
		"tags":["a","",`+hostileJSON+`,"a"],"corrected_answer":`+hostileJSON+
			`,"node_id":"solve","node_run_id":"n1","created_by":"me","created_at":"2026-01-31 10:00:00.123",
		"updated_at":"2026-01-31 10:00:00.123000","version":3539707200246001}`)
	wantRow(t, rows[0],
		`{"workspace_id":"acme","run_id":"r1","feedback_id":"f0","name":"","kind":"human","rating":"thumbsUp","score":null,"comment":"","tags":[],"corrected_answer":"",
		"node_id":"","node_run_id":"","created_by":"","created_at":null,"updated_at":"2026-01-31 10:00:00.123000","version":3539707200246001}`)
	wantIngestedNow(t, d, "feedback")
}

func wantIngestedNow(t *testing.T, d database, table string) {
	t.Helper()
	if got := d.one(t, "SELECT count() FROM "+table+
		" WHERE abs(dateDiff('second', ingested_at, now64(6))) > 60"); got != "0" {
		t.Errorf("%s rows have another ingested_at than now", got)
	}
}

func TestABatchAfterAnotherHasNothingOfIt(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s := d.store(t, d.server.NativeAddr)
	rich := leastNode("n1")
	rich.Model, rich.Parameters, rich.Chunks = "m", []runs.Pair{{Key: "k", Value: "1"}},
		[]runs.Chunk{{Text: "t"}, {Text: "u"}}
	rich.Metadata, rich.Sequence, rich.EndedAt = []runs.Pair{{Key: "k", Value: "v"}}, ptr[int64](1), start
	for _, batch := range [][]*runs.Node{{rich, leastNode("n0")}, {leastNode("n2")},
		{leastNode("n3"), rich, leastNode("n4")}, {leastNode("n5")}} {
		refused, err := s.InsertNodes(t.Context(), batch)
		wantAll(t, refused, err)
	}
	got := d.one(t,
		`SELECT count() FROM nodes WHERE node_run_id != 'n1' AND (model != '' OR notEmpty(parameters) OR notEmpty(chunks) OR notEmpty(metadata)
		OR sequence IS NOT NULL OR ended_at IS NOT NULL)`)
	if got != "0" {
		t.Errorf("%s rows have something of another", got)
	}
	if got := d.one(t, "SELECT count() FROM nodes WHERE node_run_id = 'n1' AND length(chunks) = 2 AND parameters['k'] = "+
		"'1'"); got != "2" {
		t.Errorf("%s of 2 rich rows", got)
	}
	if refused, err := s.InsertNodes(t.Context(), nil); err != nil || refused != nil {
		t.Errorf("nothing: %v, %v", refused, err)
	}
}

func TestTheThreeTablesAreFilledAtOnce(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s := d.store(t, d.server.NativeAddr)
	var all sync.WaitGroup
	for _, insert := range []func() error{
		func() error { _, err := s.InsertRuns(t.Context(), []*runs.Run{leastRun("r1")}); return err },
		func() error { _, err := s.InsertNodes(t.Context(), []*runs.Node{leastNode("n1")}); return err },
		func() error {
			_, err := s.InsertFeedback(t.Context(), []*runs.Feedback{leastFeedback("f1")})
			return err
		},
	} {
		all.Go(func() {
			for range 5 {
				if err := insert(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := d.one(t, "SELECT (SELECT count() FROM runs_latest) + (SELECT count() FROM nodes_latest) + (SELECT count() "+
		"FROM feedback_latest)"); got != "3" {
		t.Errorf("%s rows, want 3", got)
	}
}
