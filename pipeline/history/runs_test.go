package history

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/runs"
)

// texts are questions, and the texts that are searched in them.
var texts = []string{
	`'; DROP TABLE runs; --`, `back\slash \N \t`, `100 % of _ it`, "Grüße aus ZÜRICH", "grüße AUS zürich",
	"Где мой ЗАКАЗ?", "{workspace:String}",
	"line\nbreak\ttab", `"quoted" and 'quoted'`, "Ünïcödé 👍 done", "what is the refund?", "WHAT IS THE REFUND?", "",
}

func pick[T any](rng *rand.Rand, of []T) T { return of[rng.IntN(len(of))] }

// random fills a fixture with runs of two workspaces that have the same ids, superseded snapshots,
// ties in started_at, and feedback.
func (f *fixture) random(rng *rand.Rand, n int) {
	batches := make([][]*runs.Run, 5)
	var feedback []*runs.Feedback
	ages := []time.Duration{0, time.Minute, 20 * time.Hour, 24 * time.Hour, 15 * 24 * time.Hour, 80 * 24 * time.Hour,
		300 * 24 * time.Hour, 900 * 24 * time.Hour, -time.Hour}
	for i := range n {
		workspace := pick(rng, []string{"acme", "acme", "acme", "umbrella"})
		r := run(fmt.Sprintf("run-%d", i), pick(rng, ages)+time.Duration(rng.IntN(20))*time.Millisecond)
		r.WorkspaceID, r.Source, r.AppID = workspace, pick(rng, []string{"recipe", "copilot"}),
			pick(rng, []string{"app", "app", "app2", "other"})
		for s := range 1 + rng.IntN(3) {
			snapshot := *r
			snapshot.Status = pick(rng, []string{"running", "succeeded", "succeeded", "failed", "cancelled"})
			snapshot.AppVersion = pick(rng, []string{"", "v1", "v1", "v'2", `v\3`, "v,4"})
			snapshot.SessionID = pick(rng, []string{"", "s1", `s'\2`})
			snapshot.Question, snapshot.Answer = pick(rng, texts), pick(rng, texts)
			drawFiltered(rng, &snapshot)
			snapshot.UpdatedAt = r.UpdatedAt.Add(time.Duration(s) * time.Second)
			b := rng.IntN(len(batches))
			batches[b] = append(batches[b], &snapshot)
		}
		for j := range rng.IntN(4) {
			feedback = append(feedback, judgement(r.RunID, fmt.Sprint("f", rng.IntN(2)),
				pick(rng, []string{"thumbsUp", "thumbsDown", ""}), noon.Add(time.Duration(10*i+j)*time.Second),
				func(j *runs.Feedback) {
					score := rng.Float64()
					j.WorkspaceID, j.NodeID, j.Score = pick(rng, []string{workspace, workspace, "umbrella"}),
						pick(rng, []string{"", "", "node"}), &score
					j.Name, j.Tags = pick(rng, []string{"", "", "fair", "it's"}), pick(rng, [][]string{nil, {"a"}, {"b'", "a"}})
					j.Kind, j.NodeRunID = pick(rng, []string{"human", "model", "code"}), pick(rng, []string{"", "", "", "n1"})
				}))
		}
	}
	for _, batch := range batches {
		f.insertRuns(batch...)
	}
	rng.Shuffle(len(feedback), func(i, j int) { feedback[i], feedback[j] = feedback[j], feedback[i] })
	f.insertFeedback(feedback[:len(feedback)/2]...)
	f.insertFeedback(feedback[len(feedback)/2:]...)
}

// maybe draws a filter, most of the time none.
func maybe[T any](rng *rand.Rand, to *T, of ...T) {
	if rng.IntN(4) == 0 {
		*to = pick(rng, of)
	}
}

