// Package history reads what the History view shows: runs, their node runs, and their apps.
//
//   - history.go: the types of queries and answers
//   - runs.go, search.go, cursor.go: pages of runs
//   - run.go, noderuns.go, feedback.go: one run with all that belongs to it
//   - chart.go, sorted.go: the numbers of runs along their time; lists in another order
//   - compare.go, compared.go, comparednodes.go: the versions of an app on the inputs that they share
//   - apps.go, versions.go, counts.go, nodes.go: apps and their nodes, with their versions and numbers
//   - values.go: values that a filter may have
//   - query.go, columns.go: running a query, and the columns it reads
package history

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/millrace/millrace/pipeline/export"
)

// ErrNotFound means that the workspace has no such run or app.
var ErrNotFound = errors.New("not found")

// ErrCursor means that a cursor was not returned by this listing.
var ErrCursor = errors.New("is not a cursor of this listing: start without one")

// ErrTooSlow means that the answer took longer than [maxDuration].
var ErrTooSlow = errors.New("the search took longer than 20 seconds: narrow the time range, or choose an app")

// Query selects runs of a workspace, newest first. Zero fields are no condition. An export with these
// filters has the same runs.
type Query struct {
	Workspace string
	Source    string // copilot or recipe
	AppID     string
	export.Filters
	From, To time.Time // of started_at, half-open
	RunIDs   []string
	Sort     string // SortLatency or SortCost; "": the newest first
	Cursor   string // from Page.Next; "" is the first page
	Limit    int    // 1 to 200
}

// Orders of a list beside that of time. Runs without the number come last.
const (
	SortLatency = "latency" // the slowest first
	SortCost    = "cost"    // the dearest first
)

// Page is a page of runs.
type Page struct {
	Runs []Run  `json:"runs"`
	Next string `json:"next,omitempty" doc:"Cursor of the next page; absent on the last one."`
}

// Run is a run as the History view lists it. Its long texts are cut in a [Page] and whole in a
// [Detail].
type Run struct {
	WorkspaceID string     `json:"workspace_id"`
	RunID       string     `json:"run_id"`
	RequestID   string     `json:"request_id,omitempty"`
	Source      string     `json:"source" enum:"copilot,recipe"`
	AppID       string     `json:"app_id"`
	AppName     string     `json:"app_name,omitempty"`
	AppVersion  string     `json:"app_version,omitempty"`
	SessionID   string     `json:"session_id,omitempty"`
	UserID      string     `json:"user_id,omitempty"`
	Model       string     `json:"model,omitempty"`
	TraceID     string     `json:"trace_id,omitempty"`
	Trigger     string     `json:"trigger,omitempty"`
	Status      string     `json:"status" enum:"running,succeeded,failed,cancelled"`
	StartedAt   time.Time  `json:"started_at"`
	EndedAt     *time.Time `json:"ended_at,omitempty"`
	Question    string     `json:"question,omitempty" doc:"In a list, its first 2,000 characters, and so of every long text."`
	Answer      string     `json:"answer,omitempty"`
	Error       *Error     `json:"error,omitempty"`
	Files       []File     `json:"files"`
	Usage       *Usage     `json:"usage,omitempty"`
	CostUSD     *float64   `json:"cost_usd,omitempty"`
	Feedback    *Feedback  `json:"feedback,omitempty" doc:"The judgements on the whole run, merged: each field is that of the newest judgement that has it, a person's before a model's and code's. feedback_id, created_by and created_at are those of the first."`

	QuestionTruncated bool  `json:"question_truncated,omitempty"`
	AnswerTruncated   bool  `json:"answer_truncated,omitempty"`
	FilesOmitted      int64 `json:"files_omitted,omitempty" doc:"How many files there are, where files is empty since they are over 64 KiB of text."`
}

// Error is what went wrong in a run or node run.
type Error struct {
	Type    string `json:"type,omitempty"`
	Message string `json:"message,omitempty"`
}

// Usage is how many tokens went in and came out.
type Usage struct {
	InputTokens  *int64 `json:"input_tokens,omitempty"`
	OutputTokens *int64 `json:"output_tokens,omitempty"`
}

