package evaluation_test

import (
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

const (
	runOrigin     = `{"run_id":"r1","app_id":"helper","app_version":"v2","model":"m-1","status":"succeeded"}`
	runVerdict    = `{"run_id":"r1","app_id":"helper","app_version":"v2","model":"m-1","status":"succeeded","score":1.0,"rating":"thumbsUp","region":"eu"}`
	nodeOrigin    = `{"run_id":"r1","node_run_id":"n1","node_id":"compose","app_id":"helper","app_version":"v2","model":"m-1","status":"succeeded"}`
	nodeVerdict   = `{"run_id":"r1","node_run_id":"n1","node_id":"compose","app_id":"helper","app_version":"v2","model":"m-1","status":"succeeded","score":1.0,"rating":"thumbsUp","region":"eu"}`
	textOfVerdict = `{"run_id":"r1","app_id":"helper","app_version":"v2","model":"m-1","status":"succeeded","score":"1.0","rating":"thumbsUp","region":"eu"}`
)

func TestDeepEvalRecords(t *testing.T) {
	t.Parallel()
	messages := func(doc string) func(*record.Row) { return func(r *record.Row) { r.Subject().Messages = []byte(doc) } }
	call := func(id, name, arguments string) string {
		return `{"id":"` + id + `","type":"function","function":{"name":"` + name + `","arguments":` + arguments + `}}`
	}
	tools := func(calls string) string {
		return `{"input":"Q?","actual_output":"A.","tools_called":[` + calls + `],"additional_metadata":` + runOrigin + `}`
	}
	none := `{"input":"Q?","actual_output":"A.","additional_metadata":` + runOrigin + `}`
	checkEvaluation(t, format.RecipeEvaluation, "deepeval", nil, []evaluationTest{
		{name: "everything", row: formattest.EvaluationRun(fullVerdict),
			want: `{"input":"Q?","actual_output":"A.","expected_output":"The answer.","retrieval_context":["two"],"tools_called":[{"name":"look","input_parameters":{"a":1},"output":"found"}],"additional_metadata":` + runVerdict + `}`},
		{name: "only a question", row: formattest.EvaluationRun(withoutAnswer), want: `{"input":"Q?","additional_metadata":` +
			runOrigin + `}`},
		{name: "no question", row: formattest.EvaluationRun(withoutQuestion), drop: "no_question"},
		{name: "calls of questions before", row: formattest.EvaluationRun(
			messages(`[{"role":"user","content":"1"},{"role":"assistant","tool_calls":[` + call("a", "old", `"{}"`) +
				`]},{"role":"tool","tool_call_id":"a","content":"o"},{"role":"user","content":"2"},{"role":"assistant","tool_calls":[` + call("a", "new", `"{}"`) + `]}]`)),
			want: tools(`{"name":"new","input_parameters":{}}`)},
		{name: "no calls since the last question", row: formattest.EvaluationRun(
			messages(`[{"role":"assistant","tool_calls":[` + call("a", "old", `"{}"`) + `]},{"role":"user","content":"2"}]`)),
			want: none},
		{name: "calls at once, answered in another order",
			row: formattest.EvaluationRun(messages(`[{"role":"assistant","content":"","tool_calls":[` + call("a", "f", `"{}"`) +
				`,` + call("b", "g", `"{}"`) +
				`]},{"role":"tool","tool_call_id":"b","content":"B"},{"role":"tool","tool_call_id":"a","content":[{"type":"text","text":"A"},{"type":"text","text":"a"}]}]`)),
			want: tools(`{"name":"f","input_parameters":{},"output":"A\na"},{"name":"g","input_parameters":{},"output":"B"}`)},
		{name: "an id that was used twice", row: formattest.EvaluationRun(messages(`[{"role":"assistant","tool_calls":[` +
			call("a", "f", `"{}"`) + `]},{"role":"tool","tool_call_id":"a","content":"1"},{"role":"assistant","tool_calls":[` +
			call("a", "f", `"{}"`) + `]},{"role":"tool","tool_call_id":"a","content":"2"}]`)),
			want: tools(`{"name":"f","input_parameters":{},"output":"1"},{"name":"f","input_parameters":{},"output":"2"}`)},
		{name: "arguments on several lines", row: formattest.EvaluationRun(messages(`[{"role":"assistant","tool_calls":[` +
			call("a", "f", `"{\n \"x\": \"\\n\\u0041\"\r\n}"`) + `]}]`)),
			want: tools(`{"name":"f","input_parameters":{  "x": "\n\u0041"  }}`)},
		{name: "arguments that are an object", row: formattest.EvaluationRun(messages(`[{"role":"assistant","tool_calls":[` +
			call("a", "f", `{"x":1E400}`) + `]}]`)), want: tools(`{"name":"f","input_parameters":{"x":1E400}}`)},
		{name: "arguments that are no object", row: formattest.EvaluationRun(messages(`[{"role":"assistant","tool_calls":[` +
			call("a", "f", `"[1]"`) + `,` + call("a", "g", `"{\"x\":"`) + `,` + call("a", "h", `"{} {}"`) + `,` + call("a", "i",
			`7`) + `]}]`)),
			want: tools(
				`{"name":"f","input_parameters":{"arguments":"[1]"}},{"name":"g","input_parameters":{"arguments":"{\"x\":"}},{"name":"h","input_parameters":{"arguments":"{} {}"}},{"name":"i","input_parameters":{"arguments":"7"}}`)},
		{name: "arguments that are no JSON to rely on",
			row: formattest.EvaluationRun(messages(`[{"role":"assistant","tool_calls":[` + call("a", "f",
				`"{\"x\":1,\"x\":2}"`) + `,` + call("a", "g", `"{\"x\":\"\\ud800\"}"`) + `]}]`)),
			want: tools(
				`{"name":"f","input_parameters":{"arguments":"{\"x\":1,\"x\":2}"}},{"name":"g","input_parameters":{"arguments":"{\"x\":\"\\ud800\"}"}}`)},
		{name: "no arguments", row: formattest.EvaluationRun(messages(`[{"role":"assistant","tool_calls":[` + call("a", "f",
			`""`) + `,` + call("a", "g", `null`) + `,{"function":{"name":"h"}}]}]`)),
			want: tools(`{"name":"f"},{"name":"g"},{"name":"h"}`)},
		{name: "calls without a name", row: formattest.EvaluationRun(messages(`[{"role":"assistant","tool_calls":[` +
			call("a", "", `"{}"`) + `,{},null]}]`)), want: none},
		{name: "tool_calls that are none", row: formattest.EvaluationRun(
			messages(
				`[{"role":"assistant","tool_calls":null},{"role":"assistant","tool_calls":[]},{"role":"assistant","tool_calls":{}}]`)), want: none},
		{name: "node runs of tools", row: formattest.EvaluationRun(func(r *record.Row) {
			r.Nodes = []record.Node{
				{NodeID: []byte("t1"), NodeName: []byte("Look up"), NodeType: []byte("tool"),
					Execution: record.Execution{Inputs: []byte(`{"a":1}`), Outputs: []byte(`{"result":"R"}`)}},
				{NodeID: []byte("l1"), NodeType: []byte("llm"), Execution: record.Execution{Inputs: []byte(`{"a":2}`)}},
				{NodeID: []byte("t2"), NodeType: []byte("tool"), Execution: record.Execution{Outputs: []byte(`{"x":[1]}`)}},
			}
		}), want: tools(`{"name":"Look up","input_parameters":{"a":1},"output":"R"},{"name":"t2","output":"{\"x\":[1]}"}`)},
		{name: "calls before node runs of tools", row: formattest.EvaluationRun(
			messages(`[{"role":"assistant","tool_calls":[`+call("a", "f", `"{}"`)+`]}]`),
			func(r *record.Row) { r.Nodes = []record.Node{{NodeID: []byte("t1"), NodeType: []byte("tool")}} }),
			want: tools(`{"name":"f","input_parameters":{}}`)},
	})
	checkEvaluation(t, format.NodeEvaluation, "deepeval", nil, []evaluationTest{
		{name: "everything", row: formattest.EvaluationNode(fullVerdict),
			want: `{"input":"NQ?","actual_output":"NA.","expected_output":"The answer.","retrieval_context":["two"],"tools_called":[{"name":"look","input_parameters":{"a":1},"output":"found"}],"additional_metadata":` + nodeVerdict + `}`},
		{name: "little", row: formattest.EvaluationNode(),
			want: `{"input":"NQ?","actual_output":"NA.","additional_metadata":` + nodeOrigin + `}`},
	})
}
