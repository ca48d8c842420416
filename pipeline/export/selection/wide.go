package selection

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/columns"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

// Wide rows are grouped runs, and node runs with the run around them. A query chooses them first,
// by keys, feedback, group and the comparison inside the group. Then it joins what it chose with
// all other columns:
//
//	chosen ──▶ group_key, capped ──▶ comparison ──┐
//	runs or nodes, FINAL ─────────────────────────┴─▶ rows ◀── runs, FINAL: around node runs
//	                                                   ▲
//	                                                   └────── the same table: answers of previous rows
//
// What is chosen is narrow, so windows and joins of millions of rows fit into memory. Texts may have
// 16 MiB each, and pass through no window.

// wideRows selects the wide rows, ordered.
func (q *Selection) wideRows() clickhouse.Query {
	direct := *q
	direct.few = q.fewRelated()
	rows := direct.wideFrom(q.related(), q.limit > 0 || q.sample != nil || q.feedbackConditions != nil || q.joinsRun)
	return q.bind.Query("SELECT\n" + selectList(q.newWideReader().fields, "", "") + "\nFROM (" + rows +
		")\nORDER BY " + snapshotOrder)
}

// insertWideSnapshot freezes the wide rows. Snapshot is the expression of its id.
func (q *Selection) insertWideSnapshot(snapshot, related string) clickhouse.Query {
	list := "workspace_id, group_key, " + strings.Join(q.wideColumns(), ", ")
	return q.bind.Query("INSERT INTO " + rowsTable + " (stage_id, " + list + ")\nSELECT " + snapshot + ", " + list +
		"\nFROM (" + q.wideFrom(related, false) + ")")
}

// wideQuery selects the rows of the range of a snapshot that has whole rows, in the order of the
// snapshot.
func (r *SnapshotRange) wideQuery(shape *Selection) clickhouse.Query {
	var b clickhouse.Binder
	return b.Query("SELECT\n" + selectList(shape.newWideReader().fields, "", "") + "\nFROM " + rowsTable +
		" WHERE " + and(r.conditions(&b)) + "\nORDER BY " + snapshotOrder)
}

// newWideReader returns the reader of wide rows.
func (q *Selection) newWideReader() *rowReader {
	reader := &rowReader{}
	reader.fields = append(identityFields(&reader.row), q.feedbackFields(&reader.row)...)
	reader.fields = append(reader.fields, text("{r}group_key", &reader.row.Group))
	if q.nodes != nil {
		reader.row.Node = &reader.node
		reader.fields = append(reader.fields, nodeFields(&reader.node)...)
		reader.fields = append(reader.fields, boolean("{r}feedback_on_node = 1", "feedback_on_node",
			&reader.row.Feedback.CorrectionOnNode),
			inputGroupField(&reader.node.Execution), lowCardinality("{r}run_status", &reader.row.Status),
			text("{r}run_input_group", &reader.row.InputGroup))
	} else {
		reader.fields = append(reader.fields, executionFields(&reader.row.Execution)...)
		reader.fields = append(reader.fields, text("{r}system_inputs", &reader.row.SystemInputs),
			inputGroupField(&reader.row.Execution))
	}
	if q.needs.Comparison {
		reader.fields = append(reader.fields, comparisonFields(&reader.row.Comparison)...)
	}
	return reader
}

// Columns of wide rows, by their table. Those of the tables derive from package columns.
var (
	// commonColumns are in table runs and in table nodes.
	commonColumns = columnList(columns.Runs, func(name string) bool { return columns.Has(columns.Nodes, name) })
	runColumns    = columnList(columns.Runs, func(name string) bool { return !columns.Has(columns.Nodes, name) })
	nodeColumns   = columnList(columns.Nodes, func(name string) bool { return !columns.Has(columns.Runs, name) })
)

// comparedColumns are those of the comparison but previous_answer.
const comparedColumns = "versions, runs_in_group, rank, best_version, has_previous, previous_version, previous_score"

