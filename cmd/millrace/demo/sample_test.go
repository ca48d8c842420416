package demo

import (
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/sample"
)

func TestRunsOfTheSampleStartWhenTheirEventsAreSent(t *testing.T) {
	t.Parallel()
	now := time.Now()
	command := Sample{Rate: 20}
	cfg := command.config("acme", now)
	g := sample.New(cfg)
	var last time.Time
	const events = 20_000
	for range events {
		e, ok := g.Next()
		if !ok {
			t.Fatal("the stream of runs ends")
		}
		if e.Time.After(last) {
			last = e.Time
		}
	}
	sent := now.Add(time.Duration(float64(events) / command.Rate * float64(time.Second)))
	if ahead := last.Sub(sent); ahead.Abs() > 5*time.Minute {
		t.Errorf("after %d events, the newest event is %s ahead of the clock", events, ahead)
	}
	if again := command.config("acme", now.Add(time.Second)); again.Seed == cfg.Seed {
		t.Error("two streams have the same ids")
	}
}
