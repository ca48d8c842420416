package record

import "math"

// Row is a source row of an export: a run, or for node purposes a node run with the run around it; the newest
// snapshot of each, with the newest feedback. Texts are UTF-8, and documents are JSON as the producer wrote
// it; one that is empty is absent. All slices are views into buffers of the reader that filled the row: they
// are valid until it goes on to the next row.
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

	Execution // of the run. Around a node run it has only Status and InputGroup

	Question     []byte
	SystemInputs []byte // document: object; absent around a node run
	Answer       []byte
	Reference    []byte // the ground truth

	HasFeedback bool     // without it, the fields of Feedback mean nothing
	Feedback    Feedback // on the run; of a node run the one on its node, or else the one on the run
	TraceID     []byte

	// Node is the node run that the row is about, nil where it is about a run.
	Node *Node
	// Nodes are node runs of the run, by sequence and then by time: those that [Needs] names.
	Nodes []Node
	// TooLarge says that Nodes are cut, since there is more of them than a record may hold.
	TooLarge bool
	// Comparison is filled where Needs asks for it.
	Comparison Comparison
	// Split is that of the row's record, nil where none was asked for. The Stream fills it in.
	Split []byte
	// Group is what the rows are grouped by, see [Grouping]. Rows of a group come one after another. It is
	// empty for a row that its group is too large for: MaxGroup newer ones are in it.
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

	// InputGroup is the same for all executions of the same input: see runs.Run.InputGroup and
	// runs.Node.InputGroup. 32 hexadecimal digits; only filled where Needs or a split ask for it.
	InputGroup []byte
}

// Latency is ended_at - started_at, in milliseconds.
func (e *Execution) Latency() Null[int64] {
	if !e.EndedAt.Valid {
		return Null[int64]{}
	}
	return Null[int64]{e.EndedAt.Value - e.StartedAt, true}
}

// Subject is what the row is about: the node run, or else the run.
func (r *Row) Subject() *Execution {
	if r.Node != nil {
		return &r.Node.Execution
	}
	return &r.Execution
}

// NodeRunID is that of the node run that the row is about; empty where it is about a run.
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

// File is a reference to a file that went into a run or came out of it.
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

// Feedback is the newest verdict on a run or node run.
type Feedback struct {
	Rating          []byte // thumbsUp or thumbsDown
	Score           Null[float64]
	Comment         []byte
	Tags            [][]byte
	CorrectedAnswer []byte
	OnNode          bool // of a row about a node run: it is on the run's node, and not on the whole run
}

// Comparison sets a row beside the others of its input group, among those that are exported.
type Comparison struct {
	Versions    [][]byte // the versions that have a row, in the order of their first started_at
	RunsInGroup int64
	Rank        int64 // 1 is the best: by score, then thumbsUp, then the newest
	BestVersion []byte
	// Of the version before this row's, its newest row.
	HasPrevious     bool
	PreviousVersion []byte
	PreviousAnswer  []byte // of a run its answer; of a node run its outputs, a document
	PreviousScore   Null[float64]
}

// Pair is a key and its value.
type Pair struct{ Key, Value []byte }

// Null is a value that may be absent: it is Value where Valid.
type Null[T any] struct {
	Value T
	Valid bool
}

// Verdict is how good a row is: the score, least where there is none, and then the rating, 1 for thumbsUp and -1 for
// thumbsDown.
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
