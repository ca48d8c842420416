package runstore

import (
	"time"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/runs"
)

// The builders below mirror schemas/clickhouse: one field a column, in the order of the table.

func label() *proto.ColLowCardinality[string] { return new(proto.ColStr).LowCardinality() }

func millis() *proto.ColDateTime64 {
	return new(proto.ColDateTime64).WithPrecision(proto.PrecisionMilli).WithLocation(time.UTC)
}

func micros() *proto.ColDateTime64 {
	return new(proto.ColDateTime64).WithPrecision(proto.PrecisionMicro).WithLocation(time.UTC)
}

func labels() *proto.ColMap[string, string] {
	return proto.NewMap[string, string](label(), new(proto.ColStr))
}

func optional[T any](p *T) proto.Nullable[T] {
	if p == nil {
		return proto.Null[T]()
	}
	return proto.NewNullable(*p)
}

func optionalTime(t time.Time) proto.Nullable[time.Time] {
	return proto.Nullable[time.Time]{Set: !t.IsZero(), Value: t}
}

// pairs is reused between rows.
type pairs []proto.KV[string, string]

func (p *pairs) of(list []runs.Pair) []proto.KV[string, string] {
	*p = (*p)[:0]
	for _, kv := range list {
		*p = append(*p, proto.KV[string, string]{Key: kv.Key, Value: kv.Value})
	}
	return *p
}

type runColumns struct {
	workspaceID, source, appID, appName, appVersion, model, trigger, status, errorType *proto.ColLowCardinality[string]

	runID, requestID, sessionID, userID, traceID, question, answer, reference, inputs, systemInputs, outputs, messages, tools,
	errorMessage, inputGroup proto.ColStr

	startedAt, updatedAt *proto.ColDateTime64
	endedAt              *proto.ColNullable[time.Time]
	files                *fileColumn
	inputTokens          *proto.ColNullable[int64]
	outputTokens         *proto.ColNullable[int64]
	costUSD              *proto.ColNullable[float64]
	metadata             *proto.ColMap[string, string]
	version              proto.ColUInt64

	pairs pairs
	all   proto.Input
}

func newRunColumns() *runColumns {
	c := &runColumns{
		workspaceID: label(), source: label(), appID: label(), appName: label(), appVersion: label(), model: label(),
		trigger: label(), status: label(), errorType: label(),
		startedAt: millis(), updatedAt: micros(), endedAt: proto.NewColNullable[time.Time](millis()),
		files:       newFileColumn(),
		inputTokens: new(proto.ColInt64).Nullable(), outputTokens: new(proto.ColInt64).Nullable(),
		costUSD: new(proto.ColFloat64).Nullable(), metadata: labels(),
	}
	c.all = proto.Input{
		{Name: "workspace_id", Data: c.workspaceID}, {Name: "run_id", Data: &c.runID}, {Name: "source", Data: c.source},
		{Name: "app_id", Data: c.appID}, {Name: "app_name", Data: c.appName}, {Name: "app_version", Data: c.appVersion},
		{Name: "request_id", Data: &c.requestID}, {Name: "session_id", Data: &c.sessionID}, {Name: "user_id", Data: &c.userID},
		{Name: "model", Data: c.model}, {Name: "trace_id", Data: &c.traceID}, {Name: "trigger", Data: c.trigger},
		{Name: "status", Data: c.status}, {Name: "started_at", Data: c.startedAt}, {Name: "ended_at", Data: c.endedAt},
		{Name: "updated_at", Data: c.updatedAt}, {Name: "question", Data: &c.question}, {Name: "answer", Data: &c.answer},
		{Name: "reference", Data: &c.reference}, {Name: "inputs", Data: &c.inputs}, {Name: "system_inputs", Data: &c.systemInputs},
		{Name: "outputs", Data: &c.outputs}, {Name: "messages", Data: &c.messages}, {Name: "tools", Data: &c.tools},
		{Name: "error_type", Data: c.errorType}, {Name: "error_message", Data: &c.errorMessage}, {Name: "files", Data: c.files},
		{Name: "usage_input_tokens", Data: c.inputTokens}, {Name: "usage_output_tokens", Data: c.outputTokens},
		{Name: "cost_usd", Data: c.costUSD}, {Name: "metadata", Data: c.metadata}, {Name: "input_group", Data: &c.inputGroup}, {Name: "version", Data: &c.version},
	}
	return c
}

func (c *runColumns) input() proto.Input { return c.all }

