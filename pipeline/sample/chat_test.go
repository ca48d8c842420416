package sample

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestToolCallsAreAnsweredAndMessagesAreOfEveryShape(t *testing.T) {
	shapes := map[string]int{}
	for _, e := range sample(t) {
		messages, ok := e.data["messages"].([]any)
		if !ok {
			continue
		}
		var open []string // calls not answered yet
		ids, users := set{}, 0
		for k, m := range messages {
			m := m.(data)
			role := m["role"].(string)
			if role != "tool" && len(open) > 0 {
				t.Errorf("%s: %v not answered", e.ID, open)
			}
			switch content := m["content"].(type) {
			case nil:
				shapes["null"]++
			case string:
				shapes["string"]++
				if role == "assistant" && content == "" {
					shapes["empty"]++
				}
			case []any:
				shapes["parts "+role]++
				for _, p := range content {
					shapes["part "+p.(data)["type"].(string)]++
				}
			}
			calls, _ := m["tool_calls"].([]any)
			if len(calls) > 1 {
				shapes["parallel"]++
			}
			for _, c := range calls {
				id := c.(data)["id"].(string)
				if ids[id] {
					shapes["id again"]++
				}
				ids.add(id)
				open = append(open, id)
				if !json.Valid([]byte(c.(data)["function"].(data)["arguments"].(string))) {
					t.Errorf("%s: arguments are not JSON", e.ID)
				}
			}
			if role == "tool" {
				at := slices.Index(open, m["tool_call_id"].(string))
				if at < 0 {
					t.Fatalf("%s: an answer without a call", e.ID)
				}
				open = slices.Delete(open, at, at+1)
				shapes["answered"]++
			}
			if role == "system" {
				shapes["system"]++
				if k > 0 {
					t.Errorf("%s: system in the middle", e.ID)
				}
			}
			if role == "user" {
				users++
			}
			if k == len(messages)-1 {
				shapes[e.str("status")+" last "+role]++
			}
		}
		if len(open) > 0 {
			t.Errorf("%s: %v not answered", e.ID, open)
		}
		if users > 1 {
			shapes["turns"]++
		}
		if messages[0].(data)["role"] != "system" {
			shapes["no system"]++
		}
	}
	for _, shape := range strings.Split("null,string,empty,parts system,parts user,parts assistant,part text,part "+
		"image_url,parallel,"+
		"id again,answered,system,no system,turns,succeeded last assistant,succeeded last user,failed last user", ",") {
		atLeast(t, shapes[shape], 3, "messages: "+shape)
	}
}
