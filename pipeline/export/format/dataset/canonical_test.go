package dataset_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

// canonicalKeys are the keys of a record in their contractual order.
var canonicalKeys = strings.Fields(
	`id run_id request_id source app_id app_name app_version session_id user_id trigger status
	started_at ended_at updated_at latency_ms question inputs system_inputs messages tools answer outputs reference error
		files feedback scores judgements
	model usage cost_usd metadata trace_id`)

func TestCanonicalRecordsHoldTheRun(t *testing.T) {
	t.Parallel()
	f := newCanonical(t)
	var buf []byte // reused, as the stage does
	for _, test := range formattest.CanonicalRows() {
		out, drop, err := f.Append(buf[:0], test.Row)
		if err != nil || drop != "" {
			t.Fatalf("%s: dropped as %q, %v", test.Name, drop, err)
		}
		if keys := formattest.KeysOf(t, out); !reflect.DeepEqual(keys, canonicalKeys) {
			t.Errorf("%s: keys %v", test.Name, keys)
		}
		if bytes.ContainsAny(out, "\n\r") {
			t.Errorf("%s: a line break in the record", test.Name)
		}
		var got map[string]any
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%s: %v in %.300s", test.Name, err, out)
		}
		want := wantCanonical(t, test.Row)
		for _, key := range canonicalKeys {
			if !reflect.DeepEqual(got[key], want[key]) {
				t.Errorf("%s: %s is %.200v, want %.200v", test.Name, key, got[key], want[key])
			}
		}
		buf = out
	}
}

func TestCanonicalRecordsExtendTheBuffer(t *testing.T) {
	t.Parallel()
	row := formattest.CanonicalRows()[0].Row
	alone, _, _ := newCanonical(t).Append(nil, row)
	both, _, _ := newCanonical(t).Append([]byte("before\n"), row)
	if string(both) != "before\n"+string(alone) {
		t.Errorf("%s", both)
	}
}

func TestCanonicalGolden(t *testing.T) {
	t.Parallel()
	f := newCanonical(t)
	var got []byte
	for _, test := range formattest.CanonicalRows() {
		if len(test.Row.Question) > 1000 {
			continue
		}
		got, _, _ = f.Append(got, test.Row)
		got = append(got, '\n')
	}
	formattest.Golden(t, "dataset_canonical.jsonl", got)
}

func TestCanonicalAllocatesNothing(t *testing.T) {
	f := newCanonical(t)
	row := formattest.MathRow()
	buf := make([]byte, 0, 1<<14)
	if n := testing.AllocsPerRun(100, func() { _, _, _ = f.Append(buf[:0], row) }); n != 0 {
		t.Errorf("%v allocations a record", n)
	}
}

func BenchmarkCanonical(b *testing.B) {
	for _, bench := range []struct {
		name string
		row  *record.Row
	}{{"math", formattest.MathRow()}, {"full", formattest.FullRow()}, {"empty", formattest.EmptyRow()},
		{"text1MiB", formattest.HugeRow()}} {
		b.Run(bench.name, func(b *testing.B) {
			f := newCanonical(b)
			out, _, _ := f.Append(nil, bench.row)
			b.SetBytes(int64(len(out)))
			b.ReportAllocs()
			for b.Loop() {
				out, _, _ = f.Append(out[:0], bench.row)
			}
		})
	}
}

func newCanonical(t testing.TB) format.RowFormatter {
	return formattest.NewRowFormatter(t, format.ExportDataset, record.Canonical, nil)
}