func (c *runColumns) append(r *runs.Run) {
	c.workspaceID.Append(r.WorkspaceID)
	c.runID.Append(r.RunID)
	c.source.Append(r.Source)
	c.appID.Append(r.AppID)
	c.appName.Append(r.AppName)
	c.appVersion.Append(r.AppVersion)
	c.requestID.Append(r.RequestID)
	c.sessionID.Append(r.SessionID)
	c.userID.Append(r.UserID)
	c.model.Append(r.Model)
	c.traceID.Append(r.TraceID)
	c.trigger.Append(r.Trigger)
	c.status.Append(r.Status)
	c.startedAt.Append(r.StartedAt)
	c.endedAt.Append(optionalTime(r.EndedAt))
	c.updatedAt.Append(r.UpdatedAt)
	c.question.Append(r.Question)
	c.answer.Append(r.Answer)
	c.reference.Append(r.Reference)
	c.inputs.Append(r.Inputs)
	c.systemInputs.Append(r.SystemInputs)
	c.outputs.Append(r.Outputs)
	c.messages.Append(r.Messages)
	c.tools.Append(r.Tools)
	appendError(c.errorType, &c.errorMessage, r.Error)
	c.files.Append(r.Files)
	appendUsage(c.inputTokens, c.outputTokens, r.Usage)
	c.costUSD.Append(optional(r.CostUSD))
	c.metadata.AppendKV(c.pairs.of(r.Metadata))
	c.inputGroup.Append(r.InputGroup())
	c.version.Append(r.Version())
}

type nodeColumns struct {
	workspaceID, source, appID, appVersion, nodeID, nodeName, nodeType, model, status, errorType *proto.ColLowCardinality[string]

	runID, nodeRunID, parentNodeRunID, inputs, outputs, promptTemplate, promptVariables, messages, tools, errorMessage, inputGroup proto.ColStr

	sequence             *proto.ColNullable[int64]
	startedAt, updatedAt *proto.ColDateTime64
	endedAt              *proto.ColNullable[time.Time]
	parameters           *proto.ColMap[string, string]
	chunks               *chunkColumn
	files                *fileColumn
	inputTokens          *proto.ColNullable[int64]
	outputTokens         *proto.ColNullable[int64]
	costUSD              *proto.ColNullable[float64]
	metadata             *proto.ColMap[string, string]
	version              proto.ColUInt64

	pairs pairs
	all   proto.Input
}

func newNodeColumns() *nodeColumns {
	c := &nodeColumns{
		workspaceID: label(), source: label(), appID: label(), appVersion: label(), nodeID: label(), nodeName: label(),
		nodeType: label(), model: label(), status: label(), errorType: label(),
		sequence:  new(proto.ColInt64).Nullable(),
		startedAt: millis(), updatedAt: micros(), endedAt: proto.NewColNullable[time.Time](millis()),
		parameters: labels(), chunks: newChunkColumn(), files: newFileColumn(),
		inputTokens: new(proto.ColInt64).Nullable(), outputTokens: new(proto.ColInt64).Nullable(),
		costUSD: new(proto.ColFloat64).Nullable(), metadata: labels(),
	}
	c.all = proto.Input{
		{Name: "workspace_id", Data: c.workspaceID}, {Name: "run_id", Data: &c.runID}, {Name: "node_run_id", Data: &c.nodeRunID},
		{Name: "source", Data: c.source}, {Name: "app_id", Data: c.appID}, {Name: "app_version", Data: c.appVersion},
		{Name: "node_id", Data: c.nodeID}, {Name: "node_name", Data: c.nodeName}, {Name: "node_type", Data: c.nodeType},
		{Name: "parent_node_run_id", Data: &c.parentNodeRunID}, {Name: "sequence", Data: c.sequence},
		{Name: "status", Data: c.status}, {Name: "started_at", Data: c.startedAt}, {Name: "ended_at", Data: c.endedAt},
		{Name: "updated_at", Data: c.updatedAt}, {Name: "inputs", Data: &c.inputs}, {Name: "outputs", Data: &c.outputs},
		{Name: "prompt_template", Data: &c.promptTemplate}, {Name: "prompt_variables", Data: &c.promptVariables},
		{Name: "messages", Data: &c.messages}, {Name: "tools", Data: &c.tools}, {Name: "model", Data: c.model},
		{Name: "parameters", Data: c.parameters}, {Name: "chunks", Data: c.chunks}, {Name: "error_type", Data: c.errorType},
		{Name: "error_message", Data: &c.errorMessage}, {Name: "files", Data: c.files},
		{Name: "usage_input_tokens", Data: c.inputTokens}, {Name: "usage_output_tokens", Data: c.outputTokens},
		{Name: "cost_usd", Data: c.costUSD}, {Name: "metadata", Data: c.metadata}, {Name: "input_group", Data: &c.inputGroup}, {Name: "version", Data: &c.version},
	}
	return c
}

