package ingest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/ingest"
	"github.com/millrace/millrace/pipeline/kafka/kafkatest"
)

// oversize produces a batch of 10 records that decompresses too far.
func (w *world) oversize(partition int32) {
	w.Helper()
	kafkatest.ProduceOversize(w, runsTopic, partition, kgo.SeedBrokers(w.brokers...))
}

func TestABatchThatDecompressesTooFarIsSkippedWithADeadLetter(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the race detector makes the batches twenty times as slow")
	}
	t.Parallel()
	w := newWorld(t)
	w.oversize(0) // the first of its partition, with nothing after it
	w.oversize(1) // the first, and two more
	w.oversize(1)
	w.produce(runEvent("after1", 1, ""))
	w.oversize(1)
	w.produce(runEvent("before2", 2, "")) // between others
	w.oversize(2)
	w.produce(runEvent("after2", 2, ""))
	w.produce(runEvent("before3", 3, "")) // the last
	w.oversize(3)
	s := w.start(ingest.Config{}, "")
	w.allCommitted()

	want := map[string]bool{}
	for _, place := range []string{"0/0/9", "1/0/9", "1/10/19", "1/21/30", "2/1/10", "3/1/10"} {
		want[place] = true
	}
	letters := w.letters()
	for _, l := range letters {
		first := header(l, event.HeaderOffset)
		var last string
		if _, err := fmt.Sscanf(header(l, event.HeaderDetail), "offsets "+first+" to %s are one compressed batch",
			&last); err != nil {
			t.Errorf("%v: %s", err, header(l, event.HeaderDetail))
		}
		place := header(l, event.HeaderPartition) + "/" + first + "/" + last
		if header(l, event.HeaderError) != "too_large" || l.Value != nil || !want[place] {
			t.Errorf("letter of %s: %v", place, l.Headers)
		}
		delete(want, place)
	}
	if len(want) > 0 || len(letters) != 6 {
		t.Errorf("%d letters, none of %v", len(letters), want)
	}
	if got := w.one(
		"SELECT arrayStringConcat(arraySort(groupArray(run_id)), ' ') FROM runs_latest",
	); got != "after1 after2 before2 before3" {
		t.Errorf("stored %s", got)
	}

	// The partitions are still consumed.
	w.produce(runEvent("later0", 0, ""), runEvent("later3", 3, ""))
	w.allCommitted()
	s.stop()
	if got := w.one("SELECT countIf(run_id LIKE 'later%') FROM runs_latest"); got != "2" {
		t.Errorf("%s of 2 stored later", got)
	}
	// And a stage that starts anew has nothing to do.
	again := w.start(ingest.Config{}, "")
	<-again.ready
	w.produce(runEvent("again", 0, ""))
	w.allCommitted()
	again.stop()
	if got := len(w.letters()); got != 6 {
		t.Errorf("%d letters after a restart", got)
	}
}

func TestDeadLettersAreSentToATopicWithASmallerLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.configure(lettersTopic, "max.message.bytes", "100000")
	records := []*kgo.Record{}
	for i := range 8 { // too large together, not alone
		records = append(records, bare("no JSON "+fmt.Sprint(i)+noise(60_000)))
	}
	records = append(records, bare("no JSON large"+noise(400_000)), withHeaders("no JSON headers", "h", noise(400_000)))
	w.produce(records...)
	s := w.start(ingest.Config{BatchInterval: time.Second}, "")
	w.allCommitted()
	s.stop()
	got := map[string]int{}
	for _, l := range w.letters() {
		got[fmt.Sprintf("value %t, own headers %t", l.Value != nil, header(l, "h") != "")]++
	}
	if fmt.Sprint(got) != "map[value false, own headers false:2 value true, own headers false:8]" {
		t.Errorf("letters: %v", got)
	}
}

// noise returns a text of n bytes that hardly compresses.
func noise(n int) string {
	text, x := make([]byte, n), uint64(1)
	for i := range text {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		text[i] = byte('#' + x>>40%90)
	}
	return string(text)
}
