// Package record has rows of the history, and what records are made of. It is pure.
//
//	row.go       Row: what a formatter reads; clone.go copies node runs
//	needs.go     Needs: what rows must contain for a formatter
//	reader.go    reads JSON documents
//	texts.go     the texts of inputs, outputs, rendered prompts and passages
//	messages.go  chat messages, their content and tool calls
//	columns.go   records that are columns: each key once, with its type and its value
//	parts.go     columns that several purposes share
//	json.go      values of records that are written by hand
//	id.go        ids of records
package record

import "math"

// Row is a source row of an export: a run, or for node purposes a node run with the run around it.
// Each is the newest version, with its feedback. Texts are UTF-8. Documents are JSON as the
// producer wrote it. An empty text or document is absent. All slices are views into buffers of the
// reader that filled the row: they are valid until the reader goes to the next row.
type Row struct {
	WorkspaceID []byte // workspace and run are the identity, with Node.NodeRunID of a node run; never empty
	RunID       []byte
	RequestID   []byte
	Source      []byte // copilot | recipe
	AppID       []byte
	AppName     []byte
	SessionID   []byte
	UserID      []byte
	Trigger     []byte

	Execution // of the run; if the row is about a node run, only Status and InputGroup

	Question     []byte
	SystemInputs []byte // document: object; absent if the row is about a node run
	Answer       []byte
	Reference    []byte // the ground truth

	HasFeedback bool     // if false, ignore Feedback
	Feedback    Feedback // on the run; for a node run, that on the node run or its node, and then on the run
	TraceID     []byte

	// Node is the node run that the row is about, or nil if the row is about a run.
	Node *Node
	// Nodes are the node runs of the run that [Needs] selects, sorted by sequence and then by time.
	Nodes []Node
	// TooLarge reports that Nodes are incomplete, because they are larger than a record may be.
	TooLarge bool
	// Comparison is set if Needs asks for it.
	Comparison Comparison
	// Split is the split of the row's record, or nil if the request has no split. The Stream sets
	// it.
	Split []byte
	// Group is what rows are grouped by: see [Grouping]. Rows of a group come one after another.
	// Group is empty for a row that does not fit into its group, because the group has MaxGroup
	// newer rows.
	Group []byte
}

// Execution is what runs and node runs have in common.
type Execution struct {
	AppVersion []byte
	Status     []byte // running | succeeded | failed | cancelled

	StartedAt int64 // times are milliseconds since 1970, UTC
	EndedAt   Null[int64]
	UpdatedAt int64

	Inputs   []byte // document: object
	Outputs  []byte // document: object
	Messages []byte // document: array of chat messages, OpenAI shape
	Tools    []byte // document: array of tool definitions, OpenAI shape
	Model    []byte

	ErrorType    []byte
	ErrorMessage []byte

	Files        []File
	InputTokens  Null[int64]
	OutputTokens Null[int64]
	CostUSD      Null[float64]
	Metadata     []Pair // in the producer's order

	// InputGroup is equal for all executions of the same input: see runs.Run.InputGroup and
	// runs.Node.InputGroup. It has 32 hexadecimal digits. It is only set if Needs or a split asks
	// for it.
	InputGroup []byte
}

// Latency returns ended_at - started_at, in milliseconds.
func (e *Execution) Latency() Null[int64] {
	if !e.EndedAt.Valid {
		return Null[int64]{}
	}
	return Null[int64]{e.EndedAt.Value - e.StartedAt, true}
}

// Subject returns what the row is about: the node run, or else the run.
func (r *Row) Subject() *Execution {
	if r.Node != nil {
		return &r.Node.Execution
	}
	return &r.Execution
}

// NodeRunID returns the id of the node run that the row is about. It is empty if the row is about a
// run.
func (r *Row) NodeRunID() []byte {
	if r.Node != nil {
		return r.Node.NodeRunID
	}
	return nil
}

// Node is a node run.
type Node struct {
	NodeRunID       []byte
	NodeID          []byte
	NodeName        []byte
	NodeType        []byte // llm | retrieval | tool | code | router | … (free)
	ParentNodeRunID []byte
	Sequence        Null[int64]

	Execution

	PromptTemplate  []byte
	PromptVariables []byte // document: object
	Parameters      []Pair // values are JSON texts
	Chunks          []Chunk
}

// Chunk is a passage that a retrieval node found.
type Chunk struct {
	ChunkID, Text           []byte
	Score                   Null[float64]
	SourceURI, Title        []byte
	SentToLLM, UsedInAnswer Null[bool]
}

// File is a reference to a file that was an input or an output of a run.
type File struct {
	FileID, Name, URI, ContentType []byte
	SizeBytes                      Null[int64]
	Direction                      []byte // input | output
}

// Ratings.
const (
	RatedUp   = "thumbsUp"
	RatedDown = "thumbsDown"
)

// Feedback is what the judgements on a run or node run amount to: each field is that of the first
// judgement that has it. A person's judgements come before those of models and code, and newer ones
// before older ones.
type Feedback struct {
	Rating          []byte        // thumbsUp or thumbsDown
	Score           Null[float64] // of the judgements without a name
	Comment         []byte
	Tags            [][]byte
	CorrectedAnswer []byte
	// CorrectionOnNode reports, of a row about a node run, that the corrected answer is on the node run
	// or its node, and not on the whole run.
	CorrectionOnNode bool
	Scores           []Score     // the newest of each name
	Judgements       []Judgement // only if Needs asks for them: the newest first, at most 1,001
}

// Score is a score that has a name.
type Score struct {
	Name  []byte
	Value float64
	Label []byte // the rating beside it
}

// MaxJudgements is how many judgements a record shows at most.
const MaxJudgements = 1000

// Judgement is a judgement as it was given.
type Judgement struct {
	FeedbackID      []byte
	Name            []byte
	Kind            []byte // human | model | code
	Rating          []byte
	Score           Null[float64]
	Comment         []byte
	Tags            [][]byte
	CorrectedAnswer []byte
	CreatedBy       []byte
	CreatedAt       Null[int64]
}

// Comparison compares a row with the other exported rows of its input group.
type Comparison struct {
	Versions    [][]byte // the versions that have a row, in the order of their first started_at
	RunsInGroup int64
	Rank        int64 // 1 is the best: by score, then thumbsUp, then the newest
	BestVersion []byte
	// The newest row of the version before this one:
	HasPrevious     bool
	PreviousVersion []byte
	PreviousAnswer  []byte // of a run its answer; of a node run its outputs, a document
	PreviousScore   Null[float64]
}

// Pair is a key and its value.
type Pair struct{ Key, Value []byte }

// Null is a value that may be absent. Value counts only if Valid.
type Null[T any] struct {
	Value T
	Valid bool
}

// Verdict returns how good a row is. Score is -Inf if the feedback has none. Rating is 1 for
// thumbsUp, -1 for thumbsDown, and 0 for none.
func (r *Row) Verdict() (score float64, rating int) {
	score = math.Inf(-1)
	if !r.HasFeedback {
		return score, 0
	}
	if r.Feedback.Score.Valid {
		score = r.Feedback.Score.Value
	}
	switch string(r.Feedback.Rating) {
	case RatedUp:
		rating = 1
	case RatedDown:
		rating = -1
	}
	return score, rating
}
