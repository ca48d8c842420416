package columns

import (
	"cmp"
	"time"

	"github.com/millrace/millrace/pipeline/runs"
)

// The columns of each table in the order of the table, without ingested_at, which ClickHouse fills
// in.
var (
	Runs = []Column[runs.Run]{
		{"workspace_id", LowCardinality, func(r *runs.Run) string { return r.WorkspaceID }},
		{"run_id", String, func(r *runs.Run) string { return r.RunID }},
		{"source", LowCardinality, func(r *runs.Run) string { return r.Source }},
		{"app_id", LowCardinality, func(r *runs.Run) string { return r.AppID }},
		{"app_name", LowCardinality, func(r *runs.Run) string { return r.AppName }},
		{"app_version", LowCardinality, func(r *runs.Run) string { return r.AppVersion }},
		{"request_id", String, func(r *runs.Run) string { return r.RequestID }},
		{"session_id", String, func(r *runs.Run) string { return r.SessionID }},
		{"user_id", String, func(r *runs.Run) string { return r.UserID }},
		{"model", LowCardinality, func(r *runs.Run) string { return r.Model }},
		{"trace_id", String, func(r *runs.Run) string { return r.TraceID }},
		{"trigger", LowCardinality, func(r *runs.Run) string { return r.Trigger }},
		{"status", LowCardinality, func(r *runs.Run) string { return r.Status }},
		{"started_at", Milliseconds, func(r *runs.Run) time.Time { return r.StartedAt }},
		{"ended_at", NullableMilliseconds, func(r *runs.Run) time.Time { return r.EndedAt }},
		{"updated_at", Microseconds, func(r *runs.Run) time.Time { return r.UpdatedAt }},
		{"question", String, func(r *runs.Run) string { return r.Question }},
		{"answer", String, func(r *runs.Run) string { return r.Answer }},
		{"reference", String, func(r *runs.Run) string { return r.Reference }},
		{"inputs", String, func(r *runs.Run) string { return r.Inputs }},
		{"system_inputs", String, func(r *runs.Run) string { return r.SystemInputs }},
		{"outputs", String, func(r *runs.Run) string { return r.Outputs }},
		{"messages", String, func(r *runs.Run) string { return r.Messages }},
		{"tools", String, func(r *runs.Run) string { return r.Tools }},
		{"error_type", LowCardinality, func(r *runs.Run) string { return orZero(r.Error).Type }},
		{"error_message", String, func(r *runs.Run) string { return orZero(r.Error).Message }},
		{"files", ArrayOf(Files), func(r *runs.Run) []runs.File { return r.Files }},
		{"usage_input_tokens", NullableInt64, func(r *runs.Run) *int64 { return orZero(r.Usage).InputTokens }},
		{"usage_output_tokens", NullableInt64, func(r *runs.Run) *int64 { return orZero(r.Usage).OutputTokens }},
		{"cost_usd", NullableFloat64, func(r *runs.Run) *float64 { return r.CostUSD }},
		{"metadata", Map, func(r *runs.Run) []runs.Pair { return r.Metadata }},
		{"input_group", String, (*runs.Run).InputGroup},
		{"context_hash", String, (*runs.Run).ContextHash},
		{"version", UInt64, (*runs.Run).Version},
	}

	Nodes = []Column[runs.Node]{
		{"workspace_id", LowCardinality, func(n *runs.Node) string { return n.WorkspaceID }},
		{"run_id", String, func(n *runs.Node) string { return n.RunID }},
		{"node_run_id", String, func(n *runs.Node) string { return n.NodeRunID }},
		{"source", LowCardinality, func(n *runs.Node) string { return n.Source }},
		{"app_id", LowCardinality, func(n *runs.Node) string { return n.AppID }},
		{"app_version", LowCardinality, func(n *runs.Node) string { return n.AppVersion }},
		{"node_id", LowCardinality, func(n *runs.Node) string { return n.NodeID }},
		{"node_name", LowCardinality, func(n *runs.Node) string { return n.NodeName }},
		{"node_type", LowCardinality, func(n *runs.Node) string { return n.NodeType }},
		{"parent_node_run_id", String, func(n *runs.Node) string { return n.ParentNodeRunID }},
		{"sequence", NullableInt64, func(n *runs.Node) *int64 { return n.Sequence }},
		{"status", LowCardinality, func(n *runs.Node) string { return n.Status }},
		{"started_at", Milliseconds, func(n *runs.Node) time.Time { return n.StartedAt }},
		{"ended_at", NullableMilliseconds, func(n *runs.Node) time.Time { return n.EndedAt }},
		{"updated_at", Microseconds, func(n *runs.Node) time.Time { return n.UpdatedAt }},
		{"inputs", String, func(n *runs.Node) string { return n.Inputs }},
		{"outputs", String, func(n *runs.Node) string { return n.Outputs }},
		{"prompt_template", String, func(n *runs.Node) string { return n.PromptTemplate }},
		{"prompt_variables", String, func(n *runs.Node) string { return n.PromptVariables }},
		{"messages", String, func(n *runs.Node) string { return n.Messages }},
		{"tools", String, func(n *runs.Node) string { return n.Tools }},
		{"model", LowCardinality, func(n *runs.Node) string { return n.Model }},
		{"parameters", Map, func(n *runs.Node) []runs.Pair { return n.Parameters }},
		{"chunks", ArrayOf(Chunks), func(n *runs.Node) []runs.Chunk { return n.Chunks }},
		{"error_type", LowCardinality, func(n *runs.Node) string { return orZero(n.Error).Type }},
		{"error_message", String, func(n *runs.Node) string { return orZero(n.Error).Message }},
		{"files", ArrayOf(Files), func(n *runs.Node) []runs.File { return n.Files }},
		{"usage_input_tokens", NullableInt64, func(n *runs.Node) *int64 { return orZero(n.Usage).InputTokens }},
		{"usage_output_tokens", NullableInt64, func(n *runs.Node) *int64 { return orZero(n.Usage).OutputTokens }},
		{"cost_usd", NullableFloat64, func(n *runs.Node) *float64 { return n.CostUSD }},
		{"metadata", Map, func(n *runs.Node) []runs.Pair { return n.Metadata }},
		{"input_group", String, (*runs.Node).InputGroup},
		{"context_hash", String, (*runs.Node).ContextHash},
		{"version", UInt64, (*runs.Node).Version},
	}

	Feedback = []Column[runs.Feedback]{
		{"workspace_id", LowCardinality, func(f *runs.Feedback) string { return f.WorkspaceID }},
		{"run_id", String, func(f *runs.Feedback) string { return f.RunID }},
		{"feedback_id", String, func(f *runs.Feedback) string { return f.FeedbackID }},
		{"name", LowCardinality, func(f *runs.Feedback) string { return f.Name }},
		{"kind", LowCardinality, func(f *runs.Feedback) string { return cmp.Or(f.Kind, "human") }},
		{"rating", LowCardinality, func(f *runs.Feedback) string { return f.Rating }},
		{"score", NullableFloat64, func(f *runs.Feedback) *float64 { return f.Score }},
		{"comment", String, func(f *runs.Feedback) string { return f.Comment }},
		{"tags", Strings, func(f *runs.Feedback) []string { return f.Tags }},
		{"corrected_answer", String, func(f *runs.Feedback) string { return f.CorrectedAnswer }},
		{"node_id", LowCardinality, func(f *runs.Feedback) string { return f.NodeID }},
		{"node_run_id", String, func(f *runs.Feedback) string { return f.NodeRunID }},
		{"created_by", String, func(f *runs.Feedback) string { return f.CreatedBy }},
		{"created_at", NullableMilliseconds, func(f *runs.Feedback) time.Time { return f.CreatedAt }},
		{"updated_at", Microseconds, func(f *runs.Feedback) time.Time { return f.UpdatedAt }},
		{"version", UInt64, (*runs.Feedback).Version},
	}
)

