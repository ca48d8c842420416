package format

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// insightsRow is a run that has everything: nodes that route, find, answer and check.
func insightsRow(change func(*Row)) *Row {
	r := fullRow()
	r.Nodes = []Node{
		{NodeRunID: b("n-1"), NodeID: b("route"), NodeType: b("router")},
		{NodeRunID: b("n-2"), NodeID: b("find"), NodeType: b("retrieval"), Chunks: []Chunk{
			{b("c-1"), b("Sum: 12 €"), Null[float64]{1, true}, b("s3://b/1"), b("One"), Null[bool]{true, true}, Null[bool]{true, true}},
			{ChunkID: b("c-2"), UsedInAnswer: Null[bool]{true, false}}}},
		{NodeRunID: b("n-3"), NodeID: b("rank"), NodeType: b("code"), Chunks: []Chunk{
			{ChunkID: b("c-1"), Text: b("Sum: 12 €"), UsedInAnswer: Null[bool]{true, true}},
			{Text: b("no id"), SentToLLM: Null[bool]{false, true}, UsedInAnswer: Null[bool]{true, true}}}},
		{NodeRunID: b("n-4"), NodeID: b("answer"), NodeType: b("llm"),
			PromptTemplate: b("In {{language}}: {{question}}"), PromptVariables: b(`{"question":"What is \"due\"?","language":["en"]}`),
			Parameters: []Pair{{b("temperature"), b("0.20")}, {b("stop"), b(`["x"]`)}, {b("mode"), b(`"low"`)}},
			Execution: Execution{Outputs: b(`{"answer":"12 \u20ac"}`), Model: b("m-2"),
				StartedAt: 1_793_491_200_500, EndedAt: Null[int64]{1_793_491_201_500, true}}},
		{NodeRunID: b("n-5"), NodeID: b("check"), NodeType: b("llm"), PromptTemplate: b("Is it true?"), Execution: Execution{Outputs: b(`{"grounded":true}`)}},
	}
	if change != nil {
		change(r)
	}
	return r
}

func TestAnswerInsightsRecordsHaveTheirShape(t *testing.T) {
	t.Parallel()
	f := newRowFormatter(t, ExportDataset, "answer_insights", nil)
	id := func(run string) string {
		return uuid.NewSHA1(uuid.UUID(idNamespace), []byte("acme/"+run+"//export_dataset/answer_insights")).String()
	}
	const run = "0192f0c1-7b7e-7000-8000-000000000001"
	full := `{"_id":"` + id(run) + `","searchRequestId":"req-1","query":"What is due?","answer":"12 €","event":"thumbsDown","comments":{"tags":["sum",""]},` +
		`"userId":"u-1","sessionId":"s-1","timeStampValue":1793491200001,"createdOn":"2026-11-01T00:00:00.001Z","model":"m-1","answerDebug":[{` +
		`"generativeChunks":[{"chunkText":"Sum: 12 €","score":1.0,"sentToLLM":true,"usedInAnswer":true,"sourceUrl":"s3://b/1","recordTitle":"One","additionalInfo":{"chunkId":"c-1"}},` +
		`{"chunkText":"","additionalInfo":{"chunkId":"c-2"}},{"chunkText":"Sum: 12 €","usedInAnswer":true,"additionalInfo":{"chunkId":"c-1"}},` +
		`{"chunkText":"no id","sentToLLM":false,"usedInAnswer":true}],` +
		`"prompt":{"promptText":"In [\"en\"]: What is \"due\"?","moreInfo":[{"key":"temperature","value":"0.20"},{"key":"stop","value":"[\"x\"]"},{"key":"mode","value":"low"}]},` +
		`"llmResponse":{"responseDetails":{"completionText":{"answer":"12 €","chunkIds":["c-1"]}},"responseTime":{"moreInfo":[{"key":"Completion Time","value":1000}]}}}]}`
	bare := `{"_id":"` + id("run-0") + `","searchRequestId":"run-0","query":"","answer":"","event":"search","comments":{"tags":[]},` +
		`"timeStampValue":0,"createdOn":"1970-01-01T00:00:00.000Z","answerDebug":[{"generativeChunks":[],"prompt":{"promptText":"","moreInfo":[]},` +
		`"llmResponse":{"responseDetails":{"completionText":{"answer":"","chunkIds":[]}},"responseTime":{"moreInfo":[]}}}]}`
	for _, test := range []struct {
		name, want string
		row        *Row
	}{{"everything", full, insightsRow(nil)}, {"only what is required", bare, emptyRow()}, {"everything again", full, insightsRow(nil)}} {
		record, drop, err := f.Append(b("before"), test.row)
		if err != nil || drop != "" || string(record) != "before"+test.want {
			t.Errorf("%s: %s\nwant %s; %q, %v", test.name, record, test.want, drop, err)
		}
	}
}

