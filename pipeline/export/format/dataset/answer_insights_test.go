package dataset_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

// insightsRow is a run that has everything: nodes that route, find, answer and check.
func insightsRow(change func(*record.Row)) *record.Row {
	r := formattest.FullRow()
	r.Nodes = []record.Node{
		{NodeRunID: []byte("n-1"), NodeID: []byte("route"), NodeType: []byte("router")},
		{NodeRunID: []byte("n-2"), NodeID: []byte("find"), NodeType: []byte("retrieval"), Chunks: []record.Chunk{
			{ChunkID: []byte("c-1"), Text: []byte("Sum: 12 €"), Score: record.Null[float64]{Value: 1, Valid: true},
				SourceURI: []byte("s3://b/1"), Title: []byte("One"), SentToLLM: record.Null[bool]{Value: true, Valid: true},
				UsedInAnswer: record.Null[bool]{Value: true, Valid: true}},
			{ChunkID: []byte("c-2"), UsedInAnswer: record.Null[bool]{Value: true, Valid: false}}}},
		{NodeRunID: []byte("n-3"), NodeID: []byte("rank"), NodeType: []byte("code"), Chunks: []record.Chunk{
			{ChunkID: []byte("c-1"), Text: []byte("Sum: 12 €"), UsedInAnswer: record.Null[bool]{Value: true, Valid: true}},
			{Text: []byte("no id"), SentToLLM: record.Null[bool]{Value: false, Valid: true},
				UsedInAnswer: record.Null[bool]{Value: true, Valid: true}}}},
		{NodeRunID: []byte("n-4"), NodeID: []byte("answer"), NodeType: []byte("llm"),
			PromptTemplate:  []byte("In {{language}}: {{question}}"),
			PromptVariables: []byte(`{"question":"What is \"due\"?","language":["en"]}`),
			Parameters: []record.Pair{{Key: []byte("temperature"), Value: []byte("0.20")},
				{Key: []byte("stop"), Value: []byte(`["x"]`)}, {Key: []byte("mode"), Value: []byte(`"low"`)}},
			Execution: record.Execution{Outputs: []byte(`{"answer":"12 \u20ac"}`), Model: []byte("m-2"),
				StartedAt: 1_793_491_200_500, EndedAt: record.Null[int64]{Value: 1_793_491_201_500, Valid: true}}},
		{NodeRunID: []byte("n-5"), NodeID: []byte("check"), NodeType: []byte("llm"), PromptTemplate: []byte("Is it true?"),
			Execution: record.Execution{Outputs: []byte(`{"grounded":true}`)}},
	}
	if change != nil {
		change(r)
	}
	return r
}

