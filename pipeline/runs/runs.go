// Package runs has the run events of the contract: their types, and their decoding from JSON, which
// checks every rule of the contract. It is pure: it knows neither Kafka nor ClickHouse.
//
//   - runs.go: the types of events, and the order of their snapshots
//   - decode.go, fields.go, messages.go: decoding
//   - groups.go, normal.go: which runs have the same input, and the same context
//
// A run is one execution of a copilot (a conversational assistant) or of a recipe (a workflow of
// nodes); a node run is one node's execution inside it. Every event is a snapshot: a later one, by
// its Version, replaces an earlier one of the same identity.
package runs

import "time"

// The event types of topic runs.
const (
	TypeRun      = "dev.millrace.run.v1"
	TypeNode     = "dev.millrace.node.v1"
	TypeFeedback = "dev.millrace.feedback.v1"
)

// Event is one of *Run, *Node and *Feedback.
type Event interface {
	// Type is the CloudEvents type.
	Type() string
	// Workspace is the workspace's id.
	Workspace() string
}

// Doc is a JSON document as the producer wrote it, without the white space between its tokens; ""
// is absent.
type Doc = string

// Run is a snapshot of a whole run. A text field that is absent is ""; a time that is absent is the
// zero time.
type Run struct {
	WorkspaceID, RunID string
	Source             string // copilot | recipe
	AppID              string
	AppName            string
	AppVersion         string
	RequestID          string
	SessionID          string
	UserID             string
	Model              string
	TraceID            string
	Trigger            string
	Status             string // running | succeeded | failed | cancelled
	StartedAt          time.Time
	EndedAt            time.Time
	UpdatedAt          time.Time

	Question, Answer, Reference string
	Inputs                      Doc // object
	SystemInputs                Doc // object
	Outputs                     Doc // object
	Messages                    Doc // array of chat messages, OpenAI shape
	Tools                       Doc // array of tool definitions, OpenAI shape

	Error    *Error
	Files    []File
	Usage    *Usage
	CostUSD  *float64
	Metadata []Pair
}

// Node is a snapshot of one node's execution inside a run.
type Node struct {
	WorkspaceID, RunID, NodeRunID string
	Source                        string
	AppID                         string
	AppVersion                    string
	NodeID                        string
	NodeName                      string
	NodeType                      string // llm | retrieval | tool | code | router | … (free)
	ParentNodeRunID               string
	Sequence                      *int64
	Status                        string
	StartedAt                     time.Time
	EndedAt                       time.Time
	UpdatedAt                     time.Time

	Inputs          Doc // object
	Outputs         Doc // object
	PromptTemplate  string
	PromptVariables Doc // object
	Messages        Doc // array
	Tools           Doc // array
	Model           string
	Parameters      []Pair // values are JSON texts
	Chunks          []Chunk

	Error    *Error
	Files    []File
	Usage    *Usage
	CostUSD  *float64
	Metadata []Pair
}

// Feedback is a judgement on a run, or on a node or a node run of it where NodeID or NodeRunID is
// set.
type Feedback struct {
	WorkspaceID, RunID, FeedbackID string
	Name                           string // what Score measures; "" is the run as a whole
	Kind                           string // human | model | code; "" is stored as human
	Rating                         string // thumbsUp | thumbsDown | ""
	Score                          *float64
	Comment                        string
	Tags                           []string
	CorrectedAnswer                string
	NodeID                         string
	NodeRunID                      string
	CreatedBy                      string
	CreatedAt                      time.Time
	UpdatedAt                      time.Time
}

// Error is why a run or a node run failed.
type Error struct{ Type, Message string }

// File is a reference to a file that went in or came out. It never has the file's bytes.
type File struct {
	FileID, Name, URI, ContentType string
	SizeBytes                      *int64
	Direction                      string // input | output | ""
}

// Chunk is a passage that a retrieval node found.
type Chunk struct {
	ChunkID, Text    string
	Score            *float64
	SourceURI, Title string
	SentToLLM        *bool
	UsedInAnswer     *bool
}

// Usage counts tokens.
type Usage struct{ InputTokens, OutputTokens *int64 }

// Pair is a key and its value, in the order of the event.
type Pair struct{ Key, Value string }

func (*Run) Type() string      { return TypeRun }
func (*Node) Type() string     { return TypeNode }
func (*Feedback) Type() string { return TypeFeedback }

func (r *Run) Workspace() string      { return r.WorkspaceID }
func (n *Node) Workspace() string     { return n.WorkspaceID }
func (f *Feedback) Workspace() string { return f.WorkspaceID }

// Version orders the snapshots of one identity: the newer updated_at wins, and at the same
// microsecond a final status wins over running.
func (r *Run) Version() uint64 { return version(r.UpdatedAt, r.Status != "running") }

// Version orders the snapshots of one identity, see [Run.Version].
func (n *Node) Version() uint64 { return version(n.UpdatedAt, n.Status != "running") }

// Version orders the snapshots of one identity, see [Run.Version].
func (f *Feedback) Version() uint64 { return version(f.UpdatedAt, true) }

func version(at time.Time, final bool) uint64 {
	v := uint64(at.UnixMicro()) * 2 // the decoder refuses times before 1970
	if final {
		v++
	}
	return v
}
