package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/sinks/runstore"
)

func TestAListOfRunsTakesTheFiltersOfARequest(t *testing.T) {
	t.Parallel()
	dsn := clickhousetest.Database(t)
	sink := runstore.New(dsn)
	t.Cleanup(sink.Close)
	began := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	full := &runs.Run{WorkspaceID: "acme", RunID: "full", Source: "copilot", AppID: "a", Status: "failed",
		StartedAt: began, EndedAt: began.Add(time.Second), UpdatedAt: began, Question: "why", Answer: "because",
		Model: "m,1", Trigger: "chat", UserID: "u", Error: &runs.Error{Type: "timeout"}, CostUSD: new(0.5),
		Files: []runs.File{{Name: "f"}}, Metadata: []runs.Pair{{Key: "region", Value: "e=u"}}}
	bare := &runs.Run{WorkspaceID: "acme", RunID: "bare", Source: "copilot", AppID: "a", Status: "succeeded",
		StartedAt: began, UpdatedAt: began}
	if refused, err := sink.InsertRuns(t.Context(), []*runs.Run{full, bare}); err != nil || refused != nil {
		t.Fatal(refused, err)
	}
	if refused, err := sink.InsertFeedback(t.Context(), []*runs.Feedback{
		{WorkspaceID: "acme", RunID: "full", FeedbackID: "f", Kind: "human", Score: new(0.25), Tags: []string{"kind"},
			UpdatedAt: began},
		{WorkspaceID: "acme", RunID: "full", FeedbackID: "g", Kind: "human", Name: "fair", Score: new(0.75),
			UpdatedAt: began},
	}); err != nil || refused != nil {
		t.Fatal(refused, err)
	}
	conn, err := dsn.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	server := historyServer(t, conn)
	for query, want := range map[string]string{
		"":          "full bare",
		"q=BECAUSE": "full", "model=m%2C1&model=none": "full", "model=m": "", "trigger=chat": "full",
		"error_type=timeout": "full", "tag=kind": "full", "rating=none": "bare", "min_score=0.25": "full",
		"score=fair=0.75..&score=score=..0.25": "full", "score=fair=..0.7": "",
		"min_latency_ms=1000&max_latency_ms=1000": "full",
		"max_latency_ms=999":                      "", "min_cost_usd=0": "full", "max_cost_usd=0.4": "", "has_files=true": "full",
		"has_files=false": "bare", "user_id=u": "full", "metadata=region=e=u": "full", "metadata=region=": "",
		"min_score=x": "422 min_score", "min_latency_ms=1.5": "422 min_latency_ms", "has_files=maybe": "422 has_files",
		"score=fair": "422 score", "score=rating=1..": "422 score", "metadata=region": "422 metadata",
		"min_score=NaN": "422 ",
		"min_cost_usd=2&max_cost_usd=1&score=a=2..1&min_latency_ms=2&max_latency_ms=1": "422 max_cost_usd max_latency_ms score",
		strings.Repeat("tag=t&", 101): "422 tag", "q=%00": "422 ", "colour=red": "422 colour",
	} {
		resp, err := http.Get(server.URL + "/v1/runs?" + query)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Runs []struct {
				RunID string `json:"run_id"`
			}
			Errors []Mistake
		}
		err = json.NewDecoder(resp.Body).Decode(&answer)
		resp.Body.Close()
		if err != nil {
			t.Fatal(query, err)
		}
		var got []string
		for _, r := range answer.Runs {
			got = append(got, r.RunID)
		}
		for _, m := range answer.Errors {
			got = append(got, m.Parameter)
		}
		if resp.StatusCode != http.StatusOK {
			slices.Sort(got)
			got = append([]string{strconv.Itoa(resp.StatusCode)}, got...)
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%.40s: %d %q, want %q: %v", query, resp.StatusCode, text, want, answer.Errors)
		}
	}
}