// columnList returns the chosen columns of a table, but those that each query names by itself:
// system_inputs is in wide rows of runs only, and a snapshot has no use for version and
// context_hash.
func columnList[R any](table []columns.Column[R], chosen func(name string) bool) string {
	var names []string
	for _, c := range table {
		switch c.Name {
		case "workspace_id", "run_id", "system_inputs", "context_hash", "version":
		default:
			if chosen(c.Name) {
				names = append(names, c.Name)
			}
		}
	}
	return strings.Join(names, ", ")
}

// wideColumns are the columns of wide rows other than workspace_id and group_key.
func (q *Selection) wideColumns() []string {
	list := "run_id, " + commonColumns + ", " + runColumns + ", " + q.feedbackColumns()
	if q.nodes != nil {
		list += ", feedback_on_node, " + nodeColumns + ", run_status, run_input_group"
	} else {
		list += ", system_inputs"
	}
	if q.needs.Comparison {
		list += ", " + comparedColumns + ", previous_answer"
	}
	return strings.Split(list, ", ")
}

// wideFrom selects all columns of the wide rows. With narrow it reads the other columns of the
// chosen rows only, which pays where they are few of the app's rows.
func (q *Selection) wideFrom(related string, narrow bool) string {
	conditions := and(q.rowConditions)
	if narrow {
		key := "(started_at, run_id)"
		if q.nodes != nil {
			key = "(started_at, run_id, node_run_id)"
		}
		conditions += " AND " + key + " IN (" + q.keys() + ")"
	}
	list := []string{"{workspace:String} AS workspace_id", "t.run_id AS run_id", prefixed("t", commonColumns),
		prefixed("k", "group_key, "+q.feedbackColumns())}
	from := "\nFROM (SELECT * FROM " + latest(q.table()) + conditions + ") AS t\n" +
		"INNER JOIN (" + q.chosen(related) + ") AS k ON t.run_id = k.run_id AND t.started_at = k.started_at"
	if q.nodes != nil {
		list = append(list, "k.feedback_on_node AS feedback_on_node", prefixed("t", nodeColumns),
			prefixed("r", runColumns), "r.status AS run_status", "r.input_group AS run_input_group")
		around := q.inApp
		if related != "" {
			around += " AND " + related
		}
		from += " AND t.node_run_id = k.node_run_id\n" +
			"LEFT JOIN (SELECT run_id, status, input_group, " + runColumns + " FROM " + latest("runs") + around +
			") AS r ON t.run_id = r.run_id"
	} else {
		list = append(list, prefixed("t", runColumns), "t.system_inputs AS system_inputs", "'' AS node_run_id")
	}
	if q.needs.Comparison {
		list = append(list, prefixed("k", comparedColumns), "p.answer AS previous_answer")
		from += "\n" + q.previousAnswers(conditions)
	}
	return "SELECT " + strings.Join(list, ", ") + from
}

// previousAnswers joins each row with the answer of its previous row. Conditions leave the rows of
// the table that may be one.
func (q *Selection) previousAnswers(conditions string) string {
	answer, node := "answer", ""
	if q.nodes != nil {
		answer, node = "outputs", "node_run_id, "
	}
	text := "LEFT JOIN (SELECT started_at, run_id, " + node + answer + " AS answer FROM " + latest(q.table()) +
		conditions + ") AS p ON k.previous_run_id = p.run_id AND k.previous_started_at = p.started_at"
	if q.nodes != nil {
		text += " AND k.previous_node_run_id = p.node_run_id"
	}
	return text
}

// prefixed names columns of a relation.
func prefixed(relation, columns string) string {
	list := strings.Split(columns, ", ")
	for i, c := range list {
		list[i] = relation + "." + c + " AS " + c
	}
	return strings.Join(list, ", ")
}

