package format

// Row is a run, the newest snapshot of it, with the newest feedback on it. Texts are UTF-8, and documents
// are JSON as the producer wrote it; one that is empty is absent. All slices are views into buffers of
// the reader that filled the row: they are valid until it goes on to the next row.
type Row struct {
	WorkspaceID []byte // workspace and run are the identity, and never empty
	RunID       []byte
	RequestID   []byte
	Source      []byte // copilot | recipe
	AppID       []byte
	AppName     []byte
	AppVersion  []byte
	SessionID   []byte
	UserID      []byte
	Trigger     []byte
	Status      []byte // running | succeeded | failed | cancelled

	StartedAt int64 // times are milliseconds since 1970, UTC
	EndedAt   Null[int64]
	UpdatedAt int64

	Question     []byte
	Inputs       []byte // document: object
	SystemInputs []byte // document: object
	Messages     []byte // document: array of chat messages, OpenAI shape
	Tools        []byte // document: array of tool definitions, OpenAI shape
	Answer       []byte
	Outputs      []byte // document: object
	Reference    []byte

	ErrorType    []byte
	ErrorMessage []byte

	Files []File

	HasFeedback  bool // without it, the fields of Feedback mean nothing
	Feedback     Feedback
	Model        []byte
	InputTokens  Null[int64]
	OutputTokens Null[int64]
	CostUSD      Null[float64]
	Metadata     []Pair // in the producer's order
	TraceID      []byte
}

// File is a reference to a file that went into a run or came out of it.
type File struct {
	FileID, Name, URI, ContentType []byte
	SizeBytes                      Null[int64]
	Direction                      []byte // input | output
}

// Feedback is the newest verdict on a run.
type Feedback struct {
	Rating          []byte // thumbsUp | thumbsDown
	Score           Null[float64]
	Comment         []byte
	Tags            [][]byte
	CorrectedAnswer []byte
}

// Pair is a key and its value.
type Pair struct{ Key, Value []byte }

// Null is a value that may be absent: it is Value where Valid.
type Null[T any] struct {
	Value T
	Valid bool
}
