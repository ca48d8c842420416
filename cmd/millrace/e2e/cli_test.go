package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

func TestEveryMistakeOfTheConfigurationIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := []string{
		"KAFKA_BROKERS=nowhere", "KAFKA_TOPIC_PREFIX=acme:", "KAFKA_TRANSACTIONAL_ID_PREFIX=\xff",
		"KAFKA_SASL_MECHANISM=GSSAPI", "KAFKA_TLS_CERT_FILE=x", "KAFKA_TLS_ENABLED=perhaps",
		"CLICKHOUSE_DSN=http://127.0.0.1:8123", "HTTP_ADDR=8080", "OPS_ADDR=here", "DEFAULT_WORKSPACE=A",
		"EXPORT_WINDOW_RECORDS=0",
		"EXPORT_WINDOWS_IN_FLIGHT=x", "EXPORT_CONCURRENCY=1000000", "INGEST_BATCH_ROWS=-1", "INGEST_BATCH_INTERVAL=1",
		"LOG_LEVEL=loud",
		"LOG_FORMAT=xml", "LOCAL_KAFKA_PORT=65536", "KAFKA_SASL_PASSWORD_FILE=/does/not/exist", "BUCKET_URL=bucket",
	}
	got := environment(wrong).try(t, "", "config")
	if got.code != exitUsage {
		t.Errorf("exit code %d", got.code)
	}
	for _, v := range wrong {
		name, _, _ := strings.Cut(v, "=")
		if !strings.Contains(got.stderr, "\nMILLRACE_"+name+":") {
			t.Errorf("%s is not reported in\n%s", name, got.stderr)
		}
	}
}

func TestConfigShowsWhatIsInEffectAndMasksSecrets(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := environment{
		"CLICKHOUSE_DSN=clickhouse://me:hunter2@db.example:9440/lake?secure=true", "KAFKA_SASL_MECHANISM=PLAIN",
		"KAFKA_SASL_USER=u",
		"KAFKA_SASL_PASSWORD_FILE=" + secret, "INGEST_BATCH_ROWS=123", "TYPO=1",
	}.try(t, "", "config")
	if got.code != 0 {
		t.Fatalf("exit code %d\n%s", got.code, got.stderr)
	}
	for _, line := range []string{
		"MILLRACE_CLICKHOUSE_DSN=clickhouse://me:***@db.example:9440/lake?secure=true", "MILLRACE_KAFKA_SASL_PASSWORD=***",
		"MILLRACE_INGEST_BATCH_ROWS=123", "MILLRACE_KAFKA_BROKERS=127.0.0.1:9092",
	} {
		if !strings.Contains(got.stdout, line+"\n") {
			t.Errorf("no line %q in\n%s", line, got.stdout)
		}
	}
	if strings.Contains(got.stdout+got.stderr, "hunter2") {
		t.Error("a secret is shown")
	}
	if !strings.Contains(got.stderr, "MILLRACE_TYPO") {
		t.Errorf("an unknown variable is not reported in %q", got.stderr)
	}
}

func TestWrongUsageExitsWith2(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{}, {"nonsense"}, {"replay"}, {"replay", "--rate", "x", "f"}, {"replay", "--rate", "-1", "f"},
		{"replay", "--loop", "-"},
		{"dead-letters", "replay"}, {"dead-letters", "show", "x"}, {"local", "--data", "d", "--ephemeral"},
		{"ingest", "extra"},
	} {
		if got := (environment{}).try(t, "", args...); got.code != exitUsage || got.stderr == "" {
			t.Errorf("millrace %s: exit code %d, %q", strings.Join(args, " "), got.code, got.stderr)
		}
	}
}

func TestWithoutKafkaOrClickHouseTheErrorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	nowhere := environment{"KAFKA_BROKERS=127.0.0.1:1", "CLICKHOUSE_DSN=clickhouse://127.0.0.1:1/x"}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"replay", "-"}, "MILLRACE_KAFKA_BROKERS"},
		{[]string{"topics"}, "MILLRACE_KAFKA_BROKERS"},
		{[]string{"dead-letters", "ls"}, "MILLRACE_KAFKA_BROKERS"},
		{[]string{"migrate"}, "ClickHouse"},
	} {
		if got := nowhere.try(t, "", c.args...); got.code != exitFailed || !strings.Contains(got.stderr, c.want) {
			t.Errorf("millrace %s: exit code %d, %q", strings.Join(c.args, " "), got.code, got.stderr)
		}
	}
}

func TestTopicsAreCreatedAsTheContractSays(t *testing.T) {
	t.Parallel()
	kafka, prefix := newKafka(t)
	prefix += "acme-"
	env := environment{"KAFKA_BROKERS=" + kafka, "KAFKA_TOPIC_PREFIX=" + prefix}
	env.run(t, "topics")
	var states []struct {
		Topic      string
		Partitions int32
		Created    bool
	}
	if err := json.Unmarshal([]byte(env.run(t, "topics", "--json")), &states); err != nil {
		t.Fatal(err)
	}
	want := map[string]int32{
		prefix + "runs": 12, prefix + "export-requests": 6, prefix + "export-windows": 24, prefix + "export-results": 6,
		prefix + "export-progress": 6, prefix + "export-completions": 6, prefix + "dead-letters": 3,
	}
	admin := kadm.NewClient(kafkaClient(t, kafka))
	topics, err := admin.ListTopics(t.Context())
	maps.DeleteFunc(topics, func(name string, _ kadm.TopicDetail) bool { return !strings.HasPrefix(name, prefix) })
	if err != nil || len(topics) != len(want) || len(states) != len(want) {
		t.Fatalf("%d topics, %d shown, %v", len(topics), len(states), err)
	}
	replicas, inSync := 1, "1"
	if localtest.OnKafkaCluster() {
		replicas, inSync = 3, "2"
	}
	for _, s := range states {
		if s.Created || want[s.Topic] != s.Partitions || len(topics[s.Topic].Partitions) != int(s.Partitions) ||
			topics[s.Topic].Partitions.NumReplicas() != replicas {
			t.Errorf("%+v, %d replicas", s, topics[s.Topic].Partitions.NumReplicas())
		}
	}
	configs, err := admin.DescribeTopicConfigs(t.Context(), topics.Names()...)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range configs {
		cleanup, size := "delete", "8388608"
		switch c.Name {
		case prefix + "export-completions":
			cleanup = "compact"
		case prefix + "dead-letters":
			size = "9437184"
		}
		for _, config := range c.Configs {
			wanted, checked := map[string]string{"cleanup.policy": cleanup, "max.message.bytes": size,
				"min.insync.replicas": inSync}[config.Key]
			if checked && *config.Value != wanted {
				t.Errorf("%s: %s = %s, want %s", c.Name, config.Key, *config.Value, wanted)
			}
		}
	}
}

