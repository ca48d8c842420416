package purposes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
)

const maxString = 16 << 20

// longText returns a text of exactly n bytes, with characters that formats escape.
func longText(n int) string {
	const part = "A line, with \"quotes\", a \\ and é.\n"
	text := strings.Repeat(part, n/len(part))
	return text + strings.Repeat("x", n-len(text))
}

// A text at the limit passes through every purpose and format as it was sent. One above it is refused
// with its name, its size and the limit, at the HTTP door and behind Kafka.
func TestOversizedTexts(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	serve := append(s.Env, "HTTP_ADDR=127.0.0.1:0").Start(t, "serve")
	s.Env.Start(t, "ingest")
	s.Env.Start(t, "export")
	api := e2etest.Endpoint{URL: serve.Field(t, "http")}
	text := longText(maxString)
	about := object{"workspace_id": "default", "source": "recipe", "app_id": "wide", "run_id": "at-the-limit",
		"status": "succeeded", "started_at": "2026-01-01T00:00:00Z"}
	with := func(fields object) string {
		o := object{}
		for _, from := range []object{about, fields} {
			for key, value := range from {
				o[key] = value
			}
		}
		return e2etest.JSONText(t, o)
	}
	const run, node = "dev.millrace.run.v1", "dev.millrace.node.v1"
	for _, body := range []string{
		with(object{"type": run, "question": "Q", "answer": text}),
		with(object{"type": node, "node_run_id": "n", "node_id": "solve", "node_type": "llm",
			"prompt":   object{"template": "Solve {{q}}", "variables": object{"q": "Q"}},
			"messages": []object{{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}},
			"outputs":  object{"answer": text}}),
	} {
		api.Call(t, http.MethodPost, "/v1/runs", strings.NewReader(body)).Want(t, http.StatusOK)
	}

	// Above the limits.
	long, large := text+"x", strings.Repeat(" ", 32<<20)
	for name, c := range map[string]struct{ body, contentType, pointer, detail string }{
		"a string": {with(object{"type": run, "answer": long}), "application/json", "/answer",
			"a string may have 16777216 bytes; this one has 16777217"},
		"an event": {with(object{"type": run}) + large, "application/x-ndjson", "",
			"a record's value may have 33554432 bytes; this one has"},
		"an event in an array": {"[" + strings.Replace(with(object{"type": run}), "{", "{"+large+large[:2<<20], 1) + "]",
			"application/json", "", "an event may have 33554432 bytes; this one has more"},
	} {
		answer := api.Call(t, http.MethodPost, "/v1/runs", strings.NewReader(c.body), "Content-Type: "+c.contentType)
		var got struct {
			Results []struct{ Code, Pointer, Detail string }
		}
		if err := json.Unmarshal(answer.Want(t, http.StatusUnprocessableEntity).Body, &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Results) != 1 || got.Results[0].Code != "too_large" || got.Results[0].Pointer != c.pointer ||
			!strings.HasPrefix(got.Results[0].Detail, c.detail) {
			t.Errorf("%s: %+v", name, got.Results)
		}
	}
	e2etest.Produce(t, s, event.TopicRuns, with(object{"type": run, "question": long}))
	var letter string
	e2etest.Eventually(t, time.Minute, func() string {
		letter = s.Env.Run(t, "dead-letters", "ls", "--json")
		return map[bool]string{true: "no dead letter"}[letter == "" || strings.HasPrefix(letter, "no ")]
	})
	if l := e2etest.ParseObject(t, letter); l["error"] != "too_large" ||
		l["detail"] != "/question: a string may have 16777216 bytes; this one has 16777217" {
		t.Errorf("dead letter %v", l)
	}

	// At the limit.
	e2etest.WaitForCounts(t, s.Conn, time.Minute, map[string]uint64{
		fmt.Sprintf("SELECT count() FROM runs_latest WHERE length(answer) = %d", maxString):   1,
		fmt.Sprintf("SELECT count() FROM nodes_latest WHERE length(outputs) > %d", maxString): 1})
	if body := api.Get(t, "/v1/runs/at-the-limit").Want(t, http.StatusOK).Body; !bytes.Contains(body, jsonOf(t, text)) {
		t.Errorf("the API has the answer otherwise, in %d bytes", len(body))
	}
	batch := e2etest.NewBatch(t, s)
	ids := map[string]string{}
	for _, purpose := range []string{"export_dataset", "recipe_evaluation", "node_evaluation", "node_optimization",
		"fine_tuning"} {
		for _, format := range []string{"jsonl", "json", "csv", "parquet"} {
			switch {
			case purpose == "fine_tuning" && format != "jsonl":
				continue
			case purpose != "export_dataset" && format != "jsonl" && e2etest.Scale(0, 1) == 0:
				continue // the formats are the same; `make soak` tries all
			}
			id := uuid.NewString()
			ids[id] = purpose + " " + format
			request := object{"export_id": id, "workspace_id": "default", "purpose": purpose, "format": format,
				"source": "recipe", "app_id": "wide", "selection": object{"limit": 10}}
			if strings.HasPrefix(purpose, "node_") {
				request["nodes"] = []string{"solve"}
			}
			batch.File(t, request)
		}
	}
	for id, c := range batch.Wait(t) {
		name := ids[id.ExportID]
		if c.Status != export.StatusSucceeded || c.Records != 1 {
			t.Errorf("%s: %s, %d records, dropped %v, %v", name, c.Status, c.Records, c.Dropped, c.Failure())
			continue
		}
		record := s.Env.Run(t, "exports", "view", "--json", id.ExportID)
		if !hasText([]byte(record), text) {
			t.Errorf("%s: the text is not as it was sent, in %d bytes", name, len(record))
		}
	}
}

// hasText reports whether a document has the text as a value, also in documents that are texts.
func hasText(document []byte, text string) bool {
	var v any
	if json.Unmarshal(document, &v) != nil {
		return false
	}
	var has func(v any) bool
	has = func(v any) bool {
		switch v := v.(type) {
		case string:
			return v == text || strings.HasPrefix(v, "{") && hasText([]byte(v), text)
		case []any:
			for _, item := range v {
				if has(item) {
					return true
				}
			}
		case map[string]any:
			for _, item := range v {
				if has(item) {
					return true
				}
			}
		}
		return false
	}
	return has(v)
}

func jsonOf(t *testing.T, text string) []byte {
	t.Helper()
	return []byte(e2etest.JSONText(t, text))
}
