package purposes

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/export"
)

// Conversations with tools, of which every one ends with a message of the user or of a tool, become
// lines that train a model: calls and answers intact, the tails cut.
func TestAirlineConversationsAreTrainedOnWithTheirToolCalls(t *testing.T) {
	t.Parallel()
	files := map[e2etest.RealApp]string{e2etest.MathTutor: e2etest.Shared(t, e2etest.MathTutor.File),
		e2etest.Airline: e2etest.Shared(t, e2etest.Airline.File)}
	s := newRealSite(t, files)
	runs := e2etest.SourceRecords(t, files[e2etest.Airline])
	batch := e2etest.NewBatch(t, s)
	ask := func(id string, fields object) { askForAll(t, batch, e2etest.Airline, id, all, fields) }
	ask("chat", object{"purpose": "fine_tuning"})
	ask("bedrock", object{"purpose": "fine_tuning", "target": "bedrock_conversation"})
	ask("details", object{"purpose": "node_evaluation", "nodes": []string{"get_user_details"}})
	ask("prompts", object{"purpose": "node_optimization", "nodes": []string{"assistant"}})
	ended := batch.Wait(t)
	of := func(id string) *export.Completion { return succeeded(t, ended, id) }
	chat := of("chat")
	if chat.Records < 190 || chat.RowsUsed != chat.Records || !slices.ContainsFunc(chat.Warnings,
		func(w export.Warning) bool { return w.Code == "trimmed_tail" && w.Count == chat.Records }) ||
		!slices.ContainsFunc(chat.Warnings, func(w export.Warning) bool { return w.Code == "thumbs_down_included" }) {
		t.Errorf("%d records, dropped %v, warnings %+v", chat.Records, chat.Dropped, chat.Warnings)
	}
	lineage := e2etest.LineageOf(t, chat)
	for i, record := range e2etest.RecordsOf(t, chat) {
		intact(t, record, runs[lineage[i]["run_id"].(string)])
	}
	bedrock := of("bedrock")
	if bedrock.Records < 190 {
		t.Errorf("bedrock: %d records, dropped %v", bedrock.Records, bedrock.Dropped)
	}
	for _, record := range e2etest.RecordsOf(t, bedrock) {
		messages := record["messages"].([]any)
		for i, m := range messages {
			if role := m.(object)["role"]; role != []string{"user", "assistant"}[i%2] ||
				len(m.(object)["content"].([]any)) != 1 {
				t.Fatalf("message %d is of %v: %v", i, role, m)
			}
		}
		if len(messages)%2 != 0 || len(messages) == 0 || len(record["system"].([]any)) != 1 {
			t.Errorf("%d messages, system %v", len(messages), record["system"])
		}
	}
	if details := of("details"); details.Records != 120 || details.RowsPlanned != 120 {
		t.Errorf("%d of %d node runs of get_user_details, want 120", details.Records, details.RowsPlanned)
	}
	templates, prompts := map[any]bool{}, e2etest.RecordsOf(t, of("prompts"))
	for _, record := range prompts {
		if record["node"].(object)["id"] != "assistant" || record["template_id"] == nil {
			t.Fatalf("node %v, template %v", record["node"], record["template_id"])
		}
		templates[record["template_id"]] = true
	}
	if len(prompts) != 2454 || len(templates) != 1 {
		t.Errorf("%d node runs of %d templates, want 2454 of one", len(prompts), len(templates))
	}
}

// intact holds a line against the conversation that was sent: it is its beginning, up to the last
// answer, a text or calls, with every tool call and its answer; ids may be others, but go together.
func intact(t *testing.T, record, run object) {
	t.Helper()
	sent, got := run["messages"].([]any), record["messages"].([]any)
	last := -1
	for i, m := range sent {
		if m := m.(object); m["role"] == "assistant" && (textOf(m["content"]) != "" || m["tool_calls"] != nil) {
			last = i
		}
	}
	if len(got) != last+1 {
		t.Errorf("run %v: %d messages, want the first %d of %d", run["run_id"], len(got), last+1, len(sent))
		return
	}
	renamed, open := map[string]bool{}, []string{}
	for i, m := range got {
		want, got := sent[i].(object), m.(object)
		if got["role"] != want["role"] || textOf(got["content"]) != textOf(want["content"]) {
			t.Errorf("run %v: message %d is %v, sent was %v", run["run_id"], i, got, want)
		}
		if _, there := got["content"]; there && got["content"] == nil {
			t.Errorf("run %v: message %d has content null", run["run_id"], i)
		}
		var wanted []any
		if want["tool_calls"] != nil { // the last ones have lost their answers, and may stay
			wanted = want["tool_calls"].([]any)
		}
		calls, _ := got["tool_calls"].([]any)
		if len(calls) != len(wanted) {
			t.Errorf("run %v: message %d has %d calls, sent were %d", run["run_id"], i, len(calls), len(wanted))
			continue
		}
		for j, call := range calls {
			id := call.(object)["id"].(string)
			if renamed[id] {
				t.Errorf("run %v: id %s is used twice", run["run_id"], id)
			}
			renamed[id], open = true, append(open, id)
			if fmt.Sprint(call.(object)["function"]) != fmt.Sprint(wanted[j].(object)["function"]) {
				t.Errorf("run %v: call %v, sent was %v", run["run_id"], call, wanted[j])
			}
		}
		if got["role"] == "tool" {
			at := slices.Index(open, fmt.Sprint(got["tool_call_id"]))
			if at < 0 {
				t.Errorf("run %v: message %d answers %v, which is not open", run["run_id"], i, got["tool_call_id"])
				continue
			}
			open = slices.Delete(open, at, at+1)
		}
	}
}

func textOf(content any) string {
	if content == nil {
		return ""
	}
	return strings.TrimSpace(content.(string))
}