// wantCanonical is the record that encoding/json should read, written without the code under test.
func wantCanonical(t *testing.T, r *record.Row) map[string]any {
	t.Helper()
	text := func(b []byte) any {
		if len(b) == 0 {
			return nil
		}
		return string(b)
	}
	doc := func(b []byte) (v any) {
		if len(b) > 0 {
			if err := json.Unmarshal(b, &v); err != nil {
				t.Fatal(err)
			}
		}
		return v
	}
	integer := func(n record.Null[int64]) any {
		if !n.Valid {
			return nil
		}
		return float64(n.Value)
	}
	float := func(n record.Null[float64]) any {
		if !n.Valid {
			return nil
		}
		return n.Value
	}
	at := func(ms int64) any { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }
	want := map[string]any{
		"id": uuid.NewSHA1(uuid.MustParse("b0759858-e76b-5bf2-83cd-2b119a052fbf"),
			[]byte(string(r.WorkspaceID)+"/"+string(r.RunID)+"//export_dataset/canonical")).String(),
		"run_id": text(r.RunID), "request_id": text(r.RequestID), "source": text(r.Source), "app_id": text(r.AppID),
		"app_name": text(r.AppName), "app_version": text(r.AppVersion), "session_id": text(r.SessionID),
		"user_id": text(r.UserID),
		"trigger": text(r.Trigger), "status": text(r.Status), "started_at": at(r.StartedAt), "ended_at": nil,
		"updated_at": at(r.UpdatedAt),
		"latency_ms": nil, "question": text(r.Question), "inputs": doc(r.Inputs), "system_inputs": doc(r.SystemInputs),
		"messages": doc(r.Messages), "tools": doc(r.Tools), "answer": text(r.Answer), "outputs": doc(r.Outputs),
		"reference": text(r.Reference),
		"error":     nil, "feedback": nil, "model": text(r.Model), "usage": nil, "cost_usd": float(r.CostUSD),
		"trace_id": text(r.TraceID),
	}
	if r.EndedAt.Valid {
		want["ended_at"], want["latency_ms"] = at(r.EndedAt.Value), float64(r.EndedAt.Value-r.StartedAt)
	}
	if len(r.ErrorType)+len(r.ErrorMessage) > 0 {
		want["error"] = map[string]any{"type": text(r.ErrorType), "message": text(r.ErrorMessage)}
	}
	files := []any{}
	for _, f := range r.Files {
		files = append(files, map[string]any{"file_id": text(f.FileID), "name": text(f.Name), "uri": text(f.URI),
			"content_type": text(f.ContentType), "size_bytes": integer(f.SizeBytes), "direction": text(f.Direction)})
	}
	want["files"] = files
	list := func(texts [][]byte) []any {
		all := []any{}
		for _, tag := range texts {
			all = append(all, string(tag))
		}
		return all
	}
	scores, judgements := []any{}, []any{}
	if f := r.Feedback; r.HasFeedback {
		want["feedback"] = map[string]any{"rating": text(f.Rating), "score": float(f.Score),
			"comment": text(f.Comment), "tags": list(f.Tags), "corrected_answer": text(f.CorrectedAnswer)}
		score := func(name string, value float64, label any) {
			scores = append(scores, map[string]any{"name": name, "value": value, "label": label})
		}
		if f.Score.Valid {
			score("score", f.Score.Value, nil)
		}
		switch string(f.Rating) {
		case "thumbsUp":
			score("rating", 1, "thumbsUp")
		case "thumbsDown":
			score("rating", 0, "thumbsDown")
		}
		for _, s := range f.Scores {
			score(string(s.Name), s.Value, text(s.Label))
		}
		for _, j := range f.Judgements {
			given := any(nil)
			if j.CreatedAt.Valid {
				given = at(j.CreatedAt.Value)
			}
			judgements = append(judgements, map[string]any{"feedback_id": text(j.FeedbackID), "name": text(j.Name),
				"kind": text(j.Kind), "rating": text(j.Rating), "score": float(j.Score), "comment": text(j.Comment),
				"tags": list(j.Tags), "corrected_answer": text(j.CorrectedAnswer), "created_by": text(j.CreatedBy),
				"created_at": given})
		}
	}
	want["scores"], want["judgements"] = scores, judgements
	if r.InputTokens.Valid || r.OutputTokens.Valid {
		want["usage"] = map[string]any{"input_tokens": integer(r.InputTokens), "output_tokens": integer(r.OutputTokens)}
	}
	metadata := map[string]any{}
	for _, p := range r.Metadata {
		metadata[string(p.Key)] = string(p.Value)
	}
	want["metadata"] = metadata
	return want
}

func TestARecordShowsTheNewestThousandJudgementsAndWarnsOfOthers(t *testing.T) {
	t.Parallel()
	f := newCanonical(t)
	for n, want := range map[int][]string{
		record.MaxJudgements: nil, record.MaxJudgements + 1: {record.JudgementsLeftOut},
	} {
		row := &record.Row{RunID: []byte("r"), HasFeedback: true}
		row.Feedback.Judgements = make([]record.Judgement, n)
		out, drop, err := f.Append(nil, row)
		var got struct {
			Judgements []any `json:"judgements"`
		}
		if err != nil || drop != "" || json.Unmarshal(out, &got) != nil || len(got.Judgements) != record.MaxJudgements {
			t.Errorf("of %d judgements it shows %d: %q, %v", n, len(got.Judgements), drop, err)
		}
		if codes := f.(format.Warner).Warnings(row); !reflect.DeepEqual(codes, want) {
			t.Errorf("of %d judgements: %q, want %q", n, codes, want)
		}
	}
}
