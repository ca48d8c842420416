package ingest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/pipeline/ingest"
)

func TestStagesShareTheWorkAndOneGoesOnAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := ingest.Config{BatchRows: 20, BatchInterval: 10 * time.Millisecond}
	produced := 0
	produce := func() {
		w.produce(runEvents(fmt.Sprint("r", produced, "-"), 60)...)
		produced += 60
	}
	one := w.start(cfg, "")
	produce()
	w.allCommitted()
	other := w.start(cfg, "")
	w.eventually("the other to get some", func() bool {
		produce()
		return other.polled.Load() > 500 && one.polled.Load() > 500
	})
	for range 5 { // members come and go while records flow
		third := w.start(cfg, "")
		w.eventually("a third to get some", func() bool {
			produce()
			return third.polled.Load() > 0
		})
		third.stop()
	}
	other.stop()
	before := one.polled.Load()
	w.eventually("the one to go on alone", func() bool {
		produce()
		return one.polled.Load() > before+500
	})
	w.allCommitted()
	one.stop()
	if got, want := w.one("SELECT uniqExact(run_id) FROM runs"), fmt.Sprint(produced); got != want {
		t.Errorf("%s runs are stored, want %s", got, want)
	}
	if got := len(w.letters()); got != 0 {
		t.Errorf("%d dead letters", got)
	}
}

func TestAStageThatTheGroupForgotJoinsAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(ingest.Config{}, "")
	w.produce(runEvents("before", 24)...)
	w.allCommitted()
	// Kafka forgets the member: it refuses the member's heartbeats and commits until the member
	// joins again.
	w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.UnknownMemberID, Count: 3})
	w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID, TopLevel: true, Count: 1})
	w.produce(runEvents("after", 24)...)
	w.allCommitted()
	s.stop()
	if got := w.one("SELECT uniqExact(run_id) FROM runs"); got != "48" {
		t.Errorf("%s runs are stored, want 48", got)
	}
}

func TestAStopStoresAndCommitsWhatWasPolled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(ingest.Config{BatchInterval: time.Hour}, "")
	w.produce(runEvents("r", 100)...)
	w.produce(bare("no JSON"))
	w.eventually("all to be polled", func() bool { return s.polled.Load() == 101 })
	if offsets, _ := w.committed(); offsets != 0 {
		t.Errorf("committed %d before its time", offsets)
	}
	s.stop()
	if offsets, ends := w.committed(); offsets != ends || ends != 101 {
		t.Errorf("committed %d of %d", offsets, ends)
	}
	if got := w.one("SELECT count() FROM runs_latest"); got != "100" {
		t.Errorf("%s rows, want 100", got)
	}
	if got := len(w.letters()); got != 1 {
		t.Errorf("%d dead letters, want 1", got)
	}
}

func TestPartitionsOfOnlyPoisonAreCommitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(ingest.Config{}, "")
	for i := range 36 {
		r := bare(fmt.Sprint("no JSON ", i))
		r.Partition = int32(i % 12)
		w.produce(r)
	}
	w.allCommitted()
	s.stop()
	if got := len(w.letters()); got != 36 {
		t.Errorf("%d dead letters, want 36", got)
	}
}

func TestAnErrorThatDoesNotPassEndsTheStage(t *testing.T) {
	t.Parallel()
	// Each case breaks a stage that has many batches to store, so that another batch waits when the
	// error occurs.
	for name, c := range map[string]struct {
		breakIt func(*world)
		texts   []string // of the error
	}{
		"a table is dropped": {func(w *world) { w.one("DROP TABLE runs SYNC") }, []string{"millrace migrate"}},
		"commits are not allowed": {func(w *world) {
			w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.GroupAuthorizationFailed, Count: -1})
		}, []string{"kafka refused access", "millrace.ingest"}},
		"dead letters are not allowed": {func(w *world) {
			w.kafka.Fault(kfake.Fault{Topic: lettersTopic, Err: kerr.TopicAuthorizationFailed, Count: -1})
		}, []string{"kafka refused access", "millrace.dead-letters"}},
		"reading is not allowed": {func(w *world) {
			w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.TopicAuthorizationFailed, Count: -1})
		}, []string{"kafka refused access", "millrace.runs"}},
		"the topic is made anew": {func(w *world) {
			if _, err := w.admin.DeleteTopic(w.Context(), runsTopic); err != nil {
				w.Fatal(err)
			}
			w.createTopic("runs")
		}, []string{"recreated", runsTopic}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.start(ingest.Config{BatchRows: 10}, "")
			w.produce(runEvents("r", 100)...)
			w.allCommitted()
			c.breakIt(w)
			var records = runEvents("s", 3000)
			for i := range records {
				if i%100 == 0 {
					records[i].Value = []byte("no JSON")
				}
			}
			if name != "the topic is made anew" {
				w.produce(records...)
			}
			w.wantError(s.wait(), c.texts...)
		})
	}
}
