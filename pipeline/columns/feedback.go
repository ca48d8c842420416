package columns

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline/runs"
)

// MaxJudgements is how many judgements a reader shows of a run at most, the newest.
const MaxJudgements = 1000

// Elements of the arrays feedback_scores and feedback_judgements.
var (
	// Scores has the newest score of each name.
	Scores = []Column[runs.Feedback]{
		{"name", String, nil}, {"value", NullableFloat64, nil}, {"label", String, nil},
	}
	// Judgements has the judgements as they were given.
	Judgements = []Column[runs.Feedback]{
		{"feedback_id", String, nil}, {"name", String, nil}, {"kind", String, nil}, {"rating", String, nil},
		{"score", NullableFloat64, nil}, {"comment", String, nil}, {"tags", Strings, nil},
		{"corrected_answer", String, nil}, {"created_by", String, nil}, {"created_at", NullableMilliseconds, nil},
	}
)

// OnRun is the condition on rows of table feedback that are about a whole run.
const OnRun = "node_id = '' AND node_run_id = ''"

// Merge says what the SQL of merged feedback has beside its fields.
type Merge struct {
	Judgements Form // of feedback_judgements
	OfNodes    bool // judged also says of which node and node run each judgement is
}

// Form is a form in which feedback_judgements has the judgements on a run.
type Form int

// Forms of judgements. A Packed text has a row of RowBinary, with the elements of [Judgements], for
// each judgement. To join and to store it costs a fraction of what an array of tuples costs.
const (
	None  Form = iota // there is no such column
	Array             // an array, see [Judgements]
	Packed
)

// judgement returns the elements of a judgement that a merge reads.
func (m Merge) judgement() []Column[runs.Feedback] {
	if m.Judgements == Array {
		return Judgements
	}
	return slices.DeleteFunc(slices.Clone(Judgements), func(c Column[runs.Feedback]) bool {
		return c.Name == "kind" || strings.HasPrefix(c.Name, "created_")
	})
}

// packed packs a row of table feedback.
func packed() string {
	names := make([]string, len(Judgements))
	for i, c := range Judgements {
		names[i] = c.Name
	}
	return "formatRow('RowBinary', " + strings.Join(names, ", ") + ")"
}

// Judged returns a query of table feedback that has a row for each value of key, the names of
// columns, and what was judged there as the array judged. The array is in the order of the merge: a
// person's judgements before a model's or code's, and the newest first. Where is the condition on
// the rows.
//
// The array is sorted once, and every field is found in it. argMax for each field takes as long for
// two judgements and longer for more; over a tuple it takes far longer.
func (m Merge) Judged(key, where string) string {
	values, types := []string{"kind = 'human'", "version"}, []string{"human UInt8", "version UInt64"}
	var judgement []string
	for _, c := range m.judgement() {
		if TypeOf(Feedback, c.Name) == LowCardinality {
			judgement = append(judgement, "toString("+c.Name+")")
		} else {
			judgement = append(judgement, c.Name)
		}
	}
	values = append(values, "tuple("+strings.Join(judgement, ", ")+")", "ingested_at")
	of := string(ArrayOf(m.judgement()))
	types = append(types, "judgement "+of[len("Array("):len(of)-len(")")], "ingested_at "+string(Microseconds))
	if m.OfNodes {
		values = append(values, "toString(node_id)", "node_run_id")
		types = append(types, "node_id String", "node_run_id String")
	}
	if m.Judgements == Packed {
		values = append(values, packed())
		types = append(types, "packed String")
	}
	return fmt.Sprintf("SELECT %s, CAST(arrayReverseSort(groupArray((%s))), '%s') AS judged\n"+
		"FROM feedback FINAL WHERE %s GROUP BY %s", key, strings.Join(values, ", "),
		quoted(Type("Array(Tuple("+strings.Join(types, ", ")+"))")), where, key)
}

// element returns an element of the judgements in the array judged. A subcolumn, judged.judgement.x,
// costs more: it is taken out of the array anew for each use.
func element(name string) string {
	return "tupleElement(tupleElement(judged, 'judgement'), '" + name + "')"
}