func TestTheNodeThatAnsweredGivesPromptAndTime(t *testing.T) {
	t.Parallel()
	f := newRowFormatter(t, ExportDataset, "answer_insights", nil)
	const chat = `[{"role":"system","content":"Be brief."},{"role":"user","content":"first"},{"role":"user","content":[{"type":"text","text":"last"}]},{"role":"assistant","content":"said"}]`
	answer := func(r *Row) *Node { return &r.Nodes[3] }
	for _, test := range []struct {
		name                 string
		change               func(*Row)
		prompt, answer, time string
	}{
		{"the last llm node whose text is the answer", nil, "In [\"en\"]: What is \"due\"?", "12 €", "1000"},
		{"the last llm node where none says it", func(r *Row) { r.Answer = b("other") }, "Is it true?", "other", "2149"},
		{"the last llm node of a run without an answer", func(r *Row) { r.Answer = nil }, "Is it true?", "", "2149"},
		{"its messages, where it has no template", func(r *Row) { answer(r).PromptTemplate, answer(r).Messages = nil, b(chat) }, "Be brief.\n\nlast", "12 €", "1000"},
		{"messages without a system message", func(r *Row) {
			answer(r).PromptTemplate, answer(r).Messages = nil, b(`[{"role":"user","content":"q"}]`)
		}, "q", "12 €", "1000"},
		{"neither template nor messages", func(r *Row) { answer(r).PromptTemplate = nil }, "", "12 €", "1000"},
		{"a template without variables", func(r *Row) { answer(r).PromptVariables = nil }, "In {{language}}: {{question}}", "12 €", "1000"},
		{"no llm node, but one with a prompt", func(r *Row) {
			r.Nodes[3].NodeType, r.Nodes[4].NodeType = b("agent"), b("code")
			r.Nodes[4].PromptTemplate = nil
		},
			"In [\"en\"]: What is \"due\"?", "12 €", "1000"},
		{"what the node said is not what the run answered", func(r *Row) { r.Nodes = r.Nodes[:4]; r.Answer = b("rephrased") }, "In [\"en\"]: What is \"due\"?", "12 €", "1000"},
		{"the node's last message", func(r *Row) { r.Nodes = r.Nodes[:4]; answer(r).Outputs, answer(r).Messages = b(`{"n":1}`), b(chat) }, "In [\"en\"]: What is \"due\"?", "said", "1000"},
		{"a node that has not ended", func(r *Row) { answer(r).EndedAt.Valid = false }, "In [\"en\"]: What is \"due\"?", "12 €", "2149"},
		{"no nodes", func(r *Row) { r.Nodes = nil }, "", "12 €", "2149"},
		{"documents of other shapes", func(r *Row) {
			answer(r).Outputs, answer(r).PromptVariables, answer(r).Messages = b(`[]`), b(`[1]`), b(`{}`)
			answer(r).Parameters = []Pair{{b("x"), nil}}
			r.Nodes = r.Nodes[:4]
		}, "In {{language}}: {{question}}", "12 €", "1000"},
	} {
		record, _, err := f.Append(nil, insightsRow(test.change))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		debug := asJSON(t, record)["answerDebug"].([]any)[0].(map[string]any)
		response := debug["llmResponse"].(map[string]any)
		said := response["responseDetails"].(map[string]any)["completionText"].(map[string]any)["answer"]
		took := response["responseTime"].(map[string]any)["moreInfo"].([]any)[0].(map[string]any)["value"]
		if prompt := debug["prompt"].(map[string]any)["promptText"]; prompt != test.prompt || said != test.answer || fmt.Sprint(took) != test.time {
			t.Errorf("%s: prompt %q, answer %q, %v ms", test.name, prompt, said, took)
		}
	}
}