func TestAListHasTheNewestSnapshotsThatMeetItsFilters(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	seed := rand.Uint64()
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	f.random(rng, 300)
	f.same(Query{Workspace: "acme", Limit: 200})
	f.same(Query{Workspace: "acme", Limit: 7})
	for _, rating := range []string{"thumbsUp", "thumbsDown", "none", "other"} {
		f.same(Query{Workspace: "acme", Filters: filters{Rating: rating}, Limit: 9})
	}
	for _, one := range eachFilter() {
		f.same(Query{Workspace: "acme", Filters: one, Limit: 50})
	}
	for _, text := range append(texts, "%", "_", `\`, `'`, "ÜRI", "заказ", "👍", "nowhere", "\x00") {
		f.same(Query{Workspace: "acme", Filters: filters{Text: text}, Limit: 100})
	}
	draws := 30
	if testing.Short() {
		draws = 8
	}
	for range draws {
		q := Query{Workspace: pick(rng, []string{"acme", "acme", "acme", "umbrella", "nobody"}), Limit: 1 + rng.IntN(60)}
		if rng.IntN(2) == 0 {
			q.Source, q.AppID = pick(rng, []string{"recipe", "copilot"}), pick(rng, []string{"app", "app2", "none"})
		}
		maybe(rng, &q.Source, "recipe", "copilot")
		maybe(rng, &q.AppID, "app", "other")
		maybe(rng, &q.Statuses, []string{"running"}, []string{"failed", "cancelled"}, []string{"succeeded"})
		maybe(rng, &q.AppVersions, []string{""}, []string{"v'2", `v\3`}, []string{"v,4"}, []string{"v1", "none"})
		maybe(rng, &q.Rating, "thumbsUp", "thumbsDown", "none")
		maybe(rng, &q.Text, texts...)
		maybe(rng, &q.SessionID, new("s1"), new(`s'\2`), new(""))
		drawFilters(rng, &q.Filters)
		maybe(rng, &q.RunIDs, []string{"run-1", "run-20", "run-300", "none"}, []string{"run-7"})
		maybe(rng, &q.From, noon.Add(-20*time.Hour), noon.Add(-310*24*time.Hour),
			noon.Add(-5*time.Millisecond-time.Microsecond), time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC))
		maybe(rng, &q.To, noon.Add(-20*time.Hour), noon.Add(-5*time.Millisecond),
			noon.Add(-10*time.Millisecond+time.Nanosecond), time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC))
		f.same(q)
	}
}

func TestRunsThatArriveMeanwhileNeitherRepeatNorHideOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 100 {
		f.runs = append(f.runs, run(fmt.Sprintf("r%03d", 2*i), time.Duration(i/10)*13*time.Hour))
	}
	rows := f.runs
	f.runs = nil
	f.insertRuns(rows...)
	for _, q := range []Query{{Source: "recipe", AppID: "app", Limit: 7}, {Limit: 7},
		{Filters: filters{Statuses: []string{"succeeded"}}, Limit: 9}} {
		q.Workspace = "acme"
		before := f.want(q)
		rng, arrived := rand.New(rand.NewPCG(1, uint64(q.Limit))), map[string]bool{}
		got := f.pages(q, func() {
			id := fmt.Sprintf("r%03d-%d", 2*rng.IntN(100)+1, len(f.runs))
			arrived[id], arrived["new-"+id] = true, true
			f.insertRuns(run(id, time.Duration(rng.IntN(10))*13*time.Hour), run("new-"+id, -time.Minute), run("r000", 0))
		})
		var old []string
		for _, l := range got {
			id, _, _ := strings.Cut(l, " ")
			if !arrived[id] {
				old = append(old, l)
			}
		}
		slices.Sort(got)
		if len(slices.Compact(got)) != len(got) {
			t.Errorf("%+v: a run came twice: %q", q, got)
		}
		if i := differ(old, before); i >= 0 {
			t.Errorf("%+v: at %d:\n got %q\nwant %q", q, i, old[i:], before[i:])
		}
	}
}

