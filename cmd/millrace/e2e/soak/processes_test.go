package soak

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// One export is the work of as many processes as there are. What it costs, in processor time and in rows that
// ClickHouse reads, hardly depends on their number.
func TestProcessesShareOneExport(t *testing.T) {
	if e2etest.Scale(0, 1) == 0 {
		t.Skip("it is about cost, which `make soak` measures; the tests that kill have several processes too")
	}
	const runs = 500_000
	s := newLargeSite(t, runs)
	ends, client := endsOf(t, s), e2etest.KafkaClient(t, s.Kafka)
	var rowsOfOne float64
	for _, n := range []int{1, 2, 4} {
		var roles []*e2etest.Process
		for range n {
			role := s.Env.Start(t, "export")
			role.Field(t, "ops")
			roles = append(roles, role)
		}
		ends.of(t, ask(t, s, client, object{"selection": object{"limit": 100}}), time.Minute) // the roles are at work
		cpu, rows := spent(t, s)
		began := time.Now()
		c := ends.of(t, ask(t, s, client, object{"selection": object{"limit": 10_000_000}}), 20*time.Minute)
		took := time.Since(began)
		cpuAfter, rowsAfter := spent(t, s)
		busy, own := 0, time.Duration(0)
		for _, role := range roles {
			if code, _ := role.Stop(t); code != 0 {
				t.Errorf("a role ended with %d", code)
			}
			time := role.Cmd.ProcessState.UserTime() + role.Cmd.ProcessState.SystemTime()
			if own += time; time.Seconds() > 1 {
				busy++
			}
		}
		perRow := float64(rowsAfter-rows) / runs
		t.Logf("%d processes, %d of them busy: %s; a million records take %.1f s of the processors in Millrace and %.1f s "+
			"in ClickHouse, which reads %.1f rows for each", n, busy, took.Round(100*time.Millisecond), own.Seconds()*1e6/runs,
			(cpuAfter-cpu).Seconds()*1e6/runs, perRow)
		if c.Records != runs {
			t.Errorf("%d processes: %d records, want %d", n, c.Records, runs)
		}
		if n == 1 {
			rowsOfOne = perRow
		} else if busy < 2 || perRow > rowsOfOne*1.1 {
			t.Errorf("%d processes: %d of them worked; ClickHouse read %.1f rows for each record, and %.1f for one process",
				n, busy, perRow, rowsOfOne)
		}
	}
}

// spent is the processor time of ClickHouse so far, and the rows that it has read.
func spent(t *testing.T, s *e2etest.Site) (cpu time.Duration, rows uint64) {
	t.Helper()
	var micros uint64
	if err := s.Conn.QueryRow(t.Context(), "SELECT sumIf(value, event = 'OSCPUVirtualTimeMicroseconds'), "+
		"sumIf(value, event = 'SelectedRows') FROM system.events").Scan(&micros, &rows); err != nil {
		t.Fatal(fmt.Errorf("system.events: %w", err))
	}
	return time.Duration(micros) * time.Microsecond, rows
}
