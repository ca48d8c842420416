package clickhouse_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

// borrow returns the connection that With lends.
func borrow(t *testing.T, dsn *clickhouse.DSN, result error) *ch.Client {
	t.Helper()
	var client *ch.Client
	err := dsn.With(t.Context(), func(c *ch.Client) error {
		client = c
		if err := c.Do(t.Context(), ch.Query{Body: "SET max_threads = 1"}); err != nil {
			return err
		}
		return result
	})
	if !errors.Is(err, result) {
		t.Fatal(err)
	}
	return client
}

func TestAConnectionIsUsedAgainUnlessItFailed(t *testing.T) {
	t.Parallel()
	dsn := emptyDatabase(t)
	first := borrow(t, dsn, nil)
	if second := borrow(t, dsn.Behind(nil), nil); second != first {
		t.Error("the connection was not used again")
	}
	failed := errors.New("it failed")
	if third := borrow(t, dsn, failed); third != first || !third.IsClosed() {
		t.Errorf("the same connection: %t; it must be closed after the error", third == first)
	}
	if fourth := borrow(t, dsn, nil); fourth == first {
		t.Error("a connection was used after an error")
	}
	other := *dsn
	other.Database = "default"
	if fifth := borrow(t, &other, nil); fifth == borrow(t, dsn, nil) {
		t.Error("a connection was used for another database")
	}
}

func TestConnectionsAreNotShared(t *testing.T) {
	t.Parallel()
	dsn := emptyDatabase(t)
	for range 3 { // the second and the third time with those of the time before
		var mu sync.Mutex
		seen := map[*ch.Client]bool{}
		var all, ready sync.WaitGroup
		ready.Add(20)
		for range 20 {
			all.Go(func() {
				err := dsn.With(t.Context(), func(c *ch.Client) error {
					mu.Lock()
					seen[c] = true
					mu.Unlock()
					ready.Done()
					ready.Wait()
					return c.Ping(t.Context()) // so that the handshake is over before the database goes
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(seen) != 20 {
			t.Fatalf("20 calls at the same time had %d connections", len(seen))
		}
	}
}

func TestAConnectionThatDoesNotAnswerIsReplaced(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*clickhousetest.Proxy){
		"broken": (*clickhousetest.Proxy).Refuse, "silent": (*clickhousetest.Proxy).Silence,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := localtest.ClickHouse(t)
			proxy := clickhousetest.NewProxy(t, server.NativeAddr)
			dsn, err := clickhouse.ParseDSN(strings.Replace(server.DSN(server.Database(t)), server.NativeAddr, proxy.Addr, 1))
			if err != nil {
				t.Fatal(err)
			}
			first := borrow(t, dsn, nil)
			fail(proxy)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if err := dsn.With(ctx, func(*ch.Client) error { return nil }); err == nil {
				t.Error("a connection answers that cannot")
			}
			proxy.Pass()
			if second := borrow(t, dsn, nil); second == first || !first.IsClosed() {
				t.Error("the connection is still in use")
			}
		})
	}
}