// The elements of the tuples in the array columns files and chunks.
var (
	Files = []Column[runs.File]{
		{"file_id", String, func(f *runs.File) string { return f.FileID }},
		{"name", String, func(f *runs.File) string { return f.Name }},
		{"uri", String, func(f *runs.File) string { return f.URI }},
		{"content_type", String, func(f *runs.File) string { return f.ContentType }},
		{"size_bytes", NullableInt64, func(f *runs.File) *int64 { return f.SizeBytes }},
		{"direction", String, func(f *runs.File) string { return f.Direction }},
	}

	Chunks = []Column[runs.Chunk]{
		{"chunk_id", String, func(c *runs.Chunk) string { return c.ChunkID }},
		{"text", String, func(c *runs.Chunk) string { return c.Text }},
		{"score", NullableFloat64, func(c *runs.Chunk) *float64 { return c.Score }},
		{"source_uri", String, func(c *runs.Chunk) string { return c.SourceURI }},
		{"title", String, func(c *runs.Chunk) string { return c.Title }},
		{"sent_to_llm", NullableBool, func(c *runs.Chunk) *bool { return c.SentToLLM }},
		{"used_in_answer", NullableBool, func(c *runs.Chunk) *bool { return c.UsedInAnswer }},
	}
)

// orZero returns what p points at, or the zero value where p is nil.
func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
