package ingest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/ingest"
)

func TestTheMetricsCountRecordsRowsAndDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := runEvent("old", 1, "")
	old.Timestamp = time.Now().Add(-100 * time.Second)
	node := edited(goodNode, "ID", "n1")
	feedback := edited(goodFeedback, "ID", "f1")
	records := []*kgo.Record{runEvent("r1", 0, ""), runEvent("r2", 0, ""), old, node, feedback, bare("no JSON"),
		bare(`{"type":"dev.millrace.run.v1"}`)}
	bytes := 0
	for _, r := range records {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: "h", Value: []byte("header")})
		bytes += len(r.Key) + len(r.Value) + len("hheader")
	}
	w.produce(records...)
	s := w.start(ingest.Config{BatchInterval: time.Second}, "")
	w.allCommitted()
	w.eventually("the batch to be counted", func() bool { return s.metric("records_total") == float64(len(records)) })
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"bytes_total", nil, float64(bytes)},
		{"rows_total", []string{"table", "runs"}, 3},
		{"rows_total", []string{"table", "nodes"}, 1},
		{"rows_total", []string{"table", "feedback"}, 1},
		{"millrace_dead_letters_total", []string{"code", "invalid_json"}, 1},
		{"millrace_dead_letters_total", []string{"code", "missing_field"}, 1},
		{"millrace_dead_letters_total", nil, 2},
		{"millrace_stage_retries_total", nil, 0},
		{"commit_failures_total", nil, 0},
		{"started_at_conflicts_total", nil, 0},
		{"unknown_fields_total", nil, 0},
		{"clickhouse_up", nil, 1},
	} {
		if got := s.metric(c.name, c.labels...); got != c.want {
			t.Errorf("%s %v is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	for _, name := range []string{"batch_records", "batch_bytes", "batch_seconds", "event_to_queryable_seconds",
		"insert_seconds"} {
		if s.metric(name) == 0 {
			t.Errorf("%s has no observation", name)
		}
	}
	families := s.gather()
	for _, f := range families {
		sum := f.GetMetric()[0].GetHistogram().GetSampleSum()
		switch f.GetName() {
		case "millrace_ingest_event_to_queryable_seconds":
			if sum < 100 || sum > 300 { // of the old record
				t.Errorf("the oldest event waited %v s, want a little over 100", sum)
			}
		case "millrace_ingest_batch_records":
			if sum != float64(len(records)) {
				t.Errorf("%v records in batches, want %d", sum, len(records))
			}
		}
	}
	if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	s.stop()
}

func TestLagIsMeasuredAlsoWhileClickHouseIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := clickhousetest.NewProxy(t, w.server.NativeAddr)
	for range 10 { // retention deletes these before anybody reads them
		w.produce(runEvent("gone", 5, ""))
	}
	if _, err := w.admin.DeleteRecords(t.Context(), kadm.Offsets{runsTopic: {5: {Topic: runsTopic, Partition: 5, At: 10,
		LeaderEpoch: -1}}}); err != nil {
		t.Fatal(err)
	}
	s := w.start(ingest.Config{BatchRows: 1}, proxy.Addr)
	<-s.ready
	proxy.Refuse()
	w.produce(runEvents("r", 240)...)
	w.eventually("the lag to show", func() bool { return s.metric("millrace_consumer_lag_records") == 240 })
	// The first measurement may see records before they are polled, and does not know their age.
	w.eventually("their age to show", func() bool { return s.metric("millrace_consumer_lag_seconds") > 0 })
	if got := s.metric("millrace_consumer_lag_seconds"); got > 12*60 {
		t.Errorf("12 partitions lag by %v s together", got)
	}
	if got := s.metric("millrace_consumer_lag_records", "partition", "5"); got != 20 {
		t.Errorf("partition 5 lags by %v, want 20", got)
	}
	proxy.Pass()
	w.allCommitted()
	w.eventually("the lag to go", func() bool { return s.metric("millrace_consumer_lag_records") == 0 })
	if got := s.series("millrace_consumer_lag_records"); got != 12 {
		t.Errorf("lag of %d partitions, want 12", got)
	}
	s.stop()
	if got := s.series("millrace_consumer_lag_records"); got != 0 {
		t.Errorf("lag of %d partitions that it no longer owns", got)
	}
}

func TestUnknownFieldsAreCountedByNameUpToALimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.produce(runEvent("a", 0, `,"mood":1,"error":{"stack":"s"}`), runEvent("b", 0, `,"mood":2`))
	s := w.start(ingest.Config{}, "")
	w.allCommitted()
	for field, want := range map[string]float64{"mood": 2, "error.stack": 1, "type": 0} {
		if got := s.metric("unknown_fields_total", "field", field); got != want {
			t.Errorf("%s was counted %v times, want %v", field, got, want)
		}
	}
	var fields strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&fields, `,"field%d":0`, i)
	}
	w.produce(runEvent("c", 0, fields.String()), runEvent("d", 0, `,"`+strings.Repeat("x", 1000)+`":0`))
	w.allCommitted()
	s.stop()
	if got := s.series("unknown_fields_total"); got > 101 {
		t.Errorf("%d series", got)
	}
	if got := s.metric("unknown_fields_total"); got != 2+1+1000+1 {
		t.Errorf("counted %v fields in all", got)
	}
}

func TestARunWhoseSortKeyChangesIsCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := func(r *kgo.Record) *kgo.Record {
		r.Value = []byte(strings.Replace(string(r.Value), "10:00:00Z", "10:00:00.001Z", 1))
		return r
	}
	finer := runEvent("finer", 0, "")
	finer.Value = []byte(strings.Replace(string(finer.Value), "10:00:00Z", "10:00:00.000999Z", 1))
	elsewhere := runEvent("elsewhere", 0, "")
	elsewhere.Value = []byte(strings.Replace(string(elsewhere.Value), `"app_id":"a1"`, `"app_id":"a2"`, 1))
	w.produce(runEvent("same", 0, ""), runEvent("same", 0, `,"answer":"x"`), runEvent("finer", 0, ""), finer,
		runEvent("moved", 0, ""), other(runEvent("moved", 0, "")), runEvent("elsewhere", 0, ""), elsewhere,
		edited(goodNode, "ID", "n1"),
		other(edited(goodNode, "ID", "n1")), edited(goodNode, "ID", "n2"))
	s := w.start(ingest.Config{}, "")
	w.allCommitted()
	s.stop()
	if got := s.metric("started_at_conflicts_total"); got != 3 {
		t.Errorf("%v conflicts, want 3", got)
	}
}
