package tuning_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// The schemas of testdata/schemas follow the readers' documents and validators, and each names its
// source. Rules that a schema cannot express are checked here with encoding/json.

// tuningVariants are targets with options that lead to other records; the name of the schema is
// first.
var tuningVariants = []struct {
	schema, target string
	options        map[string]any
}{
	{"openai_chat", "openai_chat", nil},
	{"openai_chat", "openai_chat", map[string]any{"dedupe": false, "system": "drop"}},
	{"together", "together", map[string]any{"dedupe": false}},
	{"together_tools", "together", map[string]any{"dedupe": false, "tools": true}},
	{"mistral", "mistral", map[string]any{"dedupe": false}},
	{"bedrock_conversation", "bedrock_conversation", map[string]any{"dedupe": false}},
	{"bedrock_conversation", "bedrock_conversation", map[string]any{"system": "Be brief.\n"}},
	{"bedrock_distillation", "bedrock_distillation", map[string]any{"dedupe": false}},
	{"gemini", "gemini", map[string]any{"dedupe": false}},
	{"sharegpt", "sharegpt", map[string]any{"dedupe": false}},
	{"trl_prompt_completion", "trl_prompt_completion", map[string]any{"dedupe": false}},
	{"trl_kto", "trl_kto", map[string]any{"dedupe": false}},
	{"openai_dpo", "openai_dpo", map[string]any{"pairs_per_input": 3.0}},
	{"trl_dpo", "trl_dpo", map[string]any{"pairs_per_input": 3.0}},
	{"gemini_preference", "gemini_preference", map[string]any{"pairs_per_input": 3.0}},
}

func TestFineTuningRecordsAreWhatTheirReadersAskFor(t *testing.T) {
	t.Parallel()
	h := formattest.SampleHistory(t, 3000)
	// Groups do no harm to a target that has none.
	runs, nodes := h.Rows(record.Needs{Group: record.ByInput}, nil), h.Rows(record.Needs{Group: record.ByInput},
		[]string{"*"})
	for _, v := range tuningVariants {
		t.Run(fmt.Sprint(v.schema, v.options), func(t *testing.T) {
			schema := schemaOf(t, v.schema)
			target, _ := targets.Find(format.FineTuning, v.target)
			for _, rows := range [][]*record.Row{runs, nodes} {
				o := formattest.StreamRows(t, format.FineTuning, v.target, v.options, rows)
				if len(o.Records) == 0 || len(o.Lineage) < len(o.Records) {
					t.Fatalf("%d records with %d lines of lineage, dropped %v", len(o.Records), len(o.Lineage), o.Dropped)
				}
				for reason := range o.Dropped {
					if reason != format.DuplicateInput && !slices.ContainsFunc(target.Drops,
						func(d format.Drop) bool { return d.Reason == reason }) {
						t.Errorf("%s is no reason that the target tells of", reason)
					}
				}
				for _, record := range o.Records {
					doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(record))
					if err != nil || bytes.ContainsAny(record, "\r\n") {
						t.Fatalf("%v in %s", err, record)
					}
					if err := schema.Validate(doc); err != nil {
						t.Fatalf("%v\n%s", err, record)
					}
					if err := tuningRules[v.schema](record); err != nil {
						t.Fatalf("%v\n%s", err, record)
					}
				}
			}
		})
	}
}

