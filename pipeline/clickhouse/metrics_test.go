package clickhouse_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/pipeline/clickhouse"
)

func TestATimerCountsTheQueriesOfAStageByOutcome(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	m := clickhouse.NewMetrics(registry)
	dsn, err := clickhouse.ParseDSN("clickhouse://127.0.0.1:1/db") // nobody listens there
	if err != nil {
		t.Fatal(err)
	}
	ofPlan := dsn.Measured(m, "plan")
	plan, seal := ofPlan.Timer(), dsn.Measured(m, "seal").Timer()
	plan.Init("count", "freeze")
	seal.Init("drop")
	errQuery := errors.New("query failed")
	for _, err := range []error{nil, nil, errQuery, fmt.Errorf("query: %w", context.Canceled), context.DeadlineExceeded} {
		got := plan.Time(t.Context(), "count", func() error { return err })
		if got != err { //nolint:errorlint // it is the same
			t.Errorf("the query returned %v, and Time %v", err, got)
		}
	}
	seal.Start(t.Context(), "drop")(nil)
	if _, err := ofPlan.Dial(t.Context()); err == nil {
		t.Error("connected to nobody")
	}
	want := map[string]uint64{
		"plan count ok": 2, "plan count error": 2, "plan count cancelled": 1,
		"plan freeze ok": 0, "plan freeze error": 0, "plan freeze cancelled": 0,
		"seal drop ok": 1, "seal drop error": 0, "seal drop cancelled": 0,
		"plan connect ok": 0, "plan connect error": 1, "plan connect cancelled": 0,
		"seal connect ok": 0, "seal connect error": 0, "seal connect cancelled": 0,
	}
	got := counts(t, registry)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// counts returns the number of queries by stage, query and outcome.
func counts(t *testing.T, registry *prometheus.Registry) map[string]uint64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]uint64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			list[labels["stage"]+" "+labels["query"]+" "+labels["outcome"]] = m.GetHistogram().GetSampleCount()
		}
	}
	return list
}

func TestWithoutMetricsATimerOnlyRunsTheQuery(t *testing.T) {
	t.Parallel()
	errQuery := errors.New("query failed")
	timer := (*clickhouse.DSN)(nil).Timer()
	timer.Init("count")
	if err := timer.Time(t.Context(), "count", func() error { return errQuery }); !errors.Is(err, errQuery) {
		t.Error(err)
	}
}
