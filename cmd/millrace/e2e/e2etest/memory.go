package e2etest

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/procfs"
)

// Memory returns the resident size of a process in bytes, now and at its peak, or 0 when it has ended.
func Memory(pid int) (now, peak int64) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return 0, 0
	}
	status, err := p.NewStatus()
	if err != nil {
		return 0, 0
	}
	return int64(status.VmRSS), int64(status.VmHWM)
}

// Peak runs a command to its end, and returns its exit code and its peak memory in bytes, as it is shortly before
// the end: the size that wait(2) reports would include the one of the test, from before the exec.
func (e Environment) Peak(t *testing.T, args ...string) (code int, bytes int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := e.Command(ctx, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended, watched := make(chan struct{}), make(chan int64)
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		most := int64(0)
		for {
			_, peak := Memory(cmd.Process.Pid)
			most = max(most, peak)
			select {
			case <-ended:
				watched <- most
				return
			case <-tick.C:
			}
		}
	}()
	cmd.Wait() //nolint:errcheck // the exit code is returned
	close(ended)
	return cmd.ProcessState.ExitCode(), <-watched
}
