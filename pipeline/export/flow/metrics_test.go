package flow_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/runs"
)

// metric returns the value of a metric, summed over the series with these labels, given in pairs of
// name and value; of a histogram the count. It is -1 without such a series.
func (f *flow) metric(name string, labels ...string) float64 {
	f.t.Helper()
	families, err := f.metrics.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	sum, found := 0.0, false
	for _, family := range families {
		for _, m := range family.GetMetric() {
			has := map[string]string{}
			for _, l := range m.GetLabel() {
				has[l.GetName()] = l.GetValue()
			}
			matches := family.GetName() == "millrace_"+name
			for i := 0; i < len(labels); i += 2 {
				matches = matches && has[labels[i]] == labels[i+1]
			}
			if matches {
				found = true
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	if !found {
		return -1
	}
	return sum
}

func TestExportsAreCountedByPurposeTargetAndOutcome(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.windowRecords = 150
	f.insertRuns(301, func(i int, r *runs.Run) {
		if i%7 != 0 {
			r.Answer = "an answer"
		}
	})
	f.start()
	ask := func(id, purpose, fields string) {
		f.send(strings.Replace(request(id, fields), "export_dataset", purpose, 1))
	}
	ask("first", "export_dataset", limit1000)
	all := f.completion("first") // and that of another request, after-first
	ask("first", "export_dataset", limit1000)
	ask("first", "export_dataset", `,"selection":{"limit":3}`)
	f.deadLetter(0)
	f.send(`{"type":"dev.millrace.export.cancelled.v1","workspace_id":"acme","export_id":"first"}`)
	ask("tuning", "fine_tuning", limit1000)
	tuning := f.completion("tuning")
	ask("refused", "fine_tuning", `,"selection":{"limit":0}`)
	f.completion("refused")
	ask("unknown", "no_purpose", limit1000)
	unknown := f.completion("unknown")

	dropped := 0.0
	for _, n := range tuning.Dropped {
		dropped += float64(n)
	}
	if dropped == 0 {
		t.Fatal("the export for fine-tuning dropped nothing")
	}
	after := 4.0 // exports of one run each, see completion
	for _, c := range []struct {
		name, labels string
		want         float64
	}{
		{"export_requests_total", "purpose=export_dataset outcome=accepted", 1 + after},
		{"export_requests_total", "purpose=export_dataset outcome=repeated", 1},
		{"export_requests_total", "purpose=export_dataset outcome=conflict", 1},
		{"export_requests_total", "purpose=export_dataset outcome=cancelled", 0}, // it had ended
		{"export_requests_total", "purpose=fine_tuning outcome=accepted", 1},
		{"export_requests_total", "purpose=fine_tuning outcome=refused", 1},
		{"export_requests_total", "purpose=other outcome=refused", 1},
		{"export_windows_total", "purpose=export_dataset outcome=done", 3 + after},
		{"export_windows_total", "outcome=failed", 0},
		{"export_records_total", "purpose=export_dataset target=canonical format=jsonl", float64(all.Records) + after},
		{"export_records_total", "purpose=fine_tuning target=openai_chat format=jsonl", float64(tuning.Records)},
		{"export_fragments_total", "purpose=export_dataset", float64(all.Fragments) + after},
		{"export_fragments_total", "purpose=fine_tuning", float64(tuning.Fragments)},
		{"export_bytes_total", "purpose=fine_tuning", float64(tuning.Bytes)},
		{"export_dropped_total", "purpose=fine_tuning", dropped},
		{"export_dropped_total", "purpose=fine_tuning reason=other", 0},
		{"export_dropped_total", "purpose=export_dataset", 0},
		{"exports_completed_total", "purpose=export_dataset status=succeeded error_code=", 1 + after},
		{"exports_completed_total", "purpose=fine_tuning status=failed error_code=out_of_range", 1},
		{"exports_completed_total", "purpose=other status=failed error_code=" + unknown.ErrorCode, 1},
		{"exports_completed_total", "error_code=other", 0},
		{"export_duration_seconds", "purpose=export_dataset size_class=under_10k status=succeeded", 1 + after},
		{"export_duration_seconds", "size_class=over_1m", 0},
		{"dead_letters_total", "stage=plan code=export_id_conflict", 1},
		{"dead_letters_total", "", 1},
		{"stage_errors_total", "class=row", 1},
		{"stage_errors_total", "class=retry", 0},
		{"stage_errors_total", "class=stop", 0},
		{"stage_in_flight", "stage=plan", 0},
		{"stage_slots", "stage=plan", 1},
		{"stage_wait_seconds", "stage=extract", 3 + 3}, // windows of both large exports
		{"stage_wait_seconds", "stage=extract-direct", after},
	} {
		var labels []string
		for _, l := range strings.Fields(c.labels) {
			name, value, _ := strings.Cut(l, "=")
			labels = append(labels, name, value)
		}
		got := f.metric(c.name, labels...)
		for deadline := time.Now().Add(time.Minute); got != c.want && time.Now().Before(deadline); {
			got = f.metric(c.name, labels...) // a record is counted after its transaction
		}
		if got != c.want {
			t.Errorf("%s{%s} is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	for _, stage := range []string{"plan", "extract", "extract-direct", "seal"} {
		if got := f.metric("stage_transactions_total", "stage", stage, "outcome", "committed"); got <= 0 {
			t.Errorf("stage %s committed %v transactions", stage, got)
		}
	}
}