func TestAnswerInsightsRecordsHaveTheirShape(t *testing.T) {
	t.Parallel()
	f := formattest.NewRowFormatter(t, format.ExportDataset, "answer_insights", nil)
	id := func(run string) string {
		return uuid.NewSHA1(formattest.IDNamespace, []byte("acme/"+run+"//export_dataset/answer_insights")).String()
	}
	const run = "0192f0c1-7b7e-7000-8000-000000000001"
	full := `{"_id":"` + id(run) +
		`","searchRequestId":"req-1","query":"What is due?","answer":"12 €","event":"thumbsDown","comments":{"tags":["sum",""]},` +
		`"userId":"u-1","sessionId":"s-1","timeStampValue":1793491200001,"createdOn":"2026-11-01T00:00:00.001Z","model":"m-1","answerDebug":[{` +
		`"generativeChunksCount":4,"generativeChunks":[{"chunkText":"Sum: 12 €","score":1.0,"sentToLLM":true,"usedInAnswer":true,"sourceUrl":"s3://b/1","recordTitle":"One","additionalInfo":{"chunkId":"c-1"}},` +
		`{"chunkText":"","additionalInfo":{"chunkId":"c-2"}},{"chunkText":"Sum: 12 €","usedInAnswer":true,"additionalInfo":{"chunkId":"c-1"}},` +
		`{"chunkText":"no id","sentToLLM":false,"usedInAnswer":true}],"extractiveChunks":[],"chunksSentToLLM":1,"chunksUsedInAnswer":3,` +
		`"prompt":{"promptText":"In [\"en\"]: What is \"due\"?","moreInfo":[{"key":"temperature","value":"0.20"},{"key":"stop","value":"[\"x\"]"},{"key":"mode","value":"low"}]},` +
		`"llmResponse":{"responseDetails":{"completionText":{"answer":"12 €","chunkIds":["c-1"]},"moreInfo":[{"key":"Prompt Tokens","value":1200},{"key":"Completion Tokens","value":34}]},"responseTime":{"moreInfo":[{"key":"Completion Time","value":1000}]}}}]}`
	bare := `{"_id":"` + id("run-0") +
		`","searchRequestId":"run-0","query":"","answer":"","event":"search","comments":{"tags":[]},` +
		`"timeStampValue":0,"createdOn":"1970-01-01T00:00:00.000Z","answerDebug":[{"generativeChunksCount":0,"generativeChunks":[],"extractiveChunks":[],"prompt":{"promptText":"","moreInfo":[]},` +
		`"llmResponse":{"responseDetails":{"completionText":{"answer":"","chunkIds":[]},"moreInfo":[]},"responseTime":{"moreInfo":[]}}}]}`
	for _, test := range []struct {
		name, want string
		row        *record.Row
	}{{"everything", full, insightsRow(nil)}, {"only what is required", bare, formattest.EmptyRow()},
		{"everything again", full, insightsRow(nil)}} {
		record, drop, err := f.Append([]byte("before"), test.row)
		if err != nil || drop != "" || string(record) != "before"+test.want {
			t.Errorf("%s: %s\nwant %s; %q, %v", test.name, record, test.want, drop, err)
		}
	}
}

func TestTheNodeThatAnsweredGivesPromptAndTime(t *testing.T) {
	t.Parallel()
	f := formattest.NewRowFormatter(t, format.ExportDataset, "answer_insights", nil)
	const chat = `[{"role":"system","content":"Be brief."},{"role":"user","content":"first"},{"role":"user","content":[{"type":"text","text":"last"}]},{"role":"assistant","content":"said"}]`
	answer := func(r *record.Row) *record.Node { return &r.Nodes[3] }
	for _, test := range []struct {
		name                 string
		change               func(*record.Row)
		prompt, answer, time string
	}{
		{"the last llm node whose text is the answer", nil, "In [\"en\"]: What is \"due\"?", "12 €", "1000"},
		{"the last llm node where none says it", func(r *record.Row) { r.Answer = []byte("other") }, "Is it true?", "other",
			"2149"},
		{"the last llm node of a run without an answer", func(r *record.Row) { r.Answer = nil }, "Is it true?", "", "2149"},
		{"its messages, where it has no template", func(r *record.Row) {
			answer(r).PromptTemplate, answer(r).Messages = nil,
				[]byte(chat)
		}, "Be brief.\n\nlast", "12 €", "1000"},
		{"messages without a system message", func(r *record.Row) {
			answer(r).PromptTemplate, answer(r).Messages = nil, []byte(`[{"role":"user","content":"q"}]`)
		}, "q", "12 €", "1000"},
		{"neither template nor messages", func(r *record.Row) { answer(r).PromptTemplate = nil }, "", "12 €", "1000"},
		{"a template without variables", func(r *record.Row) { answer(r).PromptVariables = nil },
			"In {{language}}: {{question}}", "12 €", "1000"},
		{"no llm node, but one with a prompt", func(r *record.Row) {
			r.Nodes[3].NodeType, r.Nodes[4].NodeType = []byte("agent"), []byte("code")
			r.Nodes[4].PromptTemplate = nil
		},
			"In [\"en\"]: What is \"due\"?", "12 €", "1000"},
		{"what the node said is not what the run answered", func(r *record.Row) {
			r.Nodes = r.Nodes[:4]
			r.Answer = []byte("rephrased")
		}, "In [\"en\"]: What is \"due\"?", "12 €", "1000"},
		{"the node's last message", func(r *record.Row) {
			r.Nodes = r.Nodes[:4]
			answer(r).Outputs, answer(r).Messages = []byte(`{"n":1}`), []byte(chat)
		}, "In [\"en\"]: What is \"due\"?", "said", "1000"},
		{"a node that has not ended", func(r *record.Row) { answer(r).EndedAt.Valid = false },
			"In [\"en\"]: What is \"due\"?", "12 €", "2149"},
		{"no nodes", func(r *record.Row) { r.Nodes = nil }, "", "12 €", "2149"},
		{"documents of other shapes", func(r *record.Row) {
			answer(r).Outputs, answer(r).PromptVariables, answer(r).Messages = []byte(`[]`), []byte(`[1]`), []byte(`{}`)
			answer(r).Parameters = []record.Pair{{Key: []byte("x"), Value: nil}}
			r.Nodes = r.Nodes[:4]
		}, "In {{language}}: {{question}}", "12 €", "1000"},
	} {
		record, _, err := f.Append(nil, insightsRow(test.change))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		debug := formattest.AsJSON(t, record)["answerDebug"].([]any)[0].(map[string]any)
		response := debug["llmResponse"].(map[string]any)
		said := response["responseDetails"].(map[string]any)["completionText"].(map[string]any)["answer"]
		took := response["responseTime"].(map[string]any)["moreInfo"].([]any)[0].(map[string]any)["value"]
		if prompt := debug["prompt"].(map[string]any)["promptText"]; prompt != test.prompt || said != test.answer ||
			fmt.Sprint(took) != test.time {
			t.Errorf("%s: prompt %q, answer %q, %v ms", test.name, prompt, said, took)
		}
	}
}

