package commands

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// Whatever a role cannot start with, it ends with one sentence that names the variable.
func TestStartErrorsAreSentences(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	taken, missing := listener.Addr().String(), filepath.Join(t.TempDir(), "missing")
	for _, c := range []struct {
		roles, variable, value, want string
	}{
		{"ingest export serve local", "OPS_ADDR", taken, "address already in use"},
		{"ingest export serve local", "OPS_ADDR", "nowhere", "is not host:port"},
		{"ingest export serve", "KAFKA_TLS_CA_FILE", missing, "no such file"},
		{"export serve", "BUCKET_URL", "ftp://bucket", "file:"},
		{"export", "BUCKET_URL", "file:///dev/null/bucket", "not a directory"},
		{"serve local", "HTTP_ADDR", taken, "address already in use"},
		{"serve local", "HTTP_ADDR", "0.0.0.0:0", "loopback"},
		{"serve local", "AUTH_JWKS_FILE", missing, "no such file"},
		{"serve local", "AUTH_HMAC_SECRET_FILE", missing, "no such file"},
		{"local", "LIBCHDB", missing, "no such file"},
	} {
		for role := range strings.FieldsSeq(c.roles) {
			t.Run(role+" "+c.variable+" "+c.want, func(t *testing.T) {
				t.Parallel()
				env := e2etest.Environment{
					"KAFKA_BROKERS=127.0.0.1:1", "CLICKHOUSE_DSN=clickhouse://127.0.0.1:1/millrace",
					"BUCKET_URL=file://" + filepath.Join(t.TempDir(), "bucket"), "HTTP_ADDR=127.0.0.1:0",
				}
				args := []string{role}
				if role == "local" {
					args = append(args, "--ephemeral")
					env = append(env[3:], "LOCAL_KAFKA_PORT=0", "LOCAL_CLICKHOUSE_PORT=0", "LOCAL_CLICKHOUSE_HTTP_PORT=0")
				}
				if c.variable == "KAFKA_TLS_CA_FILE" {
					env = append(env, "KAFKA_TLS_ENABLED=true")
				}
				began := time.Now()
				got := append(env, c.variable+"="+c.value).Try(t, "", args...)
				lines := strings.Split(strings.TrimSpace(got.Stderr), "\n")
				last := lines[len(lines)-1]
				if got.Code != 1 && got.Code != 2 || !strings.Contains("\n"+got.Stderr, "\nmillrace: ") ||
					!strings.Contains(last, "MILLRACE_"+c.variable) || !strings.Contains(last, c.want) {
					t.Errorf("exit code %d after %s\n%s", got.Code, time.Since(began), got.Stderr)
				}
				for _, word := range []string{"panic", "goroutine ", "nil pointer"} {
					if strings.Contains(got.Stderr, word) {
						t.Errorf("%s:\n%s", word, got.Stderr)
					}
				}
			})
		}
	}
}

// Who has too low a limit learns it before connections fail.
func TestARoleSaysThatItMayOpenFewFiles(t *testing.T) {
	t.Parallel()
	for limit, warns := range map[string]bool{"256": true, "5000": false} {
		env := e2etest.Environment{"KAFKA_BROKERS=127.0.0.1:1", "OPS_ADDR=nowhere:1"} // ends as soon as it has begun
		ingest := env.Command(t.Context(), "ingest")
		shell := exec.CommandContext(t.Context(), "bash", "-c", "ulimit -n "+limit+`; exec "$0" ingest`, ingest.Path)
		shell.Env = ingest.Env
		out, err := shell.CombinedOutput()
		if err == nil || strings.Contains(string(out), "limit="+limit) != warns {
			t.Errorf("ulimit -n %s: %v\n%s", limit, err, out)
		}
	}
}
