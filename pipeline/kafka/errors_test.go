package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestAnErrorThatOnlyAnOperatorCanFixIsPermanentAndExplainsHow(t *testing.T) {
	t.Parallel()
	cfg := &Config{Name: "track", TopicPrefix: "t."}
	for _, c := range []struct {
		err       error
		permanent bool
		access    bool
		texts     []string // of what Explain returns
	}{
		{kerr.TopicAuthorizationFailed, true, true, []string{"kafka refused access", "READ", "WRITE",
			"topic t.a, topic t.b"}},
		{kerr.GroupAuthorizationFailed, true, true, []string{"kafka refused access", "READ on group t.track"}},
		{kerr.TransactionalIDAuthorizationFailed, true, true, []string{"kafka refused access",
			"WRITE on the transactional ids"}},
		{kerr.ClusterAuthorizationFailed, true, true, []string{"kafka refused access", "IDEMPOTENT_WRITE"}},
		{kerr.SaslAuthenticationFailed, true, true, []string{"kafka refused access", "password"}},
		{kerr.UnknownTopicID, true, false, []string{"topic t.a", "recreated", "start again"}},
		{kerr.InconsistentTopicID, true, false, []string{"topic t.a", "recreated", "start again"}},
		{Permanent(errors.New("marked")), true, false, []string{"marked"}},
		{Unavailable(errors.New("marked")), false, false, nil},
		{kerr.UnknownTopicOrPartition, false, false, nil},
		{kerr.NotLeaderForPartition, false, false, nil},
		{kerr.RequestTimedOut, false, false, nil},
		{kerr.RebalanceInProgress, false, false, nil},
		{kerr.InvalidProducerEpoch, false, false, nil},
		{context.DeadlineExceeded, false, false, nil},
		{nil, false, false, nil},
	} {
		err := c.err
		if err != nil {
			err = fmt.Errorf("wrapped: %w", err)
		}
		if IsPermanent(err) != c.permanent {
			t.Errorf("%v: permanent is %t", err, !c.permanent)
		}
		got := cfg.Explain(err, "t.a", "t.b")
		if !errors.Is(got, c.err) || IsPermanent(got) != c.permanent || errors.Is(got, ErrAccess) != c.access {
			t.Errorf("%v: explained as %v", err, got)
		}
		for _, text := range c.texts {
			if !strings.Contains(got.Error(), text) {
				t.Errorf("%v: %q does not contain %q", err, got, text)
			}
		}
		if again := cfg.Explain(got, "t.a", "t.b"); again != nil && again.Error() != got.Error() {
			t.Errorf("explained twice: %v", again)
		}
	}
}

func TestErrorsOfAPollAreClassified(t *testing.T) {
	t.Parallel()
	oversize := &kgo.ErrDecompressTooLarge{Topic: "t.in", Partition: 3, Offset: 7, NextOffset: 9}
	for name, c := range map[string]struct {
		err  error
		want string
		logs string
	}{
		"an oversize batch":        {oversize, "oversize", ""},
		"access refused":           {kerr.TopicAuthorizationFailed, "permanent", ""},
		"the end of the wait":      {context.DeadlineExceeded, "", ""},
		"the end of the consumer":  {context.Canceled, "", ""},
		"the end of the client":    {kgo.ErrClientClosed, "", ""},
		"records that Kafka lost":  {&kgo.ErrDataLoss{Topic: "t.in", Partition: 3}, "", "kafka lost records"},
		"a group that forgot it":   {&kgo.ErrGroupSession{Err: kerr.UnknownMemberID}, "", "joins again"},
		"a batch that is no batch": {errors.New("unable to decompress batch"), "transient", "trying again"},
		"a group that refuses it":  {&kgo.ErrGroupSession{Err: kerr.GroupAuthorizationFailed}, "permanent", ""},
	} {
		var log strings.Builder
		cfg := &Config{Name: "test", Log: slog.New(slog.NewTextHandler(&log, nil))}
		faults := cfg.Faults(t.Context(), nil, kgo.Fetches{{Topics: []kgo.FetchTopic{{
			Topic: "t.in", Partitions: []kgo.FetchPartition{{Partition: 3, Err: c.err}},
		}}}})
		got := ""
		switch {
		case len(faults.Oversize) > 0:
			got = "oversize"
		case faults.Permanent != nil:
			got = "permanent"
		case len(faults.Transient) > 0:
			got = "transient"
		}
		if got != c.want {
			t.Errorf("%s is %q, want %q", name, got, c.want)
		}
		if logs := log.String(); !strings.Contains(logs, c.logs) || c.logs == "" && logs != "" {
			t.Errorf("%s: the log is %q, want %q", name, logs, c.logs)
		}
	}
}
