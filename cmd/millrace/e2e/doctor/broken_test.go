package doctor

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/sinks/bucket/buckettest"
)

// patient is a deployment that is about to be broken.
type patient struct {
	*e2etest.Site
	t     *testing.T
	admin *kadm.Client
}

func (p *patient) alter(topic, key, value string) {
	p.t.Helper()
	change := []kadm.AlterConfig{{Name: key, Value: &value}}
	results, err := p.admin.AlterTopicConfigs(p.t.Context(), change, p.Prefix+topic)
	if err != nil || results[0].Err != nil {
		p.t.Fatal(err, results)
	}
}

func (p *patient) exec(statement string) {
	p.t.Helper()
	if err := p.Conn.Exec(p.t.Context(), statement); err != nil {
		p.t.Fatal(err)
	}
}

func (p *patient) set(variable string) { p.Env = append(p.Env, variable) }

// setDSN adds a parameter to the DSN.
func (p *patient) setDSN(parameter string) {
	separator := "?"
	if strings.Contains(p.DSN, "?") {
		separator = "&"
	}
	p.set("CLICKHOUSE_DSN=" + p.DSN + separator + parameter)
}

// certificate writes a certificate that is valid until a moment.
func (p *patient) certificate(until time.Time) string {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: until.Add(-48 * time.Hour), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		p.t.Fatal(err)
	}
	path := filepath.Join(p.t.TempDir(), "cert.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// store sets the bucket to an S3 store behind a proxy that changes answers.
func (p *patient) store(change func(*http.Request, *http.Response)) {
	p.t.Helper()
	raw, _ := buckettest.S3(p.t) // which sets the credentials, also for processes of this one
	u, err := url.Parse(raw)
	if err != nil {
		p.t.Fatal(err)
	}
	target, err := url.Parse(u.Query().Get("endpoint"))
	if err != nil {
		p.t.Fatal(err)
	}
	server := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		ModifyResponse: func(r *http.Response) error {
			change(r.Request, r)
			return nil
		},
	})
	p.t.Cleanup(server.Close)
	p.set("BUCKET_URL=s3://" + u.Host + "?endpoint=" + server.URL)
}

// answer replaces the answer to a request.
func answer(r *http.Response, status int) {
	r.Body.Close()
	r.StatusCode, r.Status, r.Body = status, http.StatusText(status), http.NoBody
	r.Header.Del("Content-Length")
	r.ContentLength = 0
}

