package commands

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
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
	got := e2etest.Environment(wrong).Try(t, "", "config")
	if got.Code != e2etest.ExitUsage {
		t.Errorf("exit code %d", got.Code)
	}
	for _, v := range wrong {
		name, _, _ := strings.Cut(v, "=")
		if !strings.Contains(got.Stderr, "\nMILLRACE_"+name+":") {
			t.Errorf("%s is not reported in\n%s", name, got.Stderr)
		}
	}
}

func TestConfigShowsWhatIsInEffectAndMasksSecrets(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := e2etest.Environment{
		"CLICKHOUSE_DSN=clickhouse://me:hunter2@db.example:9440/lake?secure=true", "KAFKA_SASL_MECHANISM=PLAIN",
		"KAFKA_SASL_USER=u",
		"KAFKA_SASL_PASSWORD_FILE=" + secret, "INGEST_BATCH_ROWS=123", "TYPO=1",
	}.Try(t, "", "config")
	if got.Code != 0 {
		t.Fatalf("exit code %d\n%s", got.Code, got.Stderr)
	}
	for _, line := range []string{
		"MILLRACE_CLICKHOUSE_DSN=clickhouse://me:***@db.example:9440/lake?secure=true", "MILLRACE_KAFKA_SASL_PASSWORD=***",
		"MILLRACE_INGEST_BATCH_ROWS=123", "MILLRACE_KAFKA_BROKERS=127.0.0.1:9092",
	} {
		if !strings.Contains(got.Stdout, line+"\n") {
			t.Errorf("no line %q in\n%s", line, got.Stdout)
		}
	}
	if strings.Contains(got.Stdout+got.Stderr, "hunter2") {
		t.Error("a secret is shown")
	}
	if !strings.Contains(got.Stderr, "MILLRACE_TYPO") {
		t.Errorf("an unknown variable is not reported in %q", got.Stderr)
	}
}

func TestWrongUsageExitsWith2(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"nonsense"}, {"replay"}, {"replay", "--rate", "x", "f"}, {"replay", "--rate", "-1", "f"},
		{"replay", "--loop", "-"},
		{"dead-letters", "replay"}, {"dead-letters", "show", "x"}, {"local", "--data", "d", "--ephemeral"},
		{"ingest", "extra"},
	} {
		if got := (e2etest.Environment{}).Try(t, "", args...); got.Code != e2etest.ExitUsage || got.Stderr == "" {
			t.Errorf("millrace %s: exit code %d, %q", strings.Join(args, " "), got.Code, got.Stderr)
		}
	}
}

func TestWithoutKafkaOrClickHouseTheErrorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	nowhere := e2etest.Environment{"KAFKA_BROKERS=127.0.0.1:1", "CLICKHOUSE_DSN=clickhouse://127.0.0.1:1/x"}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"replay", "-"}, "MILLRACE_KAFKA_BROKERS"},
		{[]string{"topics"}, "MILLRACE_KAFKA_BROKERS"},
		{[]string{"dead-letters", "ls"}, "MILLRACE_KAFKA_BROKERS"},
		{[]string{"migrate"}, "ClickHouse"},
	} {
		if got := nowhere.Try(t, "", c.args...); got.Code != e2etest.ExitFailed || !strings.Contains(got.Stderr, c.want) {
			t.Errorf("millrace %s: exit code %d, %q", strings.Join(c.args, " "), got.Code, got.Stderr)
		}
	}
}

func TestTopicsAreCreatedAsTheContractSays(t *testing.T) {
	t.Parallel()
	kafka, prefix := e2etest.NewKafka(t)
	prefix += "acme-"
	env := e2etest.Environment{"KAFKA_BROKERS=" + kafka, "KAFKA_TOPIC_PREFIX=" + prefix}
	env.Run(t, "topics")
	var states []struct {
		Topic      string
		Partitions int32
		Created    bool
	}
	if err := json.Unmarshal([]byte(env.Run(t, "topics", "--json")), &states); err != nil {
		t.Fatal(err)
	}
	want := map[string]int32{
		prefix + "runs": 12, prefix + "export-requests": 6, prefix + "export-windows": 24, prefix + "export-results": 6,
		prefix + "export-progress": 6, prefix + "export-completions": 6, prefix + "dead-letters": 3, prefix + "audit": 3,
	}
	admin := kadm.NewClient(e2etest.KafkaClient(t, kafka))
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
			size = "34603008"
		case prefix + "runs":
			size = "33554432"
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

func TestMigrateTwiceDoesNothingTheSecondTime(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	if out := s.Env.Run(t, "migrate"); !strings.Contains(out, "nothing to do") {
		t.Errorf("%q", out)
	}
}