func TestTheModelIsTheRunsElseTheNodes(t *testing.T) {
	t.Parallel()
	f := newRowFormatter(t, ExportDataset, "answer_insights", nil)
	record, _, err := f.Append(nil, insightsRow(func(r *Row) { r.Model = nil }))
	if err != nil || asJSON(t, record)["model"] != "m-2" {
		t.Errorf("%s, %v", record, err)
	}
}

func TestAnswerInsightsTakesAnyText(t *testing.T) {
	t.Parallel()
	f := newRowFormatter(t, ExportDataset, "answer_insights", nil)
	record, _, err := f.Append(nil, insightsRow(func(r *Row) {
		for _, field := range []*[]byte{&r.RequestID, &r.Question, &r.Answer, &r.UserID, &r.SessionID, &r.Model, &r.Feedback.Rating, &r.Feedback.Tags[0],
			&r.Nodes[1].Chunks[0].ChunkID, &r.Nodes[1].Chunks[0].Text, &r.Nodes[1].Chunks[0].Title, &r.Nodes[1].Chunks[0].SourceURI, &r.Nodes[3].Parameters[0].Key} {
			*field = b(hostileText)
		}
		r.Nodes[3].PromptTemplate = append(b(hostileText), "{{question}}"...)
		r.Nodes[3].Parameters[0].Value = quoted(hostileText)
		r.Nodes[3].Outputs = append(append(b(`{"answer":`), quoted(hostileText)...), '}')
	}))
	if err != nil {
		t.Fatal(err)
	}
	r := asJSON(t, record)
	debug := r["answerDebug"].([]any)[0].(map[string]any)
	info := debug["prompt"].(map[string]any)["moreInfo"].([]any)[0].(map[string]any)
	if r["query"] != hostileText || r["answer"] != hostileText || info["key"] != hostileText || info["value"] != hostileText ||
		debug["prompt"].(map[string]any)["promptText"] != hostileText+`What is "due"?` {
		t.Errorf("%s", record)
	}
}

func TestAnswerInsightsKeysHaveOneType(t *testing.T) {
	t.Parallel()
	types := map[string]string{}
	var look func(at string, v any)
	look = func(at string, v any) {
		kind := fmt.Sprint(reflect.TypeOf(v))
		if known := types[at]; known != "" && known != kind || v == nil {
			t.Fatalf("%s is %s and %s", at, known, kind)
		}
		types[at] = kind
		switch v := v.(type) {
		case map[string]any:
			for key, value := range v {
				look(at+"/"+key, value)
			}
		case []any:
			for _, value := range v {
				look(at+"/*", value)
			}
		}
	}
	got := streamed(t, ExportDataset, "answer_insights", nil, sampleHistory(t, 3000))
	for _, record := range got.records {
		r := asJSON(t, record)
		look("", r)
		created, err := time.Parse(time.RFC3339, r["createdOn"].(string))
		if err != nil || fmt.Sprint(created.UnixMilli()) != fmt.Sprint(r["timeStampValue"]) {
			t.Fatalf("%v and %v", r["createdOn"], r["timeStampValue"])
		}
		if event := r["event"].(string); !slices.Contains([]string{"thumbsUp", "thumbsDown", "search"}, event) {
			t.Fatalf("event %s", event)
		}
	}
	for _, path := range strings.Fields(`/_id /searchRequestId /query /answer /event /comments/tags/* /userId /sessionId /timeStampValue /createdOn /model
		/answerDebug/*/generativeChunks/*/chunkText /answerDebug/*/generativeChunks/*/score /answerDebug/*/generativeChunks/*/sentToLLM
		/answerDebug/*/generativeChunks/*/usedInAnswer /answerDebug/*/generativeChunks/*/sourceUrl /answerDebug/*/generativeChunks/*/recordTitle
		/answerDebug/*/generativeChunks/*/additionalInfo/chunkId /answerDebug/*/prompt/promptText /answerDebug/*/prompt/moreInfo/*/value
		/answerDebug/*/llmResponse/responseDetails/completionText/answer /answerDebug/*/llmResponse/responseDetails/completionText/chunkIds/*
		/answerDebug/*/llmResponse/responseTime/moreInfo/*/value`) {
		if types[path] == "" {
			t.Errorf("no record of the sample has %s", path)
		}
	}
}
