package ingest_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/ingest"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

func TestAMissingTopicIsReportedAtTheStart(t *testing.T) {
	t.Parallel()
	for _, topic := range []string{runsTopic, lettersTopic} {
		t.Run(topic, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if _, err := w.admin.DeleteTopic(t.Context(), topic); err != nil {
				t.Fatal(err)
			}
			w.wantError(w.start(ingest.Config{}, "").wait(), "millrace topics", topic)
		})
	}
	t.Run("with another prefix", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.wantError(w.start(ingest.Config{Config: kafka.Config{TopicPrefix: "other."}}, "").wait(), "millrace topics",
			"other.runs")
	})
}

func TestAnotherSchemaIsReportedAtTheStart(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"a missing column": "ALTER TABLE runs DROP COLUMN user_id", "a missing table": "DROP TABLE feedback SYNC",
		"a column of another type": "ALTER TABLE nodes MODIFY COLUMN sequence Nullable(String)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.one(change)
			s := w.start(ingest.Config{}, "")
			w.wantError(s.wait(), "millrace migrate")
			select {
			case <-s.ready:
				t.Error("it was ready")
			default:
			}
		})
	}
}

func TestWrongCredentialsAreReportedAtTheStart(t *testing.T) {
	t.Parallel()
	t.Run("ClickHouse", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.wantError(w.start(ingest.Config{}, clickhousetest.Refuse(t, 516, "default: Authentication failed")).wait(),
			"refused the credentials")
	})
	t.Run("Kafka's password", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.kafka = localtest.Kafka(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "right"))
		w.brokers = w.kafka.ListenAddrs()
		w.kafka.ControlKey(kmsg.SASLAuthenticate.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.kafka.KeepControl() // kfake only closes the connection; Kafka reports the reason
			resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
			resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
			return resp, nil, true
		})
		s := w.start(ingest.Config{}, "", kgo.SASL(plain.Auth{User: "u", Pass: "wrong"}.AsMechanism()))
		w.wantError(s.wait(), "kafka refused access", "password")
	})
	t.Run("Kafka's rights", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: runsTopic, Err: kerr.TopicAuthorizationFailed,
			Count: -1})
		w.wantError(w.start(ingest.Config{}, "").wait(), "kafka refused access", "READ", runsTopic)
	})
	t.Run("the group's rights", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.GroupAuthorizationFailed, TopLevel: true,
			Count: -1})
		w.wantError(w.start(ingest.Config{}, "").wait(), "kafka refused access", group)
	})
}

func TestAKafkaThatComesLaterIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fault := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: runsTopic, Err: kerr.LeaderNotAvailable,
		Count: -1})
	s := w.start(ingest.Config{}, "")
	w.eventually("it to ask twice", func() bool { return fault.Hits() >= 2 })
	fault.Remove()
	<-s.ready
	w.produce(runEvents("r", 12)...)
	w.allCommitted()
	s.stop()
}