func schemaOf(t testing.TB, name string) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join("testdata", "schemas",
		"fine_tuning_"+name+".schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// tuningRules are the rules that a schema cannot express.
var tuningRules = map[string]func(record []byte) error{
	"openai_chat":           conversationRule(ruledMessages{lastCalls: true}),
	"together":              conversationRule(ruledMessages{alternate: true}),
	"together_tools":        conversationRule(ruledMessages{alternate: true, lastCalls: true}),
	"mistral":               conversationRule(ruledMessages{callsAlone: true, lastCalls: true}),
	"bedrock_conversation":  turnsRule("messages", "content", func(n int) bool { return n%2 == 0 }),
	"bedrock_distillation":  turnsRule("messages", "content", func(n int) bool { return n == 2 }),
	"gemini":                turnsRule("contents", "parts", func(n int) bool { return n%2 == 0 }),
	"gemini_preference":     turnsRule("contents", "parts", func(n int) bool { return n%2 == 1 }),
	"sharegpt":              shareGPTRule,
	"trl_prompt_completion": promptRule, "trl_kto": promptRule, "trl_dpo": promptRule, "openai_dpo": promptRule,
}

type ruledMessage struct {
	Role       string
	Content    *string
	ToolCallID string `json:"tool_call_id"`
	ToolCalls  []struct {
		ID       string
		Function struct{ Arguments string }
	} `json:"tool_calls"`
}

type ruledMessages struct{ alternate, callsAlone, prompt, lastCalls bool }

// check checks messages against the rules of OpenAI's API, and against further rules of one reader.
func (r ruledMessages) check(messages []ruledMessage) error {
	seen, open := map[string]bool{}, map[string]bool{}
	asked := false
	for i, m := range messages {
		if m.Role != "tool" && len(open) > 0 {
			return fmt.Errorf("message %d comes before the answers to %v", i, open)
		}
		if i > 0 && r.alternate && m.Role == messages[i-1].Role && m.Role != "tool" {
			return fmt.Errorf("messages %d and %d are both %s", i-1, i, m.Role)
		}
		asked = asked || m.Role == "user"
		for _, call := range m.ToolCalls {
			var arguments map[string]any
			if err := json.Unmarshal([]byte(call.Function.Arguments), &arguments); err != nil {
				return err
			}
			if seen[call.ID] {
				return fmt.Errorf("call id %s twice", call.ID)
			}
			seen[call.ID], open[call.ID] = true, true
			if r.callsAlone && (m.Content != nil || messages[i-1].Role == "assistant") {
				return fmt.Errorf("message %d has calls beside text", i)
			}
		}
		if m.Role == "tool" {
			if !open[m.ToolCallID] {
				return fmt.Errorf("message %d answers no call", i)
			}
			delete(open, m.ToolCallID)
			if r.callsAlone && messages[i+1].Role != "assistant" && messages[i+1].Role != "tool" {
				return fmt.Errorf("message %d comes after a tool", i+1)
			}
		}
	}
	last := messages[len(messages)-1]
	switch {
	case !asked:
		return fmt.Errorf("nobody asks")
	case r.prompt && (last.Role == "assistant" || len(open) > 0):
		return fmt.Errorf("the prompt ends with the assistant")
	case r.lastCalls && last.Role == "assistant" && len(last.ToolCalls) > 0:
	case !r.prompt && (last.Role != "assistant" || last.Content == nil || *last.Content == ""):
		return fmt.Errorf("the last message is no answer")
	}
	return nil
}

func conversationRule(r ruledMessages) func(record []byte) error {
	return func(record []byte) error {
		var doc struct{ Messages []ruledMessage }
		if err := json.Unmarshal(record, &doc); err != nil {
			return err
		}
		return r.check(doc.Messages)
	}
}

// promptRule is that of TRL and of preferences: an answer to a prompt, and of two answers not the
// same.
func promptRule(record []byte) error {
	var doc struct {
		Prompt           []ruledMessage
		Input            struct{ Messages []ruledMessage }
		Chosen, Rejected []ruledMessage
		Preferred        []ruledMessage `json:"preferred_output"`
		Other            []ruledMessage `json:"non_preferred_output"`
	}
	if err := json.Unmarshal(record, &doc); err != nil {
		return err
	}
	good, bad := slices.Concat(doc.Chosen, doc.Preferred), slices.Concat(doc.Rejected, doc.Other)
	if len(good) > 0 && *good[0].Content == *bad[0].Content {
		return fmt.Errorf("both answers are the same")
	}
	return ruledMessages{prompt: true}.check(slices.Concat(doc.Prompt, doc.Input.Messages))
}

// turnsRule is that turns alternate, the user first, and are so many.
func turnsRule(turns, parts string, count func(n int) bool) func(record []byte) error {
	return func(record []byte) error {
		var doc map[string]json.RawMessage
		var list []map[string]json.RawMessage
		if err := json.Unmarshal(record, &doc); err != nil {
			return err
		}
		if err := json.Unmarshal(doc[turns], &list); err != nil {
			return err
		}
		for i, turn := range list {
			if (string(turn["role"]) == `"user"`) != (i%2 == 0) || turn[parts] == nil {
				return fmt.Errorf("turn %d is of %s", i, turn["role"])
			}
		}
		if !count(len(list)) {
			return fmt.Errorf("%d turns", len(list))
		}
		return nil
	}
}

// shareGPTRule is that of LLaMA-Factory's SharegptDatasetConverter and FunctionFormatter.
func shareGPTRule(record []byte) error {
	var doc struct {
		Conversations []struct{ From, Value string }
		Tools         string
	}
	if err := json.Unmarshal(record, &doc); err != nil {
		return err
	}
	for i, turn := range doc.Conversations {
		if slices.Contains([]string{"human", "observation"}, turn.From) != (i%2 == 0) {
			return fmt.Errorf("turn %d is of %s", i, turn.From)
		}
		if turn.From == "observation" && doc.Conversations[i-1].From != "function_call" {
			return fmt.Errorf("turn %d observes nothing", i)
		}
		if turn.From != "function_call" {
			continue
		}
		type call struct {
			Name      *string
			Arguments map[string]any
		}
		var many []call
		if json.Unmarshal([]byte(turn.Value), &many) != nil {
			many = make([]call, 1)
			if err := json.Unmarshal([]byte(turn.Value), &many[0]); err != nil {
				return err
			}
		}
		for _, c := range many {
			if c.Name == nil || c.Arguments == nil {
				return fmt.Errorf("turn %d calls nothing: %s", i, turn.Value)
			}
		}
	}
	if len(doc.Conversations)%2 != 0 {
		return fmt.Errorf("%d turns", len(doc.Conversations))
	}
	if doc.Tools == "" {
		return nil
	}
	var tools []struct {
		Name       string
		Parameters struct{ Properties map[string]map[string]any }
	}
	err := json.Unmarshal([]byte(doc.Tools), &tools)
	for _, tool := range tools {
		if tool.Name == "" || tool.Parameters.Properties == nil {
			return fmt.Errorf("a tool without name or properties in %s", doc.Tools)
		}
	}
	return err
}
