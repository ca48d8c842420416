package local_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/millrace/millrace/pipeline/local"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

func startClickHouseParent(t testing.TB, cfg local.ClickHouseConfig) (*parent, clickHouseUp) {
	t.Helper()
	cfg.Log = nil // a logger cannot be sent as JSON
	p := startParent(t, "clickhouse", cfg)
	var up clickHouseUp
	if err := json.Unmarshal([]byte(p.line(t)), &up); err != nil {
		t.Fatal(err)
	}
	return p, up
}

// gone reports whether a process has ended. It may still be a zombie that its new parent has not
// collected.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

func TestNoServerOutlivesAKilledParent(t *testing.T) {
	t.Parallel()
	cfg := realConfig(t)
	cfg.Ephemeral = true
	p, up := startClickHouseParent(t, cfg)
	if _, err := os.Stat(filepath.Join(up.Dir, "data")); err != nil {
		t.Error(err)
	}

	// The server is busy: when its relay ends, the connections of these clients are reset, which
	// may abort the server.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var clients sync.WaitGroup
	for _, work := range clientWork {
		client := newCutClient(t, up.DSN)
		if err := client.Exec(ctx,
			"CREATE TABLE IF NOT EXISTS t (n UInt64, s String) ENGINE = MergeTree ORDER BY n"); err != nil {
			t.Fatal(err)
		}
		clients.Go(func() {
			defer client.Close()
			work(ctx, client)
		})
	}
	eventually(t, "the inserting client has begun", func() bool {
		parts, err := filepath.Glob(filepath.Join(up.Dir, "data", "store", "*", "*", "all_*", "count.txt"))
		return err != nil || len(parts) > 0
	})

	p.kill()
	eventually(t, "the server is gone", func() bool { return gone(up.Pid) })
	cancel()
	clients.Wait()
	if rest, err := os.ReadDir(cfg.Dir); err != nil || len(rest) > 0 {
		t.Errorf("left of the ephemeral folder: %v %v", rest, err)
	}
}

func TestAFolderCanBeUsedAfterItsParentWasKilled(t *testing.T) {
	t.Parallel()
	cfg := realConfig(t)
	p, up := startClickHouseParent(t, cfg)
	resp, err := http.Post(up.HTTP+"/?query="+
		"CREATE+TABLE+t+ENGINE+MergeTree+ORDER+BY+n+AS+SELECT+number+AS+n+FROM+numbers(5000)", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	p.kill()

	// Start at once: the old server may still run, and the new one waits for its end.
	c, _ := run(t, cfg)
	waitReady(t, c)
	eventually(t, "the first server is gone", func() bool { return gone(up.Pid) })
	if n := count(t, connect(t, c), "t"); n != 5000 {
		t.Errorf("%d rows, want 5000", n)
	}
}

func TestAServerEndsThoughItsEngineHangs(t *testing.T) {
	t.Parallel()
	cfg := realConfig(t)
	cfg.Ephemeral = true
	p, up := startClickHouseParent(t, cfg)
	// A stopped server cannot notice that its parent has ended. It must notice when it continues.
	if err := syscall.Kill(up.Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.kill()
	if err := syscall.Kill(up.Pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server is gone", func() bool { return gone(up.Pid) })
}

func TestTheChildIgnoresCtrlC(t *testing.T) {
	t.Parallel()
	c, _ := run(t, realConfig(t))
	waitReady(t, c)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if err := syscall.Kill(c.Pid(), signal); err != nil {
			t.Fatal(err)
		}
	}
	pid := c.Pid()
	if got := get(t, c, "SELECT 1"); got != "1\n" || c.Pid() != pid || c.Restarts() != 0 {
		t.Errorf("SELECT 1 = %q, pid %d, %d restarts", got, c.Pid(), c.Restarts())
	}
	if group, err := syscall.Getpgid(pid); err != nil || group != pid {
		t.Errorf("process group %d (%v), want its own, %d", group, err, pid)
	}
}

func TestTheChildCannotBeStartedByHand(t *testing.T) {
	t.Parallel()
	command, err := localtest.Command()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(string(out), "by hand") {
		t.Errorf("%v: %s", err, out)
	}
}
