package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/api/pages"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/history"
)

// historyServer serves the runs of workspace acme, without keys.
func historyServer(t *testing.T, conn driver.Conn) *httptest.Server {
	t.Helper()
	authenticator, err := auth.New(t.Context(), auth.Config{DefaultWorkspace: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	a := New(Config{Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler), TopicPrefix: "millrace."},
		Deps{Auth: authenticator, History: history.New(conn, nil),
			Pages: pages.New(pages.Config{Trail: noTrail{}}, authenticator, nil, nil)})
	server := httptest.NewServer(a.Handler())
	t.Cleanup(server.Close)
	return server
}

// A search that nobody waits for must not keep the processors of ClickHouse.
func TestAQueryOfASearchEndsWhenItsClientLeaves(t *testing.T) {
	t.Parallel()
	dsn := clickhousetest.Database(t)
	conn, err := dsn.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	for _, sql := range []string{
		"RENAME TABLE runs TO runs_kept",
		// A part for each month, each of whose rows takes a while to read: a minute in all.
		"CREATE TABLE runs (workspace_id String, source String, app_id String, started_at DateTime64(3, 'UTC'), " +
			"run_id String, superseded Bool, question String ALIAS if(sleepEachRow(0.01) = 0, 'something', ''), answer String) " +
			"ENGINE = MergeTree PARTITION BY toYYYYMM(started_at) ORDER BY (workspace_id, source, app_id, started_at, run_id)",
		"INSERT INTO runs (workspace_id, source, app_id, started_at, run_id, superseded) SELECT 'acme', 'copilot', 'a', toDateTime64('2025-12-15 00:00:00', 3, 'UTC') - " +
			"toIntervalMonth(number % 60), toString(number), false FROM numbers(6000)",
	} {
		if err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	server := historyServer(t, conn)
	running := func() (n uint64) {
		if err := conn.QueryRow(t.Context(), "SELECT count() FROM system.processes WHERE current_database = "+
			"currentDatabase() AND query LIKE '%positionCaseInsensitiveUTF8(question%' AND query NOT LIKE '%processes%'").
			Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	// until returns how long it takes until as many searches run.
	until := func(want uint64) time.Duration {
		t.Helper()
		began := time.Now()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := running(); n != want; n = running() {
			if <-tick.C; time.Since(began) > 15*time.Second {
				t.Fatalf("%d searches run, want %d", n, want)
			}
		}
		return time.Since(began)
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/v1/runs?q=nothing+has+this", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	left := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(r)
		if err == nil {
			resp.Body.Close()
		}
		left <- err
	}()
	until(1)
	leave()
	if err := <-left; err == nil {
		t.Fatal("the search was not slow")
	}
	if took := until(0); took > 5*time.Second {
		t.Errorf("the query ended %s after its client had left", took)
	}
}
