package selection

import (
	"fmt"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/columns"
	"github.com/millrace/millrace/pipeline/export/format/record"
)

// The lists below bind columns to the fields of a row: of runs, executions, node runs, feedback and
// comparisons.

func runFields(r *record.Row) []field {
	return append(identityFields(r), append(executionFields(&r.Execution), runField("system_inputs", &r.SystemInputs))...)
}

// identityFields are the fields of a run beside its execution: all that a node run shows of its
// run.
func identityFields(r *record.Row) []field {
	return []field{
		runField("workspace_id", &r.WorkspaceID),
		runField("run_id", &r.RunID),
		runField("request_id", &r.RequestID),
		runField("source", &r.Source),
		runField("app_id", &r.AppID),
		runField("app_name", &r.AppName),
		runField("session_id", &r.SessionID),
		runField("user_id", &r.UserID),
		runField("trigger", &r.Trigger),
		runField("question", &r.Question),
		runField("answer", &r.Answer),
		runField("reference", &r.Reference),
		runField("trace_id", &r.TraceID),
	}
}

// executionFields are the fields that runs and node runs share. Their columns have the same types
// in both tables.
func executionFields(e *record.Execution) []field {
	return []field{
		runField("app_version", &e.AppVersion),
		runField("status", &e.Status),
		runField("started_at", &e.StartedAt),
		runField("ended_at", &e.EndedAt),
		runField("updated_at", &e.UpdatedAt),
		runField("inputs", &e.Inputs),
		runField("outputs", &e.Outputs),
		runField("messages", &e.Messages),
		runField("tools", &e.Tools),
		runField("model", &e.Model),
		runField("error_type", &e.ErrorType),
		runField("error_message", &e.ErrorMessage),
		runField("files", &e.Files),
		runField("usage_input_tokens", &e.InputTokens),
		runField("usage_output_tokens", &e.OutputTokens),
		runField("cost_usd", &e.CostUSD),
		runField("metadata", &e.Metadata),
	}
}

func inputGroupField(e *record.Execution) field { return runField("input_group", &e.InputGroup) }

// nodeFields are the fields of a node run, without the run around it.
func nodeFields(n *record.Node) []field {
	return append([]field{
		nodeField("node_run_id", &n.NodeRunID),
		nodeField("node_id", &n.NodeID),
		nodeField("node_name", &n.NodeName),
		nodeField("node_type", &n.NodeType),
		nodeField("parent_node_run_id", &n.ParentNodeRunID),
		nodeField("sequence", &n.Sequence),
		nodeField("prompt_template", &n.PromptTemplate),
		nodeField("prompt_variables", &n.PromptVariables),
		nodeField("parameters", &n.Parameters),
		nodeField("chunks", &n.Chunks),
	}, executionFields(&n.Execution)...)
}

// feedbackFields are the fields of the feedback of a row, whose columns have the prefix feedback_.
func (q *Selection) feedbackFields(r *record.Row) []field {
	f := &r.Feedback
	fields := []field{
		boolean("{f}feedback_id != ''", "has_feedback", &r.HasFeedback),
		feedbackField("rating", &f.Rating),
		feedbackField("score", &f.Score),
		feedbackField("comment", &f.Comment),
		feedbackField("tags", &f.Tags),
		feedbackField("corrected_answer", &f.CorrectedAnswer),
		scores("{f}feedback_scores", &f.Scores),
	}
	if q.needs.Judgements {
		fields = append(fields, judgements("{f}feedback_judgements", &f.Judgements))
	}
	return fields
}

func runField(name string, to any) field {
	return tableField("{r}"+name, columns.TypeOf(columns.Runs, name), to)
}

func nodeField(name string, to any) field {
	return tableField("{r}"+name, columns.TypeOf(columns.Nodes, name), to)
}

func feedbackField(name string, to any) field {
	return tableField("{f}feedback_"+name, columns.TypeOf(columns.Feedback, name), to)
}

// tableField binds an expression of this column type to a field of the row. It panics where no
// column fills a field of that Go type: the lists above are constant, so a test finds it.
func tableField(expression string, of columns.Type, to any) field {
	switch to := to.(type) {
	case *[]byte:
		if of == columns.LowCardinality {
			return lowCardinality(expression, to)
		}
		return text(expression, to)
	case *int64:
		return milliseconds(expression, to)
	case *record.Null[int64]:
		if of == columns.NullableMilliseconds {
			return nullableMilliseconds(expression, to)
		}
		return integer(expression, to)
	case *record.Null[float64]:
		return number(expression, to)
	case *[][]byte:
		return texts(expression, to)
	case *[]record.Pair:
		return pairs(expression, to)
	case *[]record.File:
		return files(expression, to)
	case *[]record.Chunk:
		return chunks(expression, to)
	}
	panic(fmt.Sprintf("%s is of type %s and its field is %T", expression, of, to))
}

func comparisonFields(c *record.Comparison) []field {
	return []field{
		texts("{r}versions", &c.Versions),
		count("{r}runs_in_group", &c.RunsInGroup),
		count("{r}rank", &c.Rank),
		text("{r}best_version", &c.BestVersion),
		boolean("{r}has_previous = 1", "has_previous", &c.HasPrevious),
		text("{r}previous_version", &c.PreviousVersion),
		text("{r}previous_answer", &c.PreviousAnswer),
		number("{r}previous_score", &c.PreviousScore),
	}
}

func count(expression string, to *int64) field {
	c := &proto.ColInt64{}
	return field{alias(expression), expression, c, func(i int) { *to = c.Row(i) }, nil}
}
