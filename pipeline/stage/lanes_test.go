package stage

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Of two lanes, each works on its records and commits the offsets of all, also those that it skips last.
func TestLanesShareTheRecordsAndEachCommitsAll(t *testing.T) {
	t.Parallel()
	c := cluster(t, 2)
	produce(t, c, numbered(40)...)
	admin := kadm.NewClient(client(t, c))
	for lane, name := range []string{"", "-1"} {
		cfg := config(t, c)
		cfg.Lane = name
		start(t, New(cfg, func(ctx context.Context, r *kgo.Record) ([]*kgo.Record, error) {
			if int(r.Value[len(r.Value)-1])%2 != lane {
				return nil, ErrSkip
			}
			return copyTo(out)(ctx, r)
		}))
	}
	if got, want := values(read(t, reader(t, c, out), 40)), values(numbered(40)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for _, group := range []string{"t.test", "t.test-1"} {
		for committed := int64(0); committed < 40; {
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("group %s has committed %d of 40 records", group, committed)
			}
			offsets, err := admin.FetchOffsets(t.Context(), group)
			if err != nil {
				t.Fatal(err)
			}
			committed = 0
			offsets.Each(func(o kadm.OffsetResponse) { committed += max(0, o.At) })
		}
	}
}

// The marker of a transaction that comes last looked like a record that waits, to tools that compare offsets.
func TestTheMarkerAtTheEndOfAMixedTopicIsCommitted(t *testing.T) {
	t.Parallel()
	c := cluster(t, 1)
	produce(t, c, numbered(2)...)
	transacting := client(t, c, kgo.TransactionalID("t"))
	if err := transacting.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := transacting.ProduceSync(t.Context(), numbered(1)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := transacting.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	cfg := config(t, c)
	cfg.Mixed = true
	start(t, New(cfg, func(context.Context, *kgo.Record) ([]*kgo.Record, error) { return nil, ErrSkip }))
	admin := kadm.NewClient(client(t, c))
	deadline := time.Now().Add(30 * time.Second)
	for committed := int64(0); committed != 4; { // three records and a marker
		if time.Now().After(deadline) {
			t.Fatalf("committed up to offset %d of 4", committed)
		}
		offsets, err := admin.FetchOffsets(t.Context(), "t.test")
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			t.Fatal(err)
		}
		offsets.Each(func(o kadm.OffsetResponse) { committed = o.At })
	}
}
