package purposes

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/export"
)

// mathRun is a run of the recipe, as its events told.
type mathRun struct {
	id, question, answer, version string
	right                         bool
}

// mathRuns are the recipe's runs by question.
func mathRuns(t *testing.T, file string) map[string][]mathRun {
	t.Helper()
	questions := map[string][]mathRun{}
	for id, r := range e2etest.SourceRecords(t, file) {
		text := func(key string) string { return fmt.Sprint(r[key]) }
		run := mathRun{id, text("question"), text("answer"), text("app_version"),
			fmt.Sprint(r["feedback"].(object)["score"]) == "1.0"}
		question := strings.Join(strings.Fields(run.question), " ")
		questions[question] = append(questions[question], run)
	}
	return questions
}

// What the recipe's runs are worth for evaluation and training, held against the events themselves.
func TestVersionsOfTheRecipeAreComparedPairedAndLearntFrom(t *testing.T) {
	t.Parallel()
	files := map[e2etest.RealApp]string{e2etest.MathTutor: e2etest.Shared(t, e2etest.MathTutor.File),
		e2etest.Airline: e2etest.Shared(t, e2etest.Airline.File)}
	s := newRealSite(t, files)
	questions := mathRuns(t, files[e2etest.MathTutor])
	batch := e2etest.NewBatch(t, s)
	ask := func(id string, fields object) { askForAll(t, batch, e2etest.MathTutor, id, all, fields) }
	ask("evaluation", object{"purpose": "recipe_evaluation"})
	ask("pairs", object{"purpose": "fine_tuning", "target": "openai_dpo"})
	ask("right", object{"purpose": "fine_tuning", "filters": object{"min_score": 1}})
	ask("right-all", object{"purpose": "fine_tuning", "filters": object{"min_score": 1},
		"options": object{"dedupe": false}})
	ask("split", object{"purpose": "recipe_evaluation", "split": object{"validation": 0.2, "test": 0.1, "seed": 7}})
	ask("split-pairs", object{"purpose": "fine_tuning", "target": "trl_dpo", "split": object{"validation": 0.2,
		"test": 0.1, "seed": 7}})
	ended := batch.Wait(t)
	of := func(id string) *export.Completion { return succeeded(t, ended, id) }
	compared(t, e2etest.RecordsOf(t, of("evaluation")), questions)
	paired(t, of("pairs"), questions)
	c := of("right")
	answers, rightRuns, solved := map[string]bool{}, int64(0), int64(0)
	for _, runs := range questions {
		any := false
		for _, r := range runs {
			if r.right {
				answers[r.answer], any = true, true
				rightRuns++
			}
		}
		if any {
			solved++
		}
	}
	for _, record := range e2etest.RecordsOf(t, c) {
		messages := record["messages"].([]any)
		if answer := messages[len(messages)-1].(object)["content"].(string); !answers[answer] {
			t.Errorf("a wrong answer is learnt: %s", answer)
		}
	}
	if c.Records != solved || of("right-all").Records != rightRuns || solved == 0 {
		t.Errorf("%d and %d records, want one for each of %d solved questions, and for each of %d right runs", c.Records,
			of("right-all").Records, solved, rightRuns)
	}
	unmixed(t, of("split"), func(r object) string { return r["inputs"].(object)["question"].(string) })
	unmixed(t, of("split-pairs"), func(r object) string { return r["prompt"].([]any)[0].(object)["content"].(string) })
}

