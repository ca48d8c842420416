package ingest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

func TestReplayAsAnotherShapeNeedsItsFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--as", "openai-chat", "f"}, "--app"},
		{[]string{"--as", "openai-chat", "--app", "a b", "f"}, "--app must match"},
		{[]string{"--as", "openai-chat", "--app", "a", "--workspace", "A", "f"}, "--workspace must match"},
		{[]string{"--as", "anthropic", "--app", "a", "f"}, "--as must be openai-chat"},
		{[]string{"--app", "a", "f"}, "for --as openai-chat"},
		{[]string{"--workspace", "acme", "f"}, "for --as openai-chat"},
		{[]string{"--as", "openai-chat", "--app", "a", "--loop", "-"}, "--loop"},
	} {
		got := (e2etest.Environment{}).Try(t, "", append([]string{"replay"}, c.args...)...)
		if got.Code != e2etest.ExitUsage || !strings.Contains(got.Stderr, c.want) {
			t.Errorf("millrace replay %s: exit code %d, %q", strings.Join(c.args, " "), got.Code, got.Stderr)
		}
	}
}

const chatLine = `{"id":"ID","created":1793491200,"model":"m-1","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"What is ID?"},` +
	`{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"look","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"ID"},` +
	`{"role":"assistant","content":"It is ID."}],"tools":[{"type":"function","function":{"name":"look"}}]}`

func TestChatsAreReplayedAsRunsAndTwiceAsTheSame(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	s.Env = append(s.Env, "DEFAULT_WORKSPACE=acme")
	s.Env.Start(t, "ingest")
	chat := func(id string) string { return strings.ReplaceAll(chatLine, "ID", id) }
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	untimed := `{"messages":[{"role":"user","content":"no time"}]}`
	files := []string{
		write("a.jsonl", []byte(chat("one")+"\n"+untimed+"\n\n"+chat("two")+"\r\n"+e2etest.RunLine("a-run")+"\n"+
			`{"messages":[{"role":"bot"}]}`)),
		write("b.jsonl.zst", encoder.EncodeAll([]byte(chat("three")), nil)),
	}
	for range 2 {
		got := s.Env.Try(t, "", append([]string{"replay", "--as", "openai-chat", "--app", "helper"}, files...)...)
		if got.Code != e2etest.ExitFailed || !strings.Contains(got.Stderr, "2 lines are not chats in OpenAI's shape") {
			t.Errorf("exit code %d, %q", got.Code, got.Stderr)
		}
		for _, want := range []string{"a.jsonl:5: skipped: missing_field: /messages: is required", "without --as",
			"a.jsonl:6: skipped: wrong_type: /messages/0/role: must be one of"} {
			if !strings.Contains(got.Stderr, want) {
				t.Errorf("no %q in %q", want, got.Stderr)
			}
		}
		if !strings.Contains(got.Stdout, "published 4 events, 2 lines skipped") {
			t.Errorf("%q", got.Stdout)
		}
	}
	// Another workspace, and standard input, which has no time to give.
	got := s.Env.Try(t, chat("one")+"\n"+untimed, "replay", "--as", "openai-chat", "--app", "helper", "--workspace",
		"other", "-")
	if got.Code != e2etest.ExitFailed || !strings.Contains(got.Stderr, "-:2: skipped: missing_field: /created") ||
		!strings.Contains(got.Stdout, "published 1 events, 1 lines skipped") {
		t.Errorf("exit code %d, %q, %q", got.Code, got.Stdout, got.Stderr)
	}
	e2etest.WaitForCounts(t, s.Conn, time.Minute, map[string]uint64{
		"SELECT count() FROM runs_latest":           5,
		"SELECT uniqExact(run_id) FROM runs_latest": 5,
		"SELECT count() FROM runs_latest WHERE workspace_id = 'acme' AND source = 'copilot' AND app_id = 'helper' AND " +
			"status = 'succeeded'": 4,
		"SELECT count() FROM runs_latest WHERE request_id = 'two' AND question = 'What is two?' AND answer = 'It is two.' " +
			"AND model = 'm-1'": 1,
		"SELECT count() FROM runs_latest WHERE request_id = 'two' AND started_at = '2026-11-01 00:00:00.000' AND " +
			"JSONLength(messages) = 5 AND JSONLength(tools) = 1": 1,
		"SELECT count() FROM runs_latest WHERE question = 'no time' AND answer = '' AND started_at = '2026-11-02 " +
			"00:00:00.002' AND request_id = ''": 1,
		"SELECT count() FROM runs_latest WHERE workspace_id = 'other' AND request_id = 'one'": 1,
	})
	if out := s.Env.Run(t, "dead-letters", "ls", "--json"); out != "" {
		t.Errorf("dead letters:\n%s", out)
	}
}

// The real conversations, as a log of chats, are the runs that they are as events.
func TestRealConversationsAsChatsHaveTheSameQuestionsAndAnswers(t *testing.T) {
	t.Parallel()
	copilots := e2etest.Shared(t, "airline-copilot.events.jsonl.gz")
	var log strings.Builder
	for _, l := range e2etest.ReadLines(t, copilots) {
		run := e2etest.ParseObject(t, l)["data"].(object)
		if run["node_run_id"] != nil || run["status"] != "succeeded" {
			continue
		}
		chat, err := json.Marshal(object{"id": run["run_id"], "timestamp": run["started_at"], "messages": run["messages"]})
		if err != nil {
			t.Fatal(err)
		}
		log.Write(append(chat, '\n'))
	}
	s := e2etest.NewSite(t)
	s.Env.Start(t, "ingest")
	s.Env.Run(t, "replay", copilots)
	if got := s.Env.Try(t, log.String(), "replay", "--as", "openai-chat", "--workspace", "acme", "--app", "from-chats",
		"-"); got.Code != 0 {
		t.Fatalf("exit code %d\n%s", got.Code, got.Stderr)
	}
	e2etest.WaitForCounts(t, s.Conn, time.Minute, map[string]uint64{
		"SELECT count() FROM runs_latest WHERE app_id = 'from-chats'": 200,
		`SELECT count() FROM runs_latest AS e JOIN runs_latest AS c ON c.request_id = e.run_id
			WHERE c.app_id = 'from-chats' AND c.question = e.question AND c.answer = e.answer AND c.started_at = e.started_at`: 200,
	})
}
