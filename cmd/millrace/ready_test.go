package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/local/localtest"
	"github.com/millrace/millrace/sinks/bucket"
)

// Whoever asks learns which dependency does not answer now, and nothing of its address.
func TestReadinessFollowsTheDependencies(t *testing.T) {
	t.Parallel()
	server := localtest.ClickHouse(t)
	seeded := kfake.SeedTopics(2, "millrace."+event.TopicRuns)
	kafka := localtest.Kafka(t, seeded)
	brokers := kafka.ListenAddrs()
	clickHouse := clickhousetest.NewProxy(t, server.NativeAddr)
	folder := filepath.Join(t.TempDir(), "bucket")
	cfg, err := app.Load([]string{"MILLRACE_KAFKA_BROKERS=" + brokers[0],
		"MILLRACE_CLICKHOUSE_DSN=" + strings.Replace(server.DSN(server.Database(t)), server.NativeAddr, clickHouse.Addr, 1),
		"MILLRACE_BUCKET_URL=file://" + folder})
	if err != nil {
		t.Fatal(err)
	}
	a := &app.App{Config: cfg, Stdout: io.Discard, Stderr: io.Discard, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	conn, err := cfg.DSN.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Exec(t.Context(), "CREATE TABLE runs (run_id String) ENGINE = Memory"); err != nil {
		t.Fatal(err)
	}
	o, err := newOps(a, "export")
	if err != nil {
		t.Fatal(err)
	}
	defer o.listener.Close()
	started := make(chan struct{})
	o.readiness.started = append(o.readiness.started, started)
	b, err := bucket.Open(t.Context(), cfg.BucketURL)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := o.readiness.watch(a, o, b, event.TopicRuns); err != nil {
		t.Fatal(err)
	}
	defer o.readiness.close()
	ask := func() (int, string) {
		w := httptest.NewRecorder()
		o.readyz(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", http.NoBody))
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	// eventually waits until an answer that is kept is asked for anew.
	eventually := func(what string, code int, text string) {
		t.Helper()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		deadline := time.After(time.Minute)
		for {
			gotCode, gotText := ask()
			if gotCode == code && gotText == text {
				return
			}
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("%s: %d %q, want %d %q", what, gotCode, gotText, code, text)
			}
		}
	}
	eventually("before the start", http.StatusServiceUnavailable, "starting: waiting for Kafka or ClickHouse; see the log")
	close(started)
	eventually("all answer", http.StatusOK, "ok")
	moved := folder + "-moved"
	port := int(netip.MustParseAddrPort(brokers[0]).Port())
	var restarted *kfake.Cluster
	for name, dependency := range map[string]struct{ stop, start func() }{
		"Kafka":            {kafka.Close, func() { restarted = localtest.Kafka(t, seeded, kfake.Ports(port)) }},
		"ClickHouse":       {clickHouse.Refuse, clickHouse.Pass},
		"the object store": {func() { rename(t, folder, moved) }, func() { rename(t, moved, folder) }},
	} {
		dependency.stop()
		eventually(name+" is gone", http.StatusServiceUnavailable, "no answer from "+name+"; see the log")
		dependency.start()
		eventually(name+" is back", http.StatusOK, "ok")
	}
	// What answers may lack what was there at the start.
	client, err := kgo.NewClient(kgo.SeedBrokers(restarted.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if _, err := admin.DeleteTopics(t.Context(), "millrace."+event.TopicRuns); err != nil {
		t.Fatal(err)
	}
	eventually("the topic is gone", http.StatusServiceUnavailable, "no answer from Kafka; see the log")
	if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, "millrace."+event.TopicRuns); err != nil {
		t.Fatal(err)
	}
	eventually("the topic is back", http.StatusOK, "ok")
	for _, c := range []struct {
		statement, text string
		code            int
	}{
		{"RENAME TABLE runs TO runs_away", "no answer from ClickHouse; see the log", http.StatusServiceUnavailable},
		{"RENAME TABLE runs_away TO runs", "ok", http.StatusOK},
	} {
		if err := conn.Exec(t.Context(), c.statement); err != nil {
			t.Fatal(err)
		}
		eventually(c.statement, c.code, c.text)
	}
	clickHouse.Silence() // as behind a network that drops packets
	rename(t, folder, moved)
	eventually("two are gone", http.StatusServiceUnavailable, "no answer from ClickHouse, the object store; see the log")
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
