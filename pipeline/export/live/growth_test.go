package live_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/kafka"
)

// grow adds partitions to the topics of exports. Those who publish know them at once.
func (w *world) grow() {
	w.Helper()
	admin := kadm.NewClient(w.client)
	for _, topic := range []string{event.TopicExportRequests, event.TopicExportProgress, event.TopicExportCompletions} {
		if _, err := admin.CreatePartitions(w.Context(), 9, event.DefaultPrefix+topic); err != nil {
			w.Fatal(err)
		}
	}
	w.client = w.newClient()
}

// many are so many exports that each of 12 partitions has some.
const many = 40

func TestAServerConsumesPartitionsThatAreAdded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.growth = 50 * time.Millisecond
	a := w.server()
	w.mustFile(a, "before")
	w.grow()
	requests := live.Requests{Producer: w.client, TopicPrefix: event.DefaultPrefix, Source: "test", Timeout: time.Minute}
	name := func(i int) string { return fmt.Sprint("e", i) }
	for i := range many {
		_, document := request(t, name(i), "n")
		if err := requests.File(t.Context(), id(name(i)), document); err != nil {
			t.Fatal(err)
		}
	}
	for i := range many {
		w.status(a, name(i), export.StatusAccepted)
	}
	for i := range many {
		w.end(w.plan(name(i), time.Now()), export.StatusSucceeded)
	}
	for i := range many {
		w.status(a, name(i), export.StatusSucceeded)
	}
	w.status(a, "before", export.StatusAccepted)
}

func TestAFollowerConsumesPartitionsThatAreAdded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var names []string
	var ids []export.ID
	for i := range many {
		names = append(names, fmt.Sprint("e", i))
		ids = append(ids, id(names[i]))
	}
	cfg := kafka.Config{TopicPrefix: event.DefaultPrefix, Growth: 50 * time.Millisecond,
		Options: []kgo.Opt{kgo.SeedBrokers(w.kafka.ListenAddrs()...)}}
	f, err := live.Follow(t.Context(), cfg, false, ids...)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w.grow()
	for _, name := range names {
		w.end(w.plan(name, time.Now()), export.StatusSucceeded)
	}
	ended := 0
	if err := f.Wait(t.Context(), func(*export.State) error { ended++; return nil }); err != nil || ended != many {
		t.Errorf("%d exports have ended, %v", ended, err)
	}
}

// A broker that does not say which partitions there are does not end the waiting.
func TestAFollowerWaitsOnWhereKafkaDoesNotSayWhatHasGrown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := kafka.Config{TopicPrefix: event.DefaultPrefix, Growth: 20 * time.Millisecond,
		Options: []kgo.Opt{kgo.SeedBrokers(w.kafka.ListenAddrs()...)}}
	f, err := live.Follow(t.Context(), cfg, false, id("e"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	asked := make(chan struct{}, 1000)
	w.kafka.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		select {
		case asked <- struct{}{}:
		default:
		}
		return nil, errors.New("not now"), true
	})
	ended := make(chan error, 1)
	go func() { ended <- f.Wait(t.Context(), func(*export.State) error { return nil }) }()
	<-asked
	<-asked
	w.end(w.plan("e", time.Now()), export.StatusSucceeded)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
