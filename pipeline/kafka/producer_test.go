package kafka_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/strictjson"
)

func TestTheCheckerRefusesAnUpdatedAtThatIngestWouldRefuse(t *testing.T) {
	t.Parallel()
	check := func(limits event.Limits, ahead time.Duration) strictjson.Code {
		c := kafka.Checker{Limits: limits}
		_, _, err := c.Record(fmt.Appendf(nil, `{"type":"dev.millrace.feedback.v1","workspace_id":"acme","run_id":"r1",
			"feedback_id":"f1","rating":"thumbsUp","updated_at":%q}`, time.Now().UTC().Add(ahead).Format(time.RFC3339Nano)))
		refusal := &strictjson.Refusal{}
		errors.As(err, &refusal)
		return refusal.Code
	}
	for _, c := range []struct {
		skew, ahead time.Duration
		want        strictjson.Code
	}{
		{0, -time.Hour, ""}, {0, 23 * time.Hour, ""}, {0, 25 * time.Hour, strictjson.ClockSkew},
		{time.Hour, 30 * time.Minute, ""}, {time.Hour, 2 * time.Hour, strictjson.ClockSkew},
	} {
		if got := check(event.Limits{Skew: c.skew}, c.ahead); got != c.want {
			t.Errorf("%s ahead with a limit of %s: %q, want %q", c.ahead, c.skew, got, c.want)
		}
	}
}
