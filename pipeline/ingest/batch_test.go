package ingest

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// ofTopicT returns partitions of topic t.
func ofTopicT(ids ...int32) map[string][]int32 { return map[string][]int32{"t": ids} }

// commits returns the offsets that o commits for a batch that ends at offset 10 × partition. The
// partitions were polled in these assignments.
func commits(t *testing.T, o *owned, assignments map[int32]uint64) string {
	t.Helper()
	ends := map[kafka.Partition]end{}
	for id, assignment := range assignments {
		ends[kafka.Partition{Topic: "t", ID: id}] = end{kgo.EpochOffset{Offset: int64(10 * id)}, assignment}
	}
	got := map[int32]int64{}
	err := o.commit(ends, func(offsets map[string]map[int32]kgo.EpochOffset) error {
		for id, e := range offsets["t"] {
			got[id] = e.Offset
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(got)
}

func TestOnlyPartitionsThatAreOwnedSinceTheyWerePolledAreCommitted(t *testing.T) {
	t.Parallel()
	var o owned
	if got := commits(t, &o, map[int32]uint64{1: 0, 2: 1}); got != "map[]" {
		t.Errorf("owning nothing: %s", got)
	}
	o.add(ofTopicT(1, 2, 3))
	first := o.assignment(kafka.Partition{Topic: "t", ID: 1})
	all := map[int32]uint64{1: first, 2: first, 3: first}
	if got := commits(t, &o, all); got != "map[1:10 2:20 3:30]" {
		t.Errorf("owning all: %s", got)
	}
	o.remove(ofTopicT(2, 9))
	o.add(ofTopicT(4)) // partitions that stay keep their assignment
	if got := commits(t, &o, all); got != "map[1:10 3:30]" {
		t.Errorf("one was taken: %s", got)
	}
	o.add(ofTopicT(2)) // another member had it in between
	if got := commits(t, &o, all); got != "map[1:10 3:30]" {
		t.Errorf("one came back: %s", got)
	}
	if got := commits(t, &o, map[int32]uint64{2: o.assignment(kafka.Partition{Topic: "t", ID: 2})}); got != "map[2:20]" {
		t.Errorf("polled since: %s", got)
	}
	if got := commits(t, &o, map[int32]uint64{7: 0}); got != "map[]" {
		t.Errorf("polled while it was not owned: %s", got)
	}
	want := errors.New("no")
	if err := o.commit(map[kafka.Partition]end{{Topic: "t", ID: 1}: {assignment: first}},
		func(map[string]map[int32]kgo.EpochOffset) error { return want }); !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
}

func TestARebalanceWaitsForACommit(t *testing.T) {
	t.Parallel()
	var o owned
	o.add(ofTopicT(1))
	ends := map[kafka.Partition]end{{Topic: "t", ID: 1}: {assignment: 1}}
	committing, removed := make(chan struct{}), make(chan struct{})
	release := make(chan struct{})
	done := make(chan error)
	go func() {
		done <- o.commit(ends, func(map[string]map[int32]kgo.EpochOffset) error {
			close(committing)
			<-release
			select {
			case <-removed:
				return errors.New("the partition was taken meanwhile")
			default:
				return nil
			}
		})
	}()
	<-committing
	go func() {
		o.remove(ofTopicT(1))
		close(removed)
	}()
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	<-removed
}

func TestABatchIsFullByRowsBytesOrAge(t *testing.T) {
	t.Parallel()
	cfg := Config{BatchRows: 10, BatchBytes: 100, BatchInterval: time.Hour}
	for name, c := range map[string]struct {
		b    batch
		full bool
	}{
		"little":     {batch{content: content{records: 9, bytes: 99}, began: time.Now()}, false},
		"many rows":  {batch{content: content{records: 10}, began: time.Now()}, true},
		"many bytes": {batch{content: content{bytes: 100}, began: time.Now()}, true},
		"old":        {batch{began: time.Now().Add(-time.Hour)}, true},
	} {
		if got := c.b.full(cfg); got != c.full {
			t.Errorf("%s: full is %t", name, got)
		}
	}
}

func TestPollingResumesAtItsPositionsAfterPartitionsWereRemoved(t *testing.T) {
	t.Parallel()
	var o owned
	resume := func(skipped bool) string {
		got := map[int32]int64{}
		for id, e := range o.resume(skipped)["t"] {
			got[id] = e.Offset
		}
		return fmt.Sprint(got)
	}
	if got := resume(true); got != "map[]" {
		t.Errorf("owning nothing: %s", got)
	}
	o.add(ofTopicT(1, 2, 3))
	o.setStarts(map[string]map[int32]kgo.Offset{"t": {1: kgo.NewOffset().At(10), 2: kgo.NewOffset().At(20),
		9: kgo.NewOffset().At(90)}})
	if got := resume(false); got != "map[]" {
		t.Errorf("nothing happened: %s", got)
	}
	if got := resume(true); got != "map[1:10 2:20]" { // the start of 3 is not known yet, and 9 is not owned
		t.Errorf("after a skip: %s", got)
	}
	o.polled(kafka.Partition{Topic: "t", ID: 1}, 15)
	o.polled(kafka.Partition{Topic: "t", ID: 3}, 31)
	o.remove(ofTopicT(2))
	if got := resume(false); got != "map[1:15 3:31]" {
		t.Errorf("one was taken: %s", got)
	}
	if got := resume(false); got != "map[]" {
		t.Errorf("it resumed already: %s", got)
	}
	if got := o.polled(kafka.Partition{Topic: "t", ID: 2}, 99); got != 0 || resume(true) != "map[1:15 3:31]" {
		t.Errorf("polled a partition that is not owned: assignment %d", got)
	}
	epochs := map[int32]bool{}
	for range 5 { // the client ignores offsets with a known epoch
		epochs[o.resume(true)["t"][1].Epoch] = true
	}
	for epoch := range epochs {
		if epoch >= -1 || len(epochs) != 5 {
			t.Errorf("epochs %v", epochs)
		}
	}
}

// The panic of the hook stands for one of the decoder itself.
func TestAPanicOfTheDecoderRefusesTheRecordAndLogsItsStack(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	s := &Stage{log: slog.New(slog.NewTextHandler(&log, nil))}
	decoder := &runs.Decoder{Unknown: func(string) { panic("fault") }}
	value := `{"type":"dev.millrace.run.v1","workspace_id":"acme","run_id":"r","source":"recipe","app_id":"a",` +
		`"started_at":"2026-01-31T10:00:00Z","status":"succeeded","x":1}`
	_, err := s.decodeRecord(decoder, &kgo.Record{Topic: "t", Partition: 3, Offset: 7, Value: []byte(value)})
	var refusal *strictjson.Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("got %v", err)
	}
	for _, text := range []string{"record=t/3/7", "panic=fault", "runs.(*Decoder).Decode", "batch_test.go"} {
		if strings.Count(log.String(), "level=ERROR") != 1 || !strings.Contains(log.String(), text) {
			t.Errorf("the log has no %q: %s", text, log.String())
		}
	}
}