func TestAnswerDebugCarriesUsageFinishReasonAndExtractiveChunks(t *testing.T) {
	t.Parallel()
	f := formattest.NewRowFormatter(t, format.ExportDataset, "answer_insights", nil)
	answer := func(r *record.Row) *record.Node { return &r.Nodes[3] }
	tokens := func(n int64) record.Null[int64] { return record.Null[int64]{Value: n, Valid: true} }
	for name, test := range map[string]struct {
		change func(*record.Row)
		want   string // moreInfo
	}{
		"the run's usage":  {nil, "[map[key:Prompt Tokens value:1200] map[key:Completion Tokens value:34]]"},
		"the node's usage": {func(r *record.Row) { answer(r).InputTokens = tokens(7) }, "[map[key:Prompt Tokens value:7]]"},
		"in the outputs of the node": {func(r *record.Row) {
			answer(r).InputTokens = tokens(7)
			answer(r).Outputs = []byte(`{"answer":"12 \u20ac","finish_reason":"length"}`)
		}, "[map[key:Prompt Tokens value:7] map[key:Finish Reason value:length]]"},
		"in the first choice": {func(r *record.Row) {
			answer(r).InputTokens = tokens(7)
			answer(r).Outputs = []byte(`{"answer":"12 \u20ac","choices":[{"finish_reason":"stop"},{"finish_reason":"x"}]}`)
		}, "[map[key:Prompt Tokens value:7] map[key:Finish Reason value:stop]]"},
		"in the metadata of the run": {func(r *record.Row) {
			r.Nodes, r.InputTokens, r.OutputTokens = nil, tokens(1), record.Null[int64]{}
			r.Metadata = []record.Pair{{Key: []byte("stop_reason"), Value: []byte("end_turn")}}
		}, "[map[key:Prompt Tokens value:1] map[key:Finish Reason value:end_turn]]"},
		"nothing": {func(r *record.Row) { r.InputTokens, r.OutputTokens = record.Null[int64]{}, record.Null[int64]{} }, "[]"},
	} {
		record, _, err := f.Append(nil, insightsRow(test.change))
		if err != nil {
			t.Fatal(err)
		}
		debug := formattest.AsJSON(t, record)["answerDebug"].([]any)[0].(map[string]any)
		details := debug["llmResponse"].(map[string]any)["responseDetails"].(map[string]any)
		if got := fmt.Sprint(details["moreInfo"]); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
	got, _, err := f.Append(nil, insightsRow(func(r *record.Row) { r.Nodes[2].NodeType = []byte("extractive") }))
	if err != nil {
		t.Fatal(err)
	}
	debug := formattest.AsJSON(t, got)["answerDebug"].([]any)[0].(map[string]any)
	if fmt.Sprintln(debug["generativeChunksCount"], len(debug["generativeChunks"].([]any)),
		len(debug["extractiveChunks"].([]any)), debug["chunksSentToLLM"], debug["chunksUsedInAnswer"]) != "2 2 2 1 3\n" {
		t.Errorf("%v", debug)
	}
}

func TestTheModelIsTheRunsElseTheNodes(t *testing.T) {
	t.Parallel()
	f := formattest.NewRowFormatter(t, format.ExportDataset, "answer_insights", nil)
	record, _, err := f.Append(nil, insightsRow(func(r *record.Row) { r.Model = nil }))
	if err != nil || formattest.AsJSON(t, record)["model"] != "m-2" {
		t.Errorf("%s, %v", record, err)
	}
}

func TestAnswerInsightsTakesAnyText(t *testing.T) {
	t.Parallel()
	f := formattest.NewRowFormatter(t, format.ExportDataset, "answer_insights", nil)
	record, _, err := f.Append(nil, insightsRow(func(r *record.Row) {
		for _, field := range []*[]byte{&r.RequestID, &r.Question, &r.Answer, &r.UserID, &r.SessionID, &r.Model,
			&r.Feedback.Rating, &r.Feedback.Tags[0],
			&r.Nodes[1].Chunks[0].ChunkID, &r.Nodes[1].Chunks[0].Text, &r.Nodes[1].Chunks[0].Title,
			&r.Nodes[1].Chunks[0].SourceURI, &r.Nodes[3].Parameters[0].Key} {
			*field = []byte(formattest.HostileText)
		}
		r.Nodes[3].PromptTemplate = append([]byte(formattest.HostileText), "{{question}}"...)
		r.Nodes[3].Parameters[0].Value = formattest.Quoted(formattest.HostileText)
		r.Nodes[3].Outputs = append(append([]byte(`{"answer":`), formattest.Quoted(formattest.HostileText)...), '}')
	}))
	if err != nil {
		t.Fatal(err)
	}
	r := formattest.AsJSON(t, record)
	debug := r["answerDebug"].([]any)[0].(map[string]any)
	info := debug["prompt"].(map[string]any)["moreInfo"].([]any)[0].(map[string]any)
	if r["query"] != formattest.HostileText || r["answer"] != formattest.HostileText ||
		info["key"] != formattest.HostileText || info["value"] != formattest.HostileText ||
		debug["prompt"].(map[string]any)["promptText"] != formattest.HostileText+`What is "due"?` {
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
	got := formattest.StreamHistory(t, format.ExportDataset, "answer_insights", nil, formattest.SampleHistory(t, 3000))
	for _, record := range got.Records {
		r := formattest.AsJSON(t, record)
		look("", r)
		created, err := time.Parse(time.RFC3339, r["createdOn"].(string))
		if err != nil || fmt.Sprint(created.UnixMilli()) != fmt.Sprint(r["timeStampValue"]) {
			t.Fatalf("%v and %v", r["createdOn"], r["timeStampValue"])
		}
		if event := r["event"].(string); !slices.Contains([]string{"thumbsUp", "thumbsDown", "search"}, event) {
			t.Fatalf("event %s", event)
		}
	}
	for _, path := range strings.Fields(
		`/_id /searchRequestId /query /answer /event /comments/tags/* /userId /sessionId /timeStampValue /createdOn /model
		/answerDebug/*/generativeChunks/*/chunkText /answerDebug/*/generativeChunks/*/score
		/answerDebug/*/generativeChunks/*/sentToLLM
		/answerDebug/*/generativeChunks/*/usedInAnswer /answerDebug/*/generativeChunks/*/sourceUrl
		/answerDebug/*/generativeChunks/*/recordTitle
		/answerDebug/*/generativeChunks/*/additionalInfo/chunkId /answerDebug/*/prompt/promptText
		/answerDebug/*/prompt/moreInfo/*/value
		/answerDebug/*/llmResponse/responseDetails/completionText/answer
		/answerDebug/*/llmResponse/responseDetails/completionText/chunkIds/*
		/answerDebug/*/llmResponse/responseTime/moreInfo/*/value`) {
		if types[path] == "" {
			t.Errorf("no record of the sample has %s", path)
		}
	}
}
