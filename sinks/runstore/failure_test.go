package runstore_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/local"
	"github.com/millrace/millrace/pipeline/local/localtest"
	"github.com/millrace/millrace/pipeline/runs"
	schema "github.com/millrace/millrace/schemas/clickhouse"
	"github.com/millrace/millrace/sinks/runstore"
)

// wantStop checks that an error is permanent and that its explanation contains each text.
func wantStop(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil || clickhouse.Classify(err) != clickhouse.Stop {
		t.Errorf("got %v of class %s, want stop", err, clickhouse.Classify(err))
		return
	}
	for _, text := range texts {
		if !strings.Contains(clickhouse.Explain(err).Error(), text) {
			t.Errorf("%q does not say %q", clickhouse.Explain(err), text)
		}
	}
}

func TestCheckIsFineWithThisVersionsSchema(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s := d.store(t, d.server.NativeAddr)
	for range 2 {
		if err := s.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	refused, err := s.InsertRuns(t.Context(), []*runs.Run{leastRun("r1")})
	wantAll(t, refused, err)
}

func TestCheckFindsASchemaOfAnotherVersion(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"a missing column":              "ALTER TABLE runs DROP COLUMN user_id",
		"a column of another type":      "ALTER TABLE nodes MODIFY COLUMN sequence Nullable(String)",
		"a column of another precision": "ALTER TABLE nodes MODIFY COLUMN ended_at Nullable(DateTime64(6, 'UTC'))",
		"a missing table":               "DROP TABLE feedback SYNC",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			d.query(t, change)
			wantStop(t, d.store(t, d.server.NativeAddr).Check(t.Context()), "millrace migrate")
		})
	}
	t.Run("a database without tables", func(t *testing.T) {
		t.Parallel()
		server := localtest.ClickHouse(t)
		d := database{server.Database(t), server}
		wantStop(t, d.store(t, server.NativeAddr).Check(t.Context()), "millrace migrate")
	})
}

func TestCheckSaysWhatIsWrongWithTheConnection(t *testing.T) {
	t.Parallel()
	d := database{"db", localtest.ClickHouse(t)}
	wantStop(t, d.store(t, clickhousetest.Refuse(t, 516, "default: Authentication failed")).Check(t.Context()),
		"refused the credentials", "password")
	wantStop(t, d.store(t, clickhousetest.Refuse(t, 81, "Database db does not exist")).Check(t.Context()),
		"millrace migrate")
	err := d.store(t, "127.0.0.1:1").Check(t.Context())
	if err == nil || clickhouse.Classify(err) != clickhouse.Retry {
		t.Errorf("nobody there: got %v of class %s, want retry", err, clickhouse.Classify(err))
	}
}

func TestAConnectionThatBreaksIsMadeAgain(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	proxy := clickhousetest.NewProxy(t, d.server.NativeAddr)
	s := d.store(t, proxy.Addr)
	insert := func(id string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		refused, err := s.InsertRuns(ctx, []*runs.Run{leastRun(id)})
		if len(refused) > 0 {
			t.Errorf("refused %v", refused)
		}
		return err
	}
	for i, breakIt := range []func(){proxy.Refuse, proxy.Silence, proxy.Refuse} {
		id := strconv.Itoa(i)
		if err := insert("before" + id); err != nil {
			t.Fatal(err)
		}
		breakIt()
		for range 2 {
			if err := insert("between" + id); err == nil || clickhouse.Classify(err) != clickhouse.Retry {
				t.Errorf("broken in way %d: got %v of class %s, want retry", i, err, clickhouse.Classify(err))
			}
		}
		proxy.Pass()
		if err := insert("after" + id); err != nil {
			t.Errorf("mended: %v", err)
		}
	}
	if got := d.one(t, "SELECT countIf(run_id LIKE 'before%' OR run_id LIKE 'after%') FROM runs_latest"); got != "6" {
		t.Errorf("%s rows, want 6", got)
	}
}

func TestAnInsertEndsWithItsContext(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	proxy := clickhousetest.NewProxy(t, d.server.NativeAddr)
	s := d.store(t, proxy.Addr)
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	proxy.Silence()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := s.InsertRuns(ctx, []*runs.Run{leastRun("r1")})
		done <- err
	}()
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on")
	}
}

// engine starts a ClickHouse on a folder and a port (0 = any free one). The test may stop it.
func engine(t *testing.T, dir string, port int) (c *local.ClickHouse, stop func()) {
	t.Helper()
	cfg := localtest.Config(t)
	cfg.Dir, cfg.Ephemeral, cfg.NativePort = dir, false, port
	cfg.PasswordFile = filepath.Join(dir, "password")
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	c, err := local.NewClickHouse(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx) // WaitReady returns what it returns
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	if err := c.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, stop
}

func TestAServerThatRestartsIsFoundAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, stop := engine(t, dir, 0)
	dsn, err := clickhouse.ParseDSN(server.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clickhouse.Migrate(t.Context(), dsn, schema.Migrations, "", slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	s := runstore.New(dsn)
	t.Cleanup(s.Close)
	refused, err := s.InsertRuns(t.Context(), []*runs.Run{leastRun("before")})
	wantAll(t, refused, err)
	stop()
	if _, err := s.InsertRuns(t.Context(), []*runs.Run{leastRun("between")}); err == nil ||
		clickhouse.Classify(err) != clickhouse.Retry {
		t.Errorf("stopped: got %v of class %s, want retry", err, clickhouse.Classify(err))
	}
	_, port, err := net.SplitHostPort(server.NativeAddr())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	engine(t, dir, number)
	refused, err = s.InsertRuns(t.Context(), []*runs.Run{leastRun("after")})
	wantAll(t, refused, err)
	conn, err := dsn.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var ids []string
	if err := conn.QueryRow(t.Context(), "SELECT arraySort(groupArray(run_id)) FROM runs_latest").Scan(&ids); err != nil ||
		strings.Join(ids, " ") != "after before" {
		t.Errorf("stored %q, %v", ids, err)
	}
}
