package e2etest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Eventually polls until f returns "", and fails with its last answer after the deadline. It pauses for twice as long
// as f took, so that what is waited for has most of the processors.
func Eventually(t *testing.T, within time.Duration, f func() string) {
	t.Helper()
	deadline := time.After(within)
	for {
		began := time.Now()
		last := f()
		if last == "" {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("after %s: %s", within, last)
		case <-time.After(min(max(50*time.Millisecond, 2*time.Since(began)), time.Second)):
		}
	}
}

// Count runs a query that returns a number. A query that fails counts 0, and is logged.
func Count(t *testing.T, conn driver.Conn, query string, args ...any) uint64 {
	t.Helper()
	var n uint64
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := conn.QueryRow(ctx, query, args...).Scan(&n); err != nil {
		t.Logf("%s: %v", query, err)
		return 0
	}
	return n
}

// WaitForCounts waits until queries that return a number return the wanted ones.
func WaitForCounts(t *testing.T, conn driver.Conn, within time.Duration, want map[string]uint64) {
	t.Helper()
	Eventually(t, within, func() string {
		var wrong []string
		for query, n := range want {
			if got := Count(t, conn, query); got != n {
				wrong = append(wrong, fmt.Sprintf("%s: %d, want %d", query, got, n))
			}
		}
		return strings.Join(wrong, "\n")
	})
}

// QueryTexts runs a query that returns one column of text.
func QueryTexts(t *testing.T, conn driver.Conn, query string) (list []string) {
	t.Helper()
	rows, err := conn.Query(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		list = append(list, text)
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	return list
}
