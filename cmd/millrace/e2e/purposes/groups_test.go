package purposes

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/export"
)

func chatMessage(role, text string) object { return object{"role": role, "content": text} }

// Two conversations begin alike, and a third is the first one under another system prompt. All are
// rated, so that they can be labelled and compared.
func TestTwoGroupsTwoMeaningsAndSetsThatCannotTrain(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	s.Env.Start(t, "ingest")
	s.Env.Start(t, "export")
	user, assistant := "user", "assistant"
	rated := func(run, rating string) object {
		return object{"type": "dev.millrace.feedback.v1", "workspace_id": "default", "run_id": run, "feedback_id": "f",
			"rating": rating, "created_at": "2026-10-05T09:00:00Z"}
	}
	greeted := func(app, id string, more ...any) object {
		return chatRun(app, id, append([]any{chatMessage(user, "Good evening"), chatMessage(assistant, "What may I bring?")},
			more...), nil)
	}
	var events []object
	for _, id := range []string{"soup", "salad"} {
		events = append(events, greeted("waiter", id, chatMessage(user, "A "+id), chatMessage(assistant, "Here is "+id)))
	}
	events = append(events,
		chatRun("waiter", "tea", []any{chatMessage(user, "Tea?"), chatMessage(assistant, "Green.")}, nil),
		chatRun("waiter", "tea-again", []any{chatMessage(user, " Tea? "), chatMessage(assistant, "Black.")}, nil),
		chatRun("waiter", "tea-butler", []any{chatMessage("system", "You are a butler."), chatMessage(user, "Tea?"),
			chatMessage(assistant, "Certainly.")}, nil),
		rated("tea", "thumbsUp"), rated("tea-again", "thumbsDown"), rated("tea-butler", "thumbsDown"),
		chatRun("cook", "good", []any{chatMessage(user, "Salt?"), chatMessage(assistant, "A pinch.")}, nil),
		rated("good", "thumbsUp"))
	replayed(t, s, events...)
	batch := e2etest.NewBatch(t, s)
	file := func(app, id string, fields object) {
		fields["options"] = object{}
		tuned(t, batch, app, id, fields)
	}
	file("waiter", "chat", object{})
	file("waiter", "kto", object{"target": "trl_kto"})
	file("waiter", "dpo", object{"target": "trl_dpo"})
	file("waiter", "compared", object{"purpose": "recipe_evaluation"})
	file("cook", "one-label", object{"target": "trl_kto"})
	file("cook", "none", object{"target": "gemini", "filters": object{"rating": "thumbsDown"}})
	file("kook", "unknown", object{"purpose": "export_dataset", "format": "csv"})
	file("cook", "unknown-run", object{"purpose": "export_dataset",
		"selection": object{"run_ids": []string{"goods", "good"}}})
	ended := batch.Wait(t)
	of := func(id string) *export.Completion {
		c := ended[export.ID{WorkspaceID: "default", ExportID: id}]
		return &c
	}

	if c := of("chat"); c.Records != 4 || c.Dropped["duplicate_input"] != 1 || !warns(c, "too_few_records", 4) {
		t.Errorf("chat: %d records, dropped %v, warnings %+v", c.Records, c.Dropped, c.Warnings)
	}
	var labels []string
	for _, record := range e2etest.RecordsOf(t, of("kto")) {
		labels = append(labels, fmt.Sprint(record["label"], " ", record["completion"].([]any)[0].(object)["content"]))
	}
	slices.Sort(labels)
	if got := strings.Join(labels, ", "); got != "false Black., false Certainly., true Green." ||
		warns(of("kto"), "missing_label", 3) {
		t.Errorf("kto: %s, warnings %+v", got, of("kto").Warnings)
	}
	pairs := e2etest.RecordsOf(t, of("dpo"))
	if len(pairs) != 1 || !strings.Contains(e2etest.JSONText(t, pairs[0]["rejected"]), "Black.") {
		t.Errorf("pairs: %v", pairs)
	}
	members := map[string]any{}
	for _, record := range e2etest.RecordsOf(t, of("compared")) {
		members[record["run_id"].(string)] = record["comparison"].(object)["runs_in_group"]
	}
	if got := fmt.Sprint(members); got != "map[salad:1 soup:1 tea:3 tea-again:3 tea-butler:3]" {
		t.Errorf("comparison: %s", got)
	}

	if c := of("one-label"); c.Records != 1 || !warns(c, "missing_label", 1) {
		t.Errorf("one label: %d records, warnings %+v", c.Records, c.Warnings)
	}
	if c := of("none"); c.Records != 0 || !warns(c, "too_few_records", 0) {
		t.Errorf("none: %d records, warnings %+v", c.Records, c.Warnings)
	}
	if out := s.Env.Run(t, "exports", "show", "none"); !strings.Contains(out, "too_few_records") {
		t.Errorf("show prints no warning: %s", out)
	}
	if c := of("unknown"); c.Records != 0 || !warns(c, "app_not_found", 1) {
		t.Errorf("an unknown app: %d records, warnings %+v", c.Records, c.Warnings)
	}
	if c := of("unknown-run"); c.Records != 1 || !warns(c, "runs_not_found", 1) ||
		!strings.Contains(c.Warnings[0].Message, `has no run "goods". It has "good".`) {
		t.Errorf("an unknown run: %d records, warnings %+v", c.Records, c.Warnings)
	}
	if out := s.Env.Run(t, "request", "--source", "copilot", "--app", "cook", "--purpose", "fine_tuning", "--target",
		"trl_kto", "--limit", "10", "--dry-run"); !strings.Contains(out, "missing_label") {
		t.Errorf("the dry run prints no warning: %s", out)
	}
	for _, id := range []string{"none", "unknown"} { // rows that are all dropped, and no rows
		dir := s.ExportFolder(t, "default", id)
		card, err := os.ReadFile(filepath.Join(dir, export.CardName))
		if err != nil || !strings.Contains(string(card), "\n    - \"__meta__/empty.parquet\"\n") {
			t.Errorf("%s: %v, card %s", id, err, card)
		}
		if _, err := os.Stat(filepath.Join(dir, "__meta__", "empty.parquet")); err != nil {
			t.Error(err)
		}
		s.Env.Run(t, "exports", "verify", id)
		out := filepath.Join(t.TempDir(), "out")
		s.Env.Run(t, "exports", "download", id, out)
	}
}
