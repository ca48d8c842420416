package history

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/share"
)

// stuck is a ClickHouse that answers nothing.
type stuck struct {
	driver.Conn
	queries atomic.Int64 // that run
}

func (s *stuck) Query(ctx context.Context, _ string, _ ...any) (driver.Rows, error) {
	s.queries.Add(1)
	defer s.queries.Add(-1)
	<-ctx.Done()
	return nil, ctx.Err()
}

// Forty searches for text would take all processors and connections until all of them fail.
func TestSearchesOfAWorkspaceWaitForEachOtherAndNobodyWaitsForThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := &stuck{}
		s := New(conn, nil)
		ctx, leave := context.WithCancel(t.Context())
		busy := make(chan time.Duration, 40)
		began := time.Now()
		for range 40 {
			go func() {
				var b *share.Busy
				if _, err := s.Runs(ctx, Query{Workspace: "hostile", Filters: filters{Text: "x"}}); errors.As(err, &b) {
					busy <- time.Since(began)
				}
			}()
		}
		synctest.Wait()
		if n := conn.queries.Load(); n != 2 {
			t.Errorf("%d searches run, want 2", n)
		}
		go s.Runs(ctx, Query{Workspace: "small", Filters: filters{Text: "x"}}) // it is cancelled
		go s.Runs(ctx, Query{Workspace: "hostile"})                            // it is cancelled
		synctest.Wait()
		if n := conn.queries.Load(); n != 4 {
			t.Errorf("%d queries run, want those of another workspace's search and of a list too", n)
		}
		for range 38 { // at once, or at the queue's deadline
			if after := <-busy; after > 10*time.Second {
				t.Errorf("a search gave up after %s", after)
			}
		}
		leave() // whoever asked is gone
		synctest.Wait()
		if n := conn.queries.Load(); n != 0 {
			t.Errorf("%d queries run, and nobody waits for them", n)
		}
	})
}