func (c *nodeColumns) input() proto.Input { return c.all }

func (c *nodeColumns) append(n *runs.Node) {
	c.workspaceID.Append(n.WorkspaceID)
	c.runID.Append(n.RunID)
	c.nodeRunID.Append(n.NodeRunID)
	c.source.Append(n.Source)
	c.appID.Append(n.AppID)
	c.appVersion.Append(n.AppVersion)
	c.nodeID.Append(n.NodeID)
	c.nodeName.Append(n.NodeName)
	c.nodeType.Append(n.NodeType)
	c.parentNodeRunID.Append(n.ParentNodeRunID)
	c.sequence.Append(optional(n.Sequence))
	c.status.Append(n.Status)
	c.startedAt.Append(n.StartedAt)
	c.endedAt.Append(optionalTime(n.EndedAt))
	c.updatedAt.Append(n.UpdatedAt)
	c.inputs.Append(n.Inputs)
	c.outputs.Append(n.Outputs)
	c.promptTemplate.Append(n.PromptTemplate)
	c.promptVariables.Append(n.PromptVariables)
	c.messages.Append(n.Messages)
	c.tools.Append(n.Tools)
	c.model.Append(n.Model)
	c.parameters.AppendKV(c.pairs.of(n.Parameters))
	c.chunks.Append(n.Chunks)
	appendError(c.errorType, &c.errorMessage, n.Error)
	c.files.Append(n.Files)
	appendUsage(c.inputTokens, c.outputTokens, n.Usage)
	c.costUSD.Append(optional(n.CostUSD))
	c.metadata.AppendKV(c.pairs.of(n.Metadata))
	c.inputGroup.Append(n.InputGroup())
	c.version.Append(n.Version())
}

type feedbackColumns struct {
	workspaceID, rating, nodeID                            *proto.ColLowCardinality[string]
	runID, feedbackID, comment, correctedAnswer, createdBy proto.ColStr

	score     *proto.ColNullable[float64]
	tags      *proto.ColArr[string]
	createdAt *proto.ColNullable[time.Time]
	updatedAt *proto.ColDateTime64
	version   proto.ColUInt64

	all proto.Input
}

func newFeedbackColumns() *feedbackColumns {
	c := &feedbackColumns{
		workspaceID: label(), rating: label(), nodeID: label(), score: new(proto.ColFloat64).Nullable(),
		tags: new(proto.ColStr).Array(), createdAt: proto.NewColNullable[time.Time](millis()), updatedAt: micros(),
	}
	c.all = proto.Input{
		{Name: "workspace_id", Data: c.workspaceID}, {Name: "run_id", Data: &c.runID}, {Name: "feedback_id", Data: &c.feedbackID},
		{Name: "rating", Data: c.rating}, {Name: "score", Data: c.score}, {Name: "comment", Data: &c.comment},
		{Name: "tags", Data: c.tags}, {Name: "corrected_answer", Data: &c.correctedAnswer}, {Name: "node_id", Data: c.nodeID},
		{Name: "created_by", Data: &c.createdBy}, {Name: "created_at", Data: c.createdAt}, {Name: "updated_at", Data: c.updatedAt},
		{Name: "version", Data: &c.version},
	}
	return c
}

func (c *feedbackColumns) input() proto.Input { return c.all }

func (c *feedbackColumns) append(f *runs.Feedback) {
	c.workspaceID.Append(f.WorkspaceID)
	c.runID.Append(f.RunID)
	c.feedbackID.Append(f.FeedbackID)
	c.rating.Append(f.Rating)
	c.score.Append(optional(f.Score))
	c.comment.Append(f.Comment)
	c.tags.Append(f.Tags)
	c.correctedAnswer.Append(f.CorrectedAnswer)
	c.nodeID.Append(f.NodeID)
	c.createdBy.Append(f.CreatedBy)
	c.createdAt.Append(optionalTime(f.CreatedAt))
	c.updatedAt.Append(f.UpdatedAt)
	c.version.Append(f.Version())
}

func appendError(kind *proto.ColLowCardinality[string], message *proto.ColStr, e *runs.Error) {
	if e == nil {
		e = &runs.Error{}
	}
	kind.Append(e.Type)
	message.Append(e.Message)
}

func appendUsage(in, out *proto.ColNullable[int64], u *runs.Usage) {
	if u == nil {
		u = &runs.Usage{}
	}
	in.Append(optional(u.InputTokens))
	out.Append(optional(u.OutputTokens))
}