// chosen selects keys, feedback, group and comparison of the selected rows.
func (q *Selection) chosen(related string) string {
	selected, group := keyColumns+", app_version, input_group", "''"
	switch q.needs.Group {
	case record.ByInput:
		group = "s.input_group"
	case record.ByContext:
		// Rows of the first release have no context_hash. Their input_group follows a rule of its own.
		selected += ", context_hash"
		group = "concat(s.input_group, s.context_hash)"
	case record.ByTemplate:
		selected += ", prompt_template"
		group = "lower(hex(sipHash128(s.prompt_template)))"
	}
	node, onNode := "''", "false"
	if q.nodes != nil {
		node, onNode = "s.node_run_id", "s.feedback_on_node"
	}
	rows := "SELECT s.started_at AS started_at, s.run_id AS run_id, " + node +
		" AS node_run_id, s.app_version AS app_version, " + group + " AS whole_group, " + onNode +
		" AS feedback_on_node, " + q.feedbackList() + "\n" + q.fromWithFeedback(selected, related)
	if q.needs.Group == record.Ungrouped {
		return "SELECT *, whole_group AS group_key FROM (" + rows + ")"
	}
	rows = fmt.Sprintf("SELECT *, if(row_number() OVER (PARTITION BY whole_group ORDER BY started_at DESC, run_id "+
		"DESC, node_run_id DESC) > %d, '', whole_group) AS group_key FROM (\n%s)",
		record.MaxGroup, rows)
	if !q.needs.Comparison {
		return rows
	}
	return compared(rows)
}

// compared adds the comparison inside the group to rows that have a group_key. Versions are ordered
// by their first started_at. The best row has the highest score; among equals, a thumbsUp; among
// those, it is the newest. The newest row of the version before represents that version, and is the
// previous row.
func compared(rows string) string {
	rows = "SELECT *, toInt64(count() OVER (PARTITION BY group_key)) AS runs_in_group,\n" +
		"toInt64(row_number() OVER (PARTITION BY group_key ORDER BY feedback_score IS NULL, feedback_score DESC, " +
		"multiIf(feedback_rating = 'thumbsUp', 1, feedback_rating = 'thumbsDown', -1, 0) DESC, started_at DESC, run_id " +
		"DESC, node_run_id DESC)) AS rank,\n" +
		"min(started_at) OVER (PARTITION BY group_key, app_version) AS version_began\nFROM (" + rows + ")"
	rows = "SELECT *, dense_rank() OVER (PARTITION BY group_key ORDER BY version_began, app_version) AS " +
		"version_number,\n" +
		"argMin(app_version, rank) OVER (PARTITION BY group_key) AS best_version,\n" +
		"arrayMap(v -> toString(v.2), arraySort(groupUniqArray((version_began, app_version)) OVER (PARTITION BY " +
		"group_key))) AS versions\nFROM (" + rows + ")"
	rows = "SELECT *, argMax((app_version, feedback_score, started_at, run_id, node_run_id), (started_at, run_id, " +
		"node_run_id)) OVER (PARTITION BY group_key ORDER BY version_number RANGE BETWEEN 1 PRECEDING AND 1 PRECEDING) " +
		"AS previous\nFROM (" + rows + ")"
	return "SELECT * EXCEPT (previous, best_version), toString(best_version) AS best_version, version_number > 1 AS " +
		"has_previous,\n" +
		"if(version_number > 1, toString(previous.1), '') AS previous_version,\n" +
		"if(version_number > 1, previous.2, NULL) AS previous_score, previous.3 AS previous_started_at,\n" +
		"if(version_number > 1, previous.4, '') AS previous_run_id, previous.5 AS previous_node_run_id\nFROM (" + rows + ")"
}

// maxVariables is how many names [Selection.Variables] selects at most.
const maxVariables = 1000

// Variables is the query for [clickhouse.ReadTexts]: the names of all prompt variables of the
// selected node runs, each after a "v", and the types of their nodes, each after a "t".
func (q *Selection) Variables() clickhouse.Query {
	rows := "SELECT s.prompt_variables AS variables, s.node_type AS type " +
		q.from(keyColumns+", prompt_variables, node_type", "", len(q.feedbackConditions) > 0) + q.mostRecent()
	return q.bind.Query("SELECT DISTINCT arrayJoin(arrayPushFront(arrayMap(k -> concat('v', k), " +
		"JSONExtractKeys(variables)), concat('t', type))) AS name\nFROM (" +
		rows + ")\nORDER BY name LIMIT " + strconv.Itoa(maxVariables))
}