// compared holds the comparison of all records against the source.
func compared(t *testing.T, records []object, questions map[string][]mathRun) {
	t.Helper()
	groups := map[string][]object{}
	for _, r := range records {
		comparison := r["comparison"].(object)
		groups[comparison["input_group"].(string)] = append(groups[comparison["input_group"].(string)], r)
	}
	if len(groups) != len(questions) || len(records) != 5276 {
		t.Errorf("%d records in %d groups, want %d groups", len(records), len(groups), len(questions))
	}
	for group, members := range groups {
		runs := questions[strings.Join(strings.Fields(members[0]["inputs"].(object)["question"].(string)), " ")]
		slices.SortFunc(members, func(a, b object) int { return int(rankOf(a) - rankOf(b)) })
		right, versions := 0, map[string]bool{}
		for _, r := range runs {
			versions[r.version] = true
			if r.right {
				right++
			}
		}
		if len(members) != len(runs) || len(versions) != 4 {
			t.Errorf("group %s has %d members of %d versions, want %d of four", group, len(members), len(versions), len(runs))
		}
		for i, m := range members {
			comparison := m["comparison"].(object)
			names := map[string]bool{}
			for _, v := range comparison["versions"].([]any) {
				names[v.(string)] = true
			}
			score, _ := m["feedback"].(object)["score"].(json.Number).Float64()
			if rankOf(m) != int64(i+1) || (score == 1) != (i < right) || !maps.Equal(names, versions) ||
				fmt.Sprint(comparison["runs_in_group"]) != fmt.Sprint(len(runs)) ||
				comparison["best_version"] != members[0]["app_version"] {
				t.Fatalf("run %v, %d. of its group with score %v, has %v; %d of %d are right", m["run_id"], i+1, score, comparison,
					right, len(runs))
			}
		}
	}
}

func rankOf(r object) int64 {
	n, _ := r["comparison"].(object)["rank"].(json.Number).Int64()
	return n
}

// paired holds the preference pairs against the source: one for each question with a right and a
// wrong answer.
func paired(t *testing.T, c *export.Completion, questions map[string][]mathRun) {
	t.Helper()
	mixed := map[string]map[string]bool{} // question to its answers, and whether they are right
	for question, runs := range questions {
		answers, right := map[string]bool{}, 0
		for _, r := range runs {
			answers[r.answer] = answers[r.answer] || r.right
			if r.right {
				right++
			}
		}
		if right > 0 && right < len(runs) {
			mixed[question] = answers
		}
	}
	seen := map[string]bool{}
	for _, r := range e2etest.RecordsOf(t, c) {
		messages := r["input"].(object)["messages"].([]any)
		question := strings.Join(strings.Fields(messages[len(messages)-1].(object)["content"].(string)), " ")
		preferred := r["preferred_output"].([]any)[0].(object)["content"].(string)
		rejected := r["non_preferred_output"].([]any)[0].(object)["content"].(string)
		answers := mixed[question]
		wrong, isThere := answers[rejected]
		if seen[question] || !answers[preferred] || !isThere || wrong {
			t.Errorf("pair of %q: seen before %t, preferred is right %t, rejected is right %t", question, seen[question],
				answers[preferred], wrong)
		}
		seen[question] = true
	}
	if len(seen) != len(mixed) || len(mixed) == 0 || c.RowsUsed != 2*int64(len(mixed)) {
		t.Errorf("%d pairs of %d rows, want %d", len(seen), c.RowsUsed, len(mixed))
	}
}

// unmixed checks that no question is in two splits, and that all splits have some.
func unmixed(t *testing.T, c *export.Completion, question func(object) string) {
	t.Helper()
	var m export.Manifest
	if err := json.Unmarshal(e2etest.ReadObject(t, c, export.ManifestName), &m); err != nil {
		t.Fatal(err)
	}
	splits, counts := map[string]string{}, map[string]int{}
	for _, f := range m.Files {
		if f.Kind != export.Data {
			continue
		}
		for _, r := range e2etest.JSONLines(t, string(e2etest.ReadObject(t, c, f.Key))) {
			q := strings.Join(strings.Fields(question(r)), " ")
			if there := splits[q]; there != "" && there != f.Split {
				t.Errorf("%s: %q is in %s and in %s", c.ExportID, q, there, f.Split)
			}
			splits[q] = f.Split
		}
		counts[f.Split]++
	}
	if counts["train"] == 0 || counts["validation"] == 0 || counts["test"] == 0 {
		t.Errorf("%s: files of %v", c.ExportID, counts)
	}
}
