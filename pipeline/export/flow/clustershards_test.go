package flow_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ClickHouse/ch-go"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
)

// everywhere runs a statement on every server.
func (c *cluster) everywhere(statement string) {
	c.t.Helper()
	for _, dsn := range c.direct {
		c.exec(dsn, statement)
	}
}

// counters returns the processor seconds of all servers so far, and the rows that they have read.
func (c *cluster) counters() (seconds float64, rows int64) {
	c.t.Helper()
	for _, dsn := range c.direct {
		client, err := dsn.Dial(c.t.Context())
		if err != nil {
			c.t.Fatal(err)
		}
		defer client.Close()
		got, err := clickhouse.ReadTexts(c.t.Context(), client, clickhouse.Query{SQL: "SELECT format('{} {}', " +
			"sumIf(value, event IN ('UserTimeMicroseconds', 'SystemTimeMicroseconds')), sumIf(value, event = 'SelectedRows')) " +
			"FROM system.events"})
		if err != nil {
			c.t.Fatal(err)
		}
		var micros, read int64
		if _, err := fmt.Sscan(got[0], &micros, &read); err != nil {
			c.t.Fatal(err)
		}
		seconds, rows = seconds+float64(micros)/1e6, rows+read
	}
	return seconds, rows
}

// notShort leaves a test out of a short run, as that under the race detector is: the tests of one server, and the other ones
// of clusters, run the same code.
func notShort(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: other tests run the same code")
	}
}

// An export reads about as many rows, however many shards there are: of each shard's part of a window a part of a
// granule more. A row counts where it is stored, and once more on the server that is asked.
func TestAClusterReadsAsManyRowsHoweverManyShardsItHas(t *testing.T) {
	notShort(t)
	t.Parallel()
	records, layouts := 2000, []int{1, 4}
	if os.Getenv("MILLRACE_TEST_SOAK") == "true" {
		records, layouts = 200_000, []int{1, 2, 3, 4}
	}
	read := map[int]float64{} // by shards: rows of each record
	for _, shards := range layouts {
		t.Run(fmt.Sprint(shards), func(t *testing.T) {
			f, c := newFlow(t), newCluster(t, shards, 1)
			f.dsn = c.through(0)
			f.windowRecords = int64(records / 10)
			f.insertRuns(records)
			f.exec("OPTIMIZE TABLE runs_shard FINAL")
			f.start()
			seconds, rows := c.counters()
			f.send(request("e1", fmt.Sprintf(`,"selection":{"limit":%d},"fragment":{"max_records":%d}`, records, records/10)))
			f.poll("completion", func() bool { return len(f.completions("e1")) > 0 })
			secondsThen, rowsThen := c.counters()
			if got := f.completions("e1")[0]; got.Status != export.StatusSucceeded || got.Records != int64(records) {
				t.Fatal(describe(got))
			}
			read[shards] = float64(rowsThen-rows) / float64(records)
			t.Logf("%d shards: %.1f rows read for each record, %.1f processor seconds of ClickHouse for a million records",
				shards, read[shards], (secondsThen-seconds)*1e6/float64(records))
		})
	}
	for shards, n := range read {
		if n > 1.4*read[1] {
			t.Errorf("%d shards read %.1f rows for each record, and one reads %.1f", shards, n, read[1])
		}
	}
}

// What runs during an export, and after it, on every shard: deletes, which the export tells, and the janitor.
func TestAClusterTellsOfDeletedRunsAndIsCleaned(t *testing.T) {
	t.Parallel()
	f, c := newFlow(t), newCluster(t, 2, 1)
	f.dsn = c.through(1)
	f.windowRecords, f.windowsInFlight = 50, 1
	f.insertRuns(200)
	f.whileHeld("e1", inWindows(200), func(*export.Plan) {
		c.everywhere("DELETE FROM runs_shard WHERE run_id >= 'run-00120' AND run_id < 'run-00127'")
	})
	done := f.completion("e1")
	_, got := f.verify(done)
	if len(got) != 193 || done.RowsPlanned != 200 || done.RowsUsed != 193 || done.Vanished != 7 {
		t.Errorf("%d records, %+v", len(got), *done)
	}
	kept := slices.Concat(f.objects(done.ID, export.CardName), f.objects(done.ID, "__meta__"), f.objects(done.ID, "data"))
	late := export.DataName(export.SplitTrain, 0, 0, "late", "jsonl")
	if err := f.bucket.Create(t.Context(), done.Prefix()+late, []byte("{}\n")); err != nil {
		t.Fatal(err)
	}
	f.janitor()
	f.waitForFiles(done.ID, kept) // the janitor has found the end of the export, so that was stored
	client, err := f.dsn.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	trail, err := clickhouse.ReadInt(t.Context(), client, clickhouse.Query{SQL: "SELECT toString(count()) FROM audit"})
	if err != nil || trail == 0 {
		t.Errorf("the trail has %d entries, %v", trail, err)
	}
}

// With priorities, ClickHouse reads another replica than the first one that answers. Then no read is sure to find all
// rows, and exports wait and say so; with priorities in the order of the replicas they do not.
func TestAClusterWithPrioritiesNeverReadsReplicasThatLag(t *testing.T) {
	notShort(t)
	t.Parallel()
	for _, shape := range []struct {
		priorities []int
		waits      bool
	}{{[]int{2, 1}, true}, {[]int{1, 2}, false}} {
		t.Run(fmt.Sprint(shape.priorities), func(t *testing.T) {
			t.Parallel()
			f, c := newFlow(t), newCluster(t, 1, 2, shape.priorities...)
			f.dsn = c.through(0)
			f.insertRuns(20)
			c.lags[1].Store(true) // the second one lacks them, and so cannot take the place of the first one
			err := f.dsn.Through(t.Context(), []string{"runs"}, func(pins []ch.Setting) error {
				client, err := f.dsn.Dial(t.Context())
				if err != nil {
					return err
				}
				defer client.Close()
				n, err := clickhouse.ReadTexts(t.Context(), client, clickhouse.Query{
					SQL: "SELECT toString(count()) FROM runs", Settings: pins})
				if err == nil && n[0] != "20" {
					t.Errorf("%s rows were read, want 20", n)
				}
				return err
			})
			if errors.Is(err, clickhouse.ErrBehind) != shape.waits || err != nil && !shape.waits {
				t.Errorf("%v", err)
			}
			if shape.waits && !strings.Contains(fmt.Sprint(err), "priority") {
				t.Errorf("it does not say why: %v", err)
			}
		})
	}
}