// File is a reference to a file that went in or came out.
type File struct {
	FileID      string `json:"file_id,omitempty"`
	Name        string `json:"name,omitempty"`
	URI         string `json:"uri,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	SizeBytes   *int64 `json:"size_bytes,omitempty"`
	Direction   string `json:"direction,omitempty"`
}

// Feedback is a judgement on a run, or on one of its nodes or node runs. As the feedback of a run it
// is all judgements on the whole run, merged.
type Feedback struct {
	FeedbackID      string     `json:"feedback_id"`
	NodeID          string     `json:"node_id,omitempty"`
	NodeRunID       string     `json:"node_run_id,omitempty"`
	Name            string     `json:"name,omitempty" doc:"What the score measures; absent: the run or node as a whole."`
	Kind            string     `json:"kind,omitempty" enum:"human,model,code" doc:"Who judged; absent where judgements are merged."`
	Rating          string     `json:"rating,omitempty" enum:"thumbsUp,thumbsDown"`
	Score           *float64   `json:"score,omitempty"`
	Comment         string     `json:"comment,omitempty"`
	Tags            []string   `json:"tags,omitempty"`
	CorrectedAnswer string     `json:"corrected_answer,omitempty"`
	CreatedBy       string     `json:"created_by,omitempty"`
	CreatedAt       *time.Time `json:"created_at,omitempty"`
	Truncated       bool       `json:"truncated,omitempty" doc:"Whether comment or corrected_answer is cut."`
	Scores          []Score    `json:"scores,omitempty" doc:"Where judgements are merged: the newest score of each name."`
}

// Score is a score that has a name.
type Score struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Label string  `json:"label,omitempty" doc:"The rating beside it."`
}

// Detail is a run with everything stored about it. Documents are as the producer sent them.
type Detail struct {
	Run
	Reference    string            `json:"reference,omitempty"`
	Inputs       json.RawMessage   `json:"inputs,omitempty"`
	SystemInputs json.RawMessage   `json:"system_inputs,omitempty"`
	Outputs      json.RawMessage   `json:"outputs,omitempty"`
	Messages     json.RawMessage   `json:"messages,omitempty"`
	Tools        json.RawMessage   `json:"tools,omitempty"`
	Metadata     map[string]string `json:"metadata,omitempty"`
	UpdatedAt    time.Time         `json:"updated_at"`
	Nodes        []NodeRun         `json:"nodes" doc:"Its node runs, in their order."`
	NodesOmitted int64             `json:"nodes_omitted,omitempty" doc:"How many node runs are not in nodes, which has the first 1,000."`
	AllFeedback  []Feedback        `json:"all_feedback" doc:"Every judgement on the run and its nodes, newest first, up to 100."`

	DocumentsOmitted bool `json:"documents_omitted,omitempty" doc:"Whether node runs were too large in all, so that the later ones lack their documents."`
}

// NodeRun is a node's execution inside a run.
type NodeRun struct {
	NodeRunID       string            `json:"node_run_id"`
	NodeID          string            `json:"node_id"`
	NodeName        string            `json:"node_name,omitempty"`
	NodeType        string            `json:"node_type,omitempty"`
	ParentNodeRunID string            `json:"parent_node_run_id,omitempty"`
	Sequence        *int64            `json:"sequence,omitempty"`
	Status          string            `json:"status" enum:"running,succeeded,failed,cancelled"`
	StartedAt       time.Time         `json:"started_at"`
	EndedAt         *time.Time        `json:"ended_at,omitempty"`
	Model           string            `json:"model,omitempty"`
	PromptTemplate  string            `json:"prompt_template,omitempty"`
	PromptVariables json.RawMessage   `json:"prompt_variables,omitempty"`
	Parameters      map[string]string `json:"parameters,omitempty" doc:"Each value is a JSON text."`
	Inputs          json.RawMessage   `json:"inputs,omitempty"`
	Outputs         json.RawMessage   `json:"outputs,omitempty"`
	Messages        json.RawMessage   `json:"messages,omitempty"`
	Error           *Error            `json:"error,omitempty"`
	Usage           *Usage            `json:"usage,omitempty"`
	CostUSD         *float64          `json:"cost_usd,omitempty"`
	Chunks          []Chunk           `json:"chunks,omitempty"`

	DocumentsOmitted bool `json:"documents_omitted,omitempty" doc:"Whether inputs, outputs, messages, prompt and chunks are left out, since the answer would be over 16 MiB."`
}

// Chunk is a passage that a retrieval node found.
type Chunk struct {
	ChunkID      string   `json:"chunk_id,omitempty"`
	Text         string   `json:"text,omitempty"`
	Score        *float64 `json:"score,omitempty"`
	SourceURI    string   `json:"source_uri,omitempty"`
	Title        string   `json:"title,omitempty"`
	SentToLLM    *bool    `json:"sent_to_llm,omitempty"`
	UsedInAnswer *bool    `json:"used_in_answer,omitempty"`
}

// App is a copilot or recipe with the numbers of its last days.
type App struct {
	Source     string    `json:"source" enum:"copilot,recipe"`
	AppID      string    `json:"app_id"`
	AppName    string    `json:"app_name,omitempty" doc:"The name in its newest run."`
	Versions   []string  `json:"versions" doc:"The newest versions, newest first, up to 50, of the last 90 days."`
	LastRunAt  time.Time `json:"last_run_at"`
	Days       []Day     `json:"days" doc:"The last days, oldest first; days without runs too."`
	Runs       int64     `json:"runs" doc:"Runs of these days, and so are the numbers below."`
	Succeeded  int64     `json:"succeeded"`
	Failed     int64     `json:"failed"`
	ThumbsUp   int64     `json:"thumbs_up"`
	ThumbsDown int64     `json:"thumbs_down"`
}

// Day is how many runs an app had on a day, in UTC.
type Day struct {
	Date string `json:"date" format:"date"`
	Runs int64  `json:"runs"`
}

// Node is a node of an app, as its runs of the last 90 days show it.
type Node struct {
	NodeID    string    `json:"node_id"`
	NodeName  string    `json:"node_name,omitempty"`
	NodeType  string    `json:"node_type,omitempty"`
	NodeRuns  int64     `json:"node_runs"`
	LastRunAt time.Time `json:"last_run_at"`
}
