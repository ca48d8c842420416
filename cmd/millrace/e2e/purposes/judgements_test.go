package purposes

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/export"
)

// A person disliked an answer and corrected it. A judge model liked it later. The model must not hide
// what the person said.
func TestAJudgeModelDoesNotHideAPersonsCorrection(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	s.Env.Start(t, "ingest")
	s.Env.Start(t, "export")
	judged := func(id, at string, more object) object {
		event := object{"type": "dev.millrace.feedback.v1", "workspace_id": "default", "run_id": "r", "feedback_id": id,
			"created_at": at, "updated_at": at}
		for key, value := range more {
			event[key] = value
		}
		return event
	}
	replayed(t, s, chatRun("waiter", "r", []any{chatMessage("user", "Salt?"), chatMessage("assistant", "A kilo.")}, nil),
		judged("person", "2026-10-05T09:00:00Z", object{"rating": "thumbsDown", "corrected_answer": "A pinch.",
			"comment": "too much"}),
		judged("judge", "2026-10-05T10:00:00Z", object{"kind": "model", "score": 0.9, "rating": "thumbsUp"}),
		judged("tone", "2026-10-05T11:00:00Z", object{"kind": "model", "name": "tone", "score": 0.5}))
	batch := e2etest.NewBatch(t, s)
	tuned(t, batch, "waiter", "chat", object{})
	tuned(t, batch, "waiter", "all", object{"purpose": "export_dataset", "options": object{}})
	tuned(t, batch, "waiter", "liked", object{"purpose": "export_dataset", "options": object{},
		"filters": object{"rating": "thumbsUp"}})
	ended := batch.Wait(t)
	of := func(id string) *export.Completion {
		c := ended[export.ID{WorkspaceID: "default", ExportID: id}]
		return &c
	}
	chat := e2etest.RecordsOf(t, of("chat"))
	if text := e2etest.JSONText(t, chat); len(chat) != 1 || !strings.Contains(text, "A pinch.") ||
		strings.Contains(text, "A kilo.") {
		t.Errorf("fine-tuning teaches %s", text)
	}
	all := e2etest.RecordsOf(t, of("all"))
	if len(all) != 1 {
		t.Fatalf("%d records", len(all))
	}
	for key, parts := range map[string][]string{
		"feedback":   {`"rating":"thumbsDown"`, `"score":0.9`, `"comment":"too much"`, `"corrected_answer":"A pinch."`},
		"scores":     {`"name":"score"`, `"name":"rating"`, `"name":"tone"`},
		"judgements": {`"feedback_id":"person"`, `"feedback_id":"judge"`, `"feedback_id":"tone"`, `"kind":"model"`},
	} {
		text := e2etest.JSONText(t, all[0][key])
		for _, part := range parts {
			if !strings.Contains(text, part) {
				t.Errorf("%s has no %s: %s", key, part, text)
			}
		}
	}
	if c := of("liked"); c.Records != 0 {
		t.Errorf("the filter finds a model's thumb behind a person's: %d records", c.Records)
	}
}

// A record shows the newest 1,000 judgements on its run, and the export says that there are more.
func TestMoreThanAThousandJudgementsAreSaidToBeLeftOut(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	s.Env.Start(t, "ingest")
	s.Env.Start(t, "export")
	events := []object{
		chatRun("waiter", "r", []any{chatMessage("user", "Salt?"), chatMessage("assistant", "A kilo.")}, nil),
	}
	for i := range 1001 {
		at := time.Date(2026, 10, 5, 9, 0, i, 0, time.UTC)
		events = append(events, object{"type": "dev.millrace.feedback.v1", "workspace_id": "default", "run_id": "r",
			"feedback_id": fmt.Sprint("f", i), "kind": "model", "score": i, "created_at": at, "updated_at": at})
	}
	replayed(t, s, events...)
	batch := e2etest.NewBatch(t, s)
	tuned(t, batch, "waiter", "all", object{"purpose": "export_dataset", "options": object{}})
	c := batch.Wait(t)[export.ID{WorkspaceID: "default", ExportID: "all"}]
	records := e2etest.RecordsOf(t, &c)
	if len(records) != 1 {
		t.Fatalf("%d records", len(records))
	}
	list := records[0]["judgements"].([]any)
	if first, last := list[0].(object), list[len(list)-1].(object); len(list) != 1000 || first["feedback_id"] != "f1000" ||
		last["feedback_id"] != "f1" {
		t.Errorf("%d judgements, from %v to %v", len(list), first["feedback_id"], last["feedback_id"])
	}
	if !slices.ContainsFunc(c.Warnings, func(w export.Warning) bool {
		return w.Code == "judgements_left_out" && w.Count == 1
	}) {
		t.Errorf("warnings %+v", c.Warnings)
	}
}
