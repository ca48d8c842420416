package localtest_test

import (
	"context"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/local/localtest"
)

func TestEachTestGetsAnEmptyDatabaseOfOneServer(t *testing.T) {
	t.Parallel()
	names := make(chan string, 2)
	for _, name := range []string{"one", "other"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := localtest.ClickHouse(t)
			database := s.Database(t)
			names <- database
			opts, err := clickhouse.ParseDSN(s.DSN(database))
			if err != nil {
				t.Fatal(err)
			}
			conn, err := clickhouse.Open(opts)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			if err := conn.Exec(t.Context(), "CREATE TABLE numbers (n UInt64) ENGINE = MergeTree ORDER BY n"); err != nil {
				t.Fatal(err)
			}
			var current string
			var tables uint64
			row := conn.QueryRow(t.Context(), "SELECT currentDatabase(), count() FROM system.tables WHERE database = "+
				"currentDatabase()")
			if err := row.Scan(&current, &tables); err != nil {
				t.Fatal(err)
			}
			if current != database || tables != 1 {
				t.Errorf("database %s with %d tables, want %s with 1", current, tables, database)
			}
		})
	}
	t.Cleanup(func() {
		if len(names) != 2 {
			return // a subtest failed before it had a database
		}
		if one, other := <-names, <-names; one == other {
			t.Error("two tests got the same database")
		}
	})
}

func TestKafkaEndsWithItsTest(t *testing.T) {
	t.Parallel()
	var addrs []string
	t.Run("inside", func(t *testing.T) {
		addrs = localtest.Kafka(t, kfake.SeedTopics(1, "topic")).ListenAddrs()
		client, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "topic", Value: []byte("x")}).FirstErr(); err != nil {
			t.Error(err)
		}
	})
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := client.Ping(ctx); err == nil {
		t.Error("Kafka outlived its test")
	}
}
