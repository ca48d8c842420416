package secured

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

const run = `{"type":"dev.millrace.run.v1","workspace_id":"w","run_id":"r","source":"copilot","app_id":"a",` +
	`"started_at":"2026-11-01T08:00:00Z","status":"succeeded"}`

// login returns a client of the user of an environment.
func login(t *testing.T, env e2etest.Environment) *kgo.Client {
	t.Helper()
	cluster := localtest.ApacheKafka(t)
	var auth scram.Auth
	for _, v := range env {
		if user, ok := strings.CutPrefix(v, "KAFKA_SASL_USER="); ok {
			auth.User = user
		}
		if password, ok := strings.CutPrefix(v, "KAFKA_SASL_PASSWORD="); ok {
			auth.Pass = password
		}
	}
	authority, err := os.ReadFile(cluster.Authority())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	return e2etest.KafkaClient(t, strings.Join(cluster.Secured(), ","), kgo.SASL(auth.AsSha512Mechanism()),
		kgo.DialTLSConfig(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}))
}

// What users may write is their own topic, and no other.
func TestUsersWriteTheirOwnTopicsAlone(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	for user, writes := range map[string][]string{
		"producer":  {event.TopicRuns},
		"requester": {event.TopicExportRequests},
		"ingest":    {event.TopicDeadLetters},
		"serve":     {event.TopicRuns, event.TopicExportRequests, event.TopicAudit},
		"doctor":    nil,
	} {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			client := login(t, environment(t, s, documented(t, s, user)))
			for _, topic := range event.Topics {
				err := client.ProduceSync(t.Context(), &kgo.Record{Topic: s.Prefix + topic.Name, Value: []byte("{}")}).FirstErr()
				may := false
				for _, name := range writes {
					may = may || name == topic.Name
				}
				// Who may write nothing gets no number of a producer.
				refused := errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed)
				if refused == may || err != nil && !refused {
					t.Errorf("topic %s: %v", topic.Name, err)
				}
			}
		})
	}
}

func TestCommandsThatLackARightNameIt(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	producer := environment(t, s, documented(t, s, "producer"))
	requester := environment(t, s, documented(t, s, "requester"))
	request := []string{"request", "--source", "copilot", "--app", "a", "--purpose", "export_dataset", "--limit", "1"}
	e2etest.Produce(t, s, event.TopicDeadLetters, "refused")
	doctor := environment(t, s, documented(t, s, "doctor"))
	for name, c := range map[string]struct {
		env   e2etest.Environment
		stdin string
		args  []string
		grant string
	}{
		"a producer requests":             {producer, "", request, "WRITE on topic " + s.Prefix + event.TopicExportRequests},
		"a producer watches":              {producer, "", append(request, "--watch"), "READ on topic " + s.Prefix},
		"a requester publishes":           {requester, run, []string{"replay", "-"}, "WRITE on topic " + s.Prefix + event.TopicRuns},
		"a requester reads dead letters":  {requester, "", []string{"dead-letters", "ls"}, "READ on topic " + s.Prefix + event.TopicDeadLetters},
		"who may look reads dead letters": {doctor, "", []string{"dead-letters", "ls"}, "READ on topic " + s.Prefix + event.TopicDeadLetters},
		"who may look watches":            {doctor, "", append(request, "--watch"), "WRITE on topic " + s.Prefix},
		"a producer creates topics":       {producer, "", []string{"topics"}, "CREATE on topic " + s.Prefix + event.TopicRuns},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := c.env.Try(t, c.stdin, c.args...)
			if got.Code != e2etest.ExitFailed || !strings.Contains(got.Stderr, "grant "+c.grant) {
				t.Errorf("exit code %d, want one that says to grant %s: %s", got.Code, c.grant, got.Stderr)
			}
		})
	}
}

func TestAWrongPasswordIsSaid(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	env := append(environment(t, s, documented(t, s, "ingest")), "KAFKA_SASL_PASSWORD=wrong")
	got := env.Try(t, "", "ingest")
	if got.Code != e2etest.ExitFailed || !strings.Contains(got.Stderr, "check user and password") {
		t.Errorf("exit code %d: %s", got.Code, got.Stderr)
	}
}