const goodLine = `{"type":"dev.millrace.run.v1","workspace_id":"acme","run_id":"ID","source":"copilot","app_id":"a","started_at":"2026-11-01T00:00:00Z","status":"succeeded"}`

func line(id string) string { return strings.Replace(goodLine, "ID", id, 1) }

func TestReplayReadsEveryKindOfFileAndPassesOverBadLines(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.env.start(t, "ingest")
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var gz bytes.Buffer
	z := gzip.NewWriter(&gz)
	z.Write([]byte(line("gz-1") + "\n\n" + line("gz-2")))
	z.Close()
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	files := []string{
		write("a.jsonl", []byte(line("plain")+"\r\nnot json\n"+line("bad id!")+"\n"+line("plain-2"))),
		write("b.jsonl.gz", gz.Bytes()),
		write("c.jsonl.zst", encoder.EncodeAll([]byte(line("zst")+"\n"), nil)),
		"-",
	}
	got := s.env.try(t, line("stdin"), append([]string{"replay"}, files...)...)
	if got.code != exitFailed {
		t.Errorf("exit code %d, want 1, since lines were skipped", got.code)
	}
	for _, want := range []string{"a.jsonl:2: skipped: invalid_json", "a.jsonl:3: skipped: bad_id: /run_id"} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("no %q in %q", want, got.stderr)
		}
	}
	if !strings.Contains(got.stdout, "published 6 events, 2 lines skipped") {
		t.Errorf("%q", got.stdout)
	}
	counted(t, s.conn, time.Minute, map[string]uint64{
		"SELECT count() FROM runs_latest": 6,
		"SELECT count() FROM runs_latest WHERE run_id IN ('plain', 'plain-2', 'gz-1', 'gz-2', 'zst', 'stdin')": 6,
	})
}

func TestReplayKeepsToItsRate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := time.Now()
	if got := s.env.try(t, strings.Repeat(line("x")+"\n", 50), "replay", "--rate", "50", "-"); got.code != 0 {
		t.Fatal(got.stderr)
	}
	if took := time.Since(began); took < 900*time.Millisecond {
		t.Errorf("50 events at 50/s took %s", took)
	}
}

func TestDeadLettersAreListedShownAndReplayed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.env.start(t, "ingest")
	client := kafkaClient(t, s.kafka)
	if err := s.conn.Exec(t.Context(), "ALTER TABLE runs ADD CONSTRAINT c CHECK run_id != 'refused'"); err != nil {
		t.Fatal(err)
	}
	e := event.Event{ID: "1", Source: "test", Type: "dev.millrace.run.v1", Data: []byte(line("refused"))}
	if err := client.ProduceSync(t.Context(), e.Record(s.prefix+event.TopicRuns, []byte("acme/refused"))).
		FirstErr(); err != nil {
		t.Fatal(err)
	}
	type deadLetter struct {
		ID, Stage, Topic, Key, Detail string
		Code                          string `json:"error"`
	}
	var letters []deadLetter
	eventually(t, time.Minute, func() string {
		out := s.env.run(t, "dead-letters", "ls", "--json")
		letters = nil
		for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
			var l deadLetter
			if err := d.Decode(&l); err != nil {
				t.Fatal(err)
			}
			letters = append(letters, l)
		}
		if len(letters) != 1 {
			return "no dead letter yet"
		}
		return ""
	})
	l := letters[0]
	if l.Code != "row_refused" || l.Stage != "ingest" || l.Topic != s.prefix+event.TopicRuns || l.Key != "acme/refused" ||
		strings.Contains(l.Detail, "refused'") {
		t.Errorf("%+v", l)
	}
	if out := s.env.run(t, "dead-letters", "show", l.ID); !strings.Contains(out, line("refused")) ||
		!strings.Contains(out, "millrace_error: row_refused") {
		t.Errorf("show:\n%s", out)
	}
	if err := s.conn.Exec(t.Context(), "ALTER TABLE runs DROP CONSTRAINT c"); err != nil {
		t.Fatal(err)
	}
	s.env.run(t, "dead-letters", "replay", "--code", "row_refused")
	counted(t, s.conn, time.Minute, map[string]uint64{"SELECT count() FROM runs_latest WHERE run_id = 'refused'": 1})
	if got := s.env.try(t, "", "dead-letters", "show", "2/99"); got.code != exitFailed {
		t.Errorf("a letter that does not exist: exit code %d", got.code)
	}
}

func TestMigrateTwiceDoesNothingTheSecondTime(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if out := s.env.run(t, "migrate"); !strings.Contains(out, "nothing to do") {
		t.Errorf("%q", out)
	}
}