// Merged returns the SELECT list of the feedback that the array judged of [Merge.Judged] amounts to:
// each field from the first judgement that has it.
//
//	feedback_id                the first judgement; "" where there is none
//	feedback_rating            thumbsUp, thumbsDown, or ""
//	feedback_score             of the judgements without a name; NULL where there is none
//	feedback_comment, feedback_tags, feedback_corrected_answer
//	feedback_scores            see [Scores]
//	feedback_judgements        see [Form]: the newest, atMost of them
//	feedback_ingested_at       when the last judgement came; 1970 where there is none
func (m Merge) Merged(atMost int) string {
	first := func(field, condition string) string {
		return "arrayFirst(v -> " + condition + ", " + element(field) + ") AS feedback_" + field
	}
	id, name, score := element("feedback_id"), element("name"), element("score")
	list := []string{
		id + "[1] AS feedback_id",
		first("rating", "v != ''"),
		"arrayFirst((v, n) -> n = '' AND isNotNull(v), " + score + ", " + name + ") AS feedback_score",
		first("comment", "v != ''"), first("tags", "notEmpty(v)"), first("corrected_answer", "v != ''"),
		"arrayReverseSort(arrayFilter((j, n, v) -> n != '' AND isNotNull(v),\n" +
			"    arrayZip(" + m.order() + ", " + id + ",\n    " + name + ", " + score + ", " + element("rating") + "),\n" +
			"    " + name + ", " + score + ")) AS feedback_named",
		"CAST(arrayMap(j -> (j.3, j.4, j.5), arrayFilter((j, i) -> i = 1, feedback_named,\n" +
			"    arrayEnumerateUniq(feedback_named.3))), '" + quoted(ArrayOf(Scores)) + "') AS feedback_scores",
		"arrayMax(tupleElement(judged, 'ingested_at')) AS feedback_ingested_at",
	}
	newest := func(column string) string {
		return fmt.Sprintf("arraySlice(arrayReverseSort((j, v, i) -> (v, i), tupleElement(judged, '%s'),\n"+
			"    tupleElement(judged, 'version'), %s), 1, %d)", column, id, atMost)
	}
	switch m.Judgements {
	case Array:
		list = append(list, newest("judgement")+" AS feedback_judgements")
	case Packed:
		list = append(list, "arrayStringConcat("+newest("packed")+") AS feedback_judgements")
	case None:
	}
	return strings.Join(list, ",\n")
}

// Runs returns a query of the merged feedback on whole runs, with run_id and the columns of
// [Merge.Merged]. Where is the condition on the workspace of rows of table feedback, and related one
// on their run, or "". A run may have several rows that are the same: join with LEFT ANY JOIN.
//
// Few runs have more than one judgement, and only theirs are merged. A judgement that arrives while
// the server takes up its reads is in the answer or not; in no case does the run lose the others.
func (m Merge) Runs(where, related string, atMost int) string {
	where = OnRun + " AND " + where
	wanted := where
	if related != "" {
		wanted += " AND " + related
	}
	list := []string{
		"feedback_id", "toString(rating) AS feedback_rating", "if(name = '', score, NULL) AS feedback_score",
		"comment AS feedback_comment", "tags AS feedback_tags", "corrected_answer AS feedback_corrected_answer",
		"CAST(if(name != '' AND isNotNull(score), [(toString(name), score, toString(rating))], []), '" +
			quoted(ArrayOf(Scores)) + "') AS feedback_scores",
		"ingested_at AS feedback_ingested_at",
	}
	if m.Judgements == Packed {
		list = append(list, packed()+" AS feedback_judgements")
	}
	chosen := make([]string, len(list))
	for i, column := range list {
		name := column[strings.LastIndex(column, " ")+1:]
		chosen[i] = fmt.Sprintf("if(several.run_id = '', one.%s, several.%[1]s) AS %[1]s", name)
	}
	several := "run_id IN (SELECT run_id FROM (SELECT run_id, count() OVER (PARTITION BY run_id) AS judgements\n" +
		"FROM feedback FINAL WHERE " + wanted + ") WHERE judgements > 1)"
	return "SELECT one.run_id AS run_id,\n" + strings.Join(chosen, ",\n") +
		"\nFROM (SELECT run_id, " + strings.Join(list, ", ") + "\nFROM feedback FINAL WHERE " + wanted + ") AS one\n" +
		"LEFT ANY JOIN (SELECT run_id,\n" + m.Merged(atMost) + "\nFROM (" + m.Judged("run_id", where+" AND "+several) +
		")) AS several ON one.run_id = several.run_id"
}

// FewRuns is Runs where related, or "", leaves few runs: it merges the feedback on each of them. The server needs
// 50 ms to plan such a query in place of 80, and that is most of what a small export waits for.
func (m Merge) FewRuns(where, related string, atMost int) string {
	where = OnRun + " AND " + where
	if related != "" {
		where += " AND " + related
	}
	return "SELECT run_id,\n" + m.Merged(atMost) + "\nFROM (" + m.Judged("run_id", where) + ")"
}

// order returns what judgements are ordered by where the newest counts. The query around the merge of
// a node run says how many of the judgements are its own: they come before those on its run.
func (m Merge) order() string {
	if m.OfNodes {
		return "arrayMap((v, i) -> (i <= own, v), tupleElement(judged, 'version'), arrayEnumerate(judged))"
	}
	return "tupleElement(judged, 'version')"
}

// quoted returns a type as it is written inside of a literal.
func quoted(t Type) string { return strings.ReplaceAll(string(t), "'", `\'`) }