func TestRunsAreFoundBehindThousandsOfSupersededSnapshots(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: thousands of runs are work for ClickHouse only")
	}
	f := newFixture(t)
	var running, ended []*runs.Run
	for i := range 3000 {
		r := run(fmt.Sprintf("r%04d", i), time.Duration(i)*time.Second, func(r *runs.Run) { r.Status = "running" })
		running = append(running, r)
		if i%1000 != 999 {
			done := *r
			done.Status, done.UpdatedAt = "succeeded", r.UpdatedAt.Add(time.Second)
			ended = append(ended, &done)
		}
	}
	f.insertRuns(running...)
	f.insertRuns(ended...)
	var feedback []*runs.Feedback
	for i := range 3000 {
		if i%1500 != 7 {
			feedback = append(feedback, judgement(fmt.Sprintf("r%04d", i), "f1", "thumbsDown", noon))
		}
		if i%1500 == 11 {
			feedback = append(feedback, judgement(fmt.Sprintf("r%04d", i), "f2", "thumbsUp", noon))
		} else {
			feedback = append(feedback, judgement(fmt.Sprintf("r%04d", i), "f0", "thumbsUp", noon))
		}
	}
	f.insertFeedback(feedback...)
	for _, app := range []string{"app", ""} {
		for _, q := range []Query{{Filters: filters{Statuses: []string{"running"}}, Limit: 2},
			{Filters: filters{Rating: "thumbsUp"}, Limit: 1}, {Filters: filters{Rating: "none"}, Limit: 1}, {Limit: 200}} {
			q.Workspace, q.AppID = "acme", app
			if app != "" {
				q.Source = "recipe"
			}
			f.same(q)
		}
	}
}

func TestLongTextsAreCutInAList(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	long, exact := strings.Repeat("ü", 2001), strings.Repeat("ü", 2000)
	f.insertRuns(
		run("long", 0, func(r *runs.Run) {
			r.Question, r.Answer, r.Error = long, long, &runs.Error{Type: "timeout", Message: long}
			r.Files = []runs.File{{Name: strings.Repeat("f", 70_000)}, {Name: "g"}}
		}),
		run("exact", time.Second, func(r *runs.Run) {
			r.Question, r.Files = exact,
				[]runs.File{{Name: "f", Direction: "input"}}
		}))
	f.insertFeedback(judgement("long", "f", "thumbsUp", noon, func(j *runs.Feedback) { j.Comment = long }))
	page, err := f.store.Runs(t.Context(), Query{Workspace: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	r := page.Runs[0]
	if r.Question != exact || r.Answer != exact || r.Error.Message != exact || r.Feedback.Comment != exact {
		t.Errorf("lengths %d, %d, %d, %d", len(r.Question), len(r.Answer), len(r.Error.Message), len(r.Feedback.Comment))
	}
	if !r.QuestionTruncated || !r.AnswerTruncated || !r.Feedback.Truncated || r.FilesOmitted != 2 || r.Files == nil ||
		len(r.Files) != 0 {
		t.Errorf("%v %v %v %d %v", r.QuestionTruncated, r.AnswerTruncated, r.Feedback.Truncated, r.FilesOmitted, r.Files)
	}
	if r = page.Runs[1]; r.Question != exact || r.QuestionTruncated || r.FilesOmitted != 0 || len(r.Files) != 1 ||
		r.Files[0] != (File{Name: "f", Direction: "input"}) {
		t.Errorf("%+v", r)
	}
	detail, err := f.store.Run(t.Context(), "acme", "long")
	if err != nil {
		t.Fatal(err)
	}
	if detail.Question != long || detail.Answer != long || len(detail.Files) != 2 || detail.Feedback.Comment != long ||
		detail.QuestionTruncated || detail.Feedback.Truncated {
		t.Error("the detail is cut")
	}
}

func TestTextThatIsNotUTF8IsInNoQuestion(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.insertRuns(run("a", 0, func(r *runs.Run) { r.Question = "ü" }))
	for _, text := range []string{"\xc3", "\xff", "a\xf0\x9f"} {
		if page, err := f.store.Runs(t.Context(), Query{Workspace: "acme", Filters: filters{Text: text}}); err != nil ||
			page.Runs == nil || len(page.Runs) > 0 {
			t.Errorf("%q: %v, %v", text, page, err)
		}
	}
}
