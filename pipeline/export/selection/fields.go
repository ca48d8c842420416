package selection

import (
	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/export/format/record"
)

// What a row is read from: the fields of runs, of executions, of node runs, of feedback and of comparisons.

func runFields(r *record.Row) []field {
	return append(identityFields(r), append(executionFields(&r.Execution), text("{r}system_inputs", &r.SystemInputs))...)
}

// identityFields are what a run has beside its execution, and what is known of the run around a node run.
func identityFields(r *record.Row) []field {
	return []field{
		word("{r}workspace_id", &r.WorkspaceID),
		text("{r}run_id", &r.RunID),
		text("{r}request_id", &r.RequestID),
		word("{r}source", &r.Source),
		word("{r}app_id", &r.AppID),
		word("{r}app_name", &r.AppName),
		text("{r}session_id", &r.SessionID),
		text("{r}user_id", &r.UserID),
		word("{r}trigger", &r.Trigger),
		text("{r}question", &r.Question),
		text("{r}answer", &r.Answer),
		text("{r}reference", &r.Reference),
		text("{r}trace_id", &r.TraceID),
	}
}

func executionFields(e *record.Execution) []field {
	return []field{
		word("{r}app_version", &e.AppVersion),
		word("{r}status", &e.Status),
		moment("{r}started_at", &e.StartedAt),
		nullableMoment("{r}ended_at", &e.EndedAt),
		moment("{r}updated_at", &e.UpdatedAt),
		text("{r}inputs", &e.Inputs),
		text("{r}outputs", &e.Outputs),
		text("{r}messages", &e.Messages),
		text("{r}tools", &e.Tools),
		word("{r}model", &e.Model),
		word("{r}error_type", &e.ErrorType),
		text("{r}error_message", &e.ErrorMessage),
		files("{r}files", &e.Files),
		integer("{r}usage_input_tokens", &e.InputTokens),
		integer("{r}usage_output_tokens", &e.OutputTokens),
		number("{r}cost_usd", &e.CostUSD),
		pairs("{r}metadata", &e.Metadata),
	}
}

func inputGroupField(e *record.Execution) field { return text("{r}input_group", &e.InputGroup) }

// nodeFields are those of a node run, without the run around it.
func nodeFields(n *record.Node) []field {
	return append([]field{
		text("{r}node_run_id", &n.NodeRunID),
		word("{r}node_id", &n.NodeID),
		word("{r}node_name", &n.NodeName),
		word("{r}node_type", &n.NodeType),
		text("{r}parent_node_run_id", &n.ParentNodeRunID),
		integer("{r}sequence", &n.Sequence),
		text("{r}prompt_template", &n.PromptTemplate),
		text("{r}prompt_variables", &n.PromptVariables),
		pairs("{r}parameters", &n.Parameters),
		chunks("{r}chunks", &n.Chunks),
	}, executionFields(&n.Execution)...)
}

func feedbackFields(r *record.Row) []field {
	f := &r.Feedback
	return []field{
		boolean("{f}feedback_id != ''", "has_feedback", &r.HasFeedback),
		word("{f}feedback_rating", &f.Rating),
		number("{f}feedback_score", &f.Score),
		text("{f}feedback_comment", &f.Comment),
		texts("{f}feedback_tags", &f.Tags),
		text("{f}feedback_corrected_answer", &f.CorrectedAnswer),
	}
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
	return field{alias(expression), expression, c, func(i int) { *to = c.Row(i) }}
}

func chunks(expression string, to *[]record.Chunk) field {
	c := &chunksColumn{}
	return field{alias(expression), expression, c, func(i int) {
		*to = (*to)[:0]
		for j, end := bounds(c.offsets, i); j < end; j++ {
			*to = append(*to, record.Chunk{
				ChunkID: view(&c.chunkID, j), Text: view(&c.text, j), Score: nullable(c.noScore[j], c.score[j]),
				SourceURI: view(&c.sourceURI, j), Title: view(&c.title, j),
				SentToLLM: nullable(c.notSaid[j], c.sentToLLM[j] != 0), UsedInAnswer: nullable(c.noUse[j], c.usedInAnswer[j] != 0),
			})
		}
	}}
}

// chunksColumn is the column chunks of table nodes.
type chunksColumn struct {
	offsets             proto.ColUInt64
	chunkID, text       proto.ColStr
	noScore             proto.ColUInt8
	score               proto.ColFloat64
	sourceURI, title    proto.ColStr
	notSaid, sentToLLM  proto.ColUInt8
	noUse, usedInAnswer proto.ColUInt8
}

func (*chunksColumn) Type() proto.ColumnType {
	return "Array(Tuple(chunk_id String, text String, score Nullable(Float64), source_uri String, title String, sent_to_llm Nullable(Bool), used_in_answer Nullable(Bool)))"
}

func (c *chunksColumn) Rows() int { return len(c.offsets) }

func (c *chunksColumn) columns() []proto.ColResult {
	return []proto.ColResult{&c.chunkID, &c.text, &c.noScore, &c.score, &c.sourceURI, &c.title, &c.notSaid, &c.sentToLLM, &c.noUse, &c.usedInAnswer}
}

func (c *chunksColumn) Reset() {
	c.offsets.Reset()
	for _, column := range c.columns() {
		column.Reset()
	}
}

func (c *chunksColumn) DecodeColumn(r *proto.Reader, rows int) error {
	return decodeNested(r, rows, &c.offsets, c.columns()...)
}
