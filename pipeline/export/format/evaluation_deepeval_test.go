package format

import "testing"

const (
	runOrigin     = `{"run_id":"r1","app_id":"helper","app_version":"v2","model":"m-1","status":"succeeded"}`
	runVerdict    = `{"run_id":"r1","app_id":"helper","app_version":"v2","model":"m-1","status":"succeeded","score":1.0,"rating":"thumbsUp","region":"eu"}`
	nodeOrigin    = `{"run_id":"r1","node_run_id":"n1","node_id":"compose","app_id":"helper","app_version":"v2","model":"m-1","status":"succeeded"}`
	nodeVerdict   = `{"run_id":"r1","node_run_id":"n1","node_id":"compose","app_id":"helper","app_version":"v2","model":"m-1","status":"succeeded","score":1.0,"rating":"thumbsUp","region":"eu"}`
	textOfVerdict = `{"run_id":"r1","app_id":"helper","app_version":"v2","model":"m-1","status":"succeeded","score":"1.0","rating":"thumbsUp","region":"eu"}`
)

func TestDeepEvalRecords(t *testing.T) {
	t.Parallel()
	messages := func(doc string) func(*Row) { return func(r *Row) { r.Subject().Messages = b(doc) } }
	call := func(id, name, arguments string) string {
		return `{"id":"` + id + `","type":"function","function":{"name":"` + name + `","arguments":` + arguments + `}}`
	}
	tools := func(calls string) string {
		return `{"input":"Q?","actual_output":"A.","tools_called":[` + calls + `],"additional_metadata":` + runOrigin + `}`
	}
	none := `{"input":"Q?","actual_output":"A.","additional_metadata":` + runOrigin + `}`
	checkEvaluation(t, RecipeEvaluation, "deepeval", nil, []evaluationTest{
		{name: "everything", row: evaluationRun(fullVerdict), want: `{"input":"Q?","actual_output":"A.","expected_output":"The answer.","retrieval_context":["two"],"tools_called":[{"name":"look","input_parameters":{"a":1},"output":"found"}],"additional_metadata":` + runVerdict + `}`},
		{name: "only a question", row: evaluationRun(withoutAnswer), want: `{"input":"Q?","additional_metadata":` + runOrigin + `}`},
		{name: "no question", row: evaluationRun(withoutQuestion), drop: "no_question"},
		{name: "calls of questions before", row: evaluationRun(messages(`[{"role":"user","content":"1"},{"role":"assistant","tool_calls":[` + call("a", "old", `"{}"`) + `]},{"role":"tool","tool_call_id":"a","content":"o"},{"role":"user","content":"2"},{"role":"assistant","tool_calls":[` + call("a", "new", `"{}"`) + `]}]`)),
			want: tools(`{"name":"new","input_parameters":{}}`)},
		{name: "no calls since the last question", row: evaluationRun(messages(`[{"role":"assistant","tool_calls":[` + call("a", "old", `"{}"`) + `]},{"role":"user","content":"2"}]`)), want: none},
		{name: "calls at once, answered in another order", row: evaluationRun(messages(`[{"role":"assistant","content":"","tool_calls":[` + call("a", "f", `"{}"`) + `,` + call("b", "g", `"{}"`) + `]},{"role":"tool","tool_call_id":"b","content":"B"},{"role":"tool","tool_call_id":"a","content":[{"type":"text","text":"A"},{"type":"text","text":"a"}]}]`)),
			want: tools(`{"name":"f","input_parameters":{},"output":"A\na"},{"name":"g","input_parameters":{},"output":"B"}`)},
		{name: "an id that was used twice", row: evaluationRun(messages(`[{"role":"assistant","tool_calls":[` + call("a", "f", `"{}"`) + `]},{"role":"tool","tool_call_id":"a","content":"1"},{"role":"assistant","tool_calls":[` + call("a", "f", `"{}"`) + `]},{"role":"tool","tool_call_id":"a","content":"2"}]`)),
			want: tools(`{"name":"f","input_parameters":{},"output":"1"},{"name":"f","input_parameters":{},"output":"2"}`)},
		{name: "arguments on several lines", row: evaluationRun(messages(`[{"role":"assistant","tool_calls":[` + call("a", "f", `"{\n \"x\": \"\\n\\u0041\"\r\n}"`) + `]}]`)), want: tools(`{"name":"f","input_parameters":{  "x": "\n\u0041"  }}`)},
		{name: "arguments that are an object", row: evaluationRun(messages(`[{"role":"assistant","tool_calls":[` + call("a", "f", `{"x":1E400}`) + `]}]`)), want: tools(`{"name":"f","input_parameters":{"x":1E400}}`)},
		{name: "arguments that are no object", row: evaluationRun(messages(`[{"role":"assistant","tool_calls":[` + call("a", "f", `"[1]"`) + `,` + call("a", "g", `"{\"x\":"`) + `,` + call("a", "h", `"{} {}"`) + `,` + call("a", "i", `7`) + `]}]`)),
			want: tools(`{"name":"f","input_parameters":{"arguments":"[1]"}},{"name":"g","input_parameters":{"arguments":"{\"x\":"}},{"name":"h","input_parameters":{"arguments":"{} {}"}},{"name":"i","input_parameters":{"arguments":"7"}}`)},
		{name: "arguments that are no JSON to rely on", row: evaluationRun(messages(`[{"role":"assistant","tool_calls":[` + call("a", "f", `"{\"x\":1,\"x\":2}"`) + `,` + call("a", "g", `"{\"x\":\"\\ud800\"}"`) + `]}]`)),
			want: tools(`{"name":"f","input_parameters":{"arguments":"{\"x\":1,\"x\":2}"}},{"name":"g","input_parameters":{"arguments":"{\"x\":\"\\ud800\"}"}}`)},
		{name: "no arguments", row: evaluationRun(messages(`[{"role":"assistant","tool_calls":[` + call("a", "f", `""`) + `,` + call("a", "g", `null`) + `,{"function":{"name":"h"}}]}]`)), want: tools(`{"name":"f"},{"name":"g"},{"name":"h"}`)},
		{name: "calls without a name", row: evaluationRun(messages(`[{"role":"assistant","tool_calls":[` + call("a", "", `"{}"`) + `,{},null]}]`)), want: none},
		{name: "tool_calls that are none", row: evaluationRun(messages(`[{"role":"assistant","tool_calls":null},{"role":"assistant","tool_calls":[]},{"role":"assistant","tool_calls":{}}]`)), want: none},
		{name: "node runs of tools", row: evaluationRun(func(r *Row) {
			r.Nodes = []Node{
				{NodeID: b("t1"), NodeName: b("Look up"), NodeType: b("tool"), Execution: Execution{Inputs: b(`{"a":1}`), Outputs: b(`{"result":"R"}`)}},
				{NodeID: b("l1"), NodeType: b("llm"), Execution: Execution{Inputs: b(`{"a":2}`)}},
				{NodeID: b("t2"), NodeType: b("tool"), Execution: Execution{Outputs: b(`{"x":[1]}`)}},
			}
		}), want: tools(`{"name":"Look up","input_parameters":{"a":1},"output":"R"},{"name":"t2","output":"{\"x\":[1]}"}`)},
		{name: "calls before node runs of tools", row: evaluationRun(messages(`[{"role":"assistant","tool_calls":[`+call("a", "f", `"{}"`)+`]}]`), func(r *Row) { r.Nodes = []Node{{NodeID: b("t1"), NodeType: b("tool")}} }),
			want: tools(`{"name":"f","input_parameters":{}}`)},
	})
	checkEvaluation(t, NodeEvaluation, "deepeval", nil, []evaluationTest{
		{name: "everything", row: evaluationNode(fullVerdict), want: `{"input":"NQ?","actual_output":"NA.","expected_output":"The answer.","retrieval_context":["two"],"tools_called":[{"name":"look","input_parameters":{"a":1},"output":"found"}],"additional_metadata":` + nodeVerdict + `}`},
		{name: "little", row: evaluationNode(), want: `{"input":"NQ?","actual_output":"NA.","additional_metadata":` + nodeOrigin + `}`},
	})
}