// broken are deployments that are broken in one way, and what the doctor says about it: in which area, how
// bad it is, the cause and what to do.
var broken = map[string]struct {
	break_                         func(*patient)
	area, severity, cause, mending string
}{
	"Kafka does not answer": {func(p *patient) { p.set("KAFKA_BROKERS=127.0.0.1:1") },
		"kafka", "error", "no Kafka broker answers at [127.0.0.1:1]", "MILLRACE_KAFKA_BROKERS"},
	"a topic is missing": {func(p *patient) {
		if _, err := p.admin.DeleteTopics(p.t.Context(), p.Prefix+event.TopicAudit); err != nil {
			p.t.Fatal(err)
		}
	}, "kafka", "error", "audit is missing", "millrace topics"},
	"a topic has few partitions": {func(p *patient) {
		p.set("KAFKA_TOPIC_PREFIX=few.")
		for _, topic := range event.Topics {
			if _, err := p.admin.CreateTopic(p.t.Context(), min(topic.Partitions, 6), 1, nil, "few."+topic.Name); err != nil {
				p.t.Fatal(err)
			}
		}
	}, "kafka", "warning", "export-windows has 6 partitions instead of 24", "--partitions 24"},
	"completions are not compacted": {func(p *patient) { p.alter(event.TopicExportCompletions, "cleanup.policy", "delete") },
		"kafka", "error", "cleanup.policy=delete instead of compact", "cleanup.policy=compact"},
	"runs are compacted": {func(p *patient) { p.alter(event.TopicRuns, "cleanup.policy", "compact") },
		"kafka", "error", "runs has cleanup.policy=compact instead of delete", "cleanup.policy=delete"},
	"runs are kept for an hour": {func(p *patient) { p.alter(event.TopicRuns, "retention.ms", "3600000") },
		"kafka", "warning", "runs keeps records for 0.0 days instead of 7", "retention.ms=604800000"},
	"large runs do not fit their topic": {func(p *patient) { p.alter(event.TopicRuns, event.MaxMessageBytes, "1000000") },
		"kafka", "warning", "runs takes records of 1000000 bytes", "millrace topics"},
	"no ingest runs, and runs wait": {func(p *patient) { e2etest.Produce(p.t, p.Site, event.TopicRuns, "{}") },
		"groups", "error", "ingest, and 1 records wait", "millrace ingest"},
	"no export runs": {func(*patient) {}, "groups", "warning", "millrace.extract-direct", "millrace export"},
	"ClickHouse does not answer": {func(p *patient) { p.set("CLICKHOUSE_DSN=clickhouse://127.0.0.1:1/millrace") },
		"clickhouse", "error", "ClickHouse does not answer", "MILLRACE_CLICKHOUSE_DSN"},
	"the password of ClickHouse is wrong": {func(p *patient) {
		u, err := url.Parse(p.DSN)
		if err != nil {
			p.t.Fatal(err)
		}
		u.User = url.UserPassword(u.User.Username(), "wrong")
		p.set("CLICKHOUSE_DSN=" + u.String())
	}, "clickhouse", "error", "refused the credentials", "password"},
	"the database was not migrated": {func(p *patient) { p.exec("DROP TABLE schema_migrations SYNC") },
		"clickhouse", "error", "schema is not this version's", "millrace migrate"},
	"a migration is missing": {func(p *patient) {
		p.exec("DELETE FROM schema_migrations WHERE name LIKE '0009%'")
	}, "clickhouse", "error", "lacks the migrations 0009_judgements.sql", "millrace migrate"},
	"a migration is from another release": {func(p *patient) {
		p.exec("INSERT INTO schema_migrations (version, name, checksum) VALUES (2, '0002_views.sql', 'other')")
	}, "clickhouse", "error", "0002_views.sql was applied from another text", "release"},
	"the database is newer": {func(p *patient) {
		p.exec("INSERT INTO schema_migrations (version, name, checksum) SELECT max(version) + 1, '9999_new.sql', 'x' " +
			"FROM schema_migrations")
	}, "clickhouse", "error", "made by a newer release: it has migration 9999_new.sql", "newer release"},
	"a table is missing": {func(p *patient) { p.exec("DROP TABLE audit SYNC") },
		"clickhouse", "error", "the tables audit are missing", "backup"},
	"a column has another type": {func(p *patient) { p.exec("ALTER TABLE runs MODIFY COLUMN cost_usd Nullable(String)") },
		"clickhouse", "error", "runs.cost_usd is Nullable(String) and not Nullable(Float64)", "alter"},
	"answers of ClickHouse are cut": {func(p *patient) { p.setDSN("max_result_rows=10&result_overflow_mode=break") },
		"clickhouse", "error", "setting result_overflow_mode is break", "profile"},
	"the user of ClickHouse only reads": {func(p *patient) { p.setDSN("readonly=2") },
		"clickhouse", "error", "setting readonly is 2", "profile"},
	"the folder of the bucket is a file": {func(p *patient) {
		file := filepath.Join(p.t.TempDir(), "bucket")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			p.t.Fatal(err)
		}
		p.set("BUCKET_URL=file://" + file)
	}, "bucket", "error", "not a directory", "MILLRACE_BUCKET_URL"},
	"the store lets several writers win": {func(p *patient) {
		p.store(func(req *http.Request, r *http.Response) {
			single := req.Method == http.MethodPut && !req.URL.Query().Has("partNumber")
			if single && r.StatusCode == http.StatusPreconditionFailed {
				answer(r, http.StatusOK)
			}
		})
	}, "bucket", "error", "created the same key twice", "MILLRACE_BUCKET_URL"},
	"the clock of the store is late": {func(p *patient) {
		p.store(func(req *http.Request, r *http.Response) {
			if !req.URL.Query().Has("list-type") {
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				p.t.Error(err)
			}
			body = regexp.MustCompile(`(<LastModified>)\d{4}`).ReplaceAll(body, []byte("${1}2020"))
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			r.Header.Set("Content-Length", strconv.Itoa(len(body)))
		})
	}, "clocks", "error", "the clock of the object store is", "NTP"},
	"signed URLs are refused": {func(p *patient) {
		p.store(func(req *http.Request, r *http.Response) {
			if req.URL.Query().Has("X-Amz-Signature") {
				answer(r, http.StatusForbidden)
			}
		})
	}, "bucket", "error", "a signed URL cannot be read from here", "endpoint"},
	"nobody answers at the public URL": {func(p *patient) { p.set("HTTP_URL=http://127.0.0.1:1") },
		"bucket", "error", "signed URLs cannot be read from here", "MILLRACE_HTTP_URL"},
	"the key of signed URLs is cut": {func(p *patient) {
		path := filepath.Join(filepath.Dir(filepath.Dir(filepath.Dir(p.ExportFolder(p.t, "w", "x")))), "server")
		if err := os.MkdirAll(path, 0o700); err != nil {
			p.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, "url-signing-key"), []byte("short"), 0o600); err != nil {
			p.t.Fatal(err)
		}
	}, "bucket", "error", "has only 5 bytes", "delete the object"},
	"a certificate has expired": {func(p *patient) {
		p.set("KAFKA_TLS_ENABLED=true")
		p.set("KAFKA_TLS_CA_FILE=" + p.certificate(time.Now().Add(-time.Hour)))
	}, "keys", "error", "MILLRACE_KAFKA_TLS_CA_FILE: the certificate of", "replace"},
	"a certificate expires soon": {func(p *patient) {
		cert := p.certificate(time.Now().Add(24 * time.Hour))
		p.set("OPS_TLS_CERT_FILE=" + cert)
		p.set("OPS_TLS_KEY_FILE=" + cert)
	}, "keys", "warning", "expires on", "replace"},
	"the secret of tokens is short": {func(p *patient) {
		file := filepath.Join(p.t.TempDir(), "secret")
		if err := os.WriteFile(file, []byte("short"), 0o600); err != nil {
			p.t.Fatal(err)
		}
		p.set("AUTH_HMAC_SECRET_FILE=" + file)
	}, "keys", "error", "MILLRACE_AUTH_HMAC_SECRET_FILE", "MILLRACE_AUTH_"},
}

func TestEachBreakIsNamedWithItsMending(t *testing.T) {
	t.Parallel()
	for name, c := range broken {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := e2etest.NewSite(t)
			p := &patient{s, t, kadm.NewClient(e2etest.KafkaClient(t, s.Kafka))}
			c.break_(p)
			findings, code := examine(t, p.Env)
			if code == 0 || c.severity == "error" && code != e2etest.ExitFailed {
				t.Errorf("exit code %d", code)
			}
			for _, f := range findings {
				if f.Area == c.area && f.Severity == c.severity && strings.Contains(f.Message, c.cause) &&
					strings.Contains(f.Action, c.mending) {
					return
				}
			}
			t.Errorf("no finding of %s says %q as %s and to do %q: %v", c.area, c.cause, c.severity, c.mending, findings)
		})
	}
}
