package record

// Needs is what rows must contain for a formatter.
type Needs struct {
	Group      Grouping
	Comparison bool // Row.Comparison; with Group ByInput
	Nodes      NodeRuns
	Judgements bool // Row.Feedback.Judgements
}

// Grouping is what rows are grouped by. A group has the newest rows, at most MaxGroup.
type Grouping int

// The groupings.
const (
	Ungrouped  Grouping = iota
	ByInput             // Subject().InputGroup: what was asked
	ByContext           // what was asked, of which system prompt and tools: see runs.Run.ContextHash
	ByTemplate          // Node.PromptTemplate
)

// MaxGroup is the largest number of rows of a group. Older rows are dropped as group_too_large.
const MaxGroup = 1000

// NodeRuns selects the node runs of a run that Row.Nodes has.
type NodeRuns int

// The selections of node runs. Each includes the one before it.
const (
	NoNodes       NodeRuns = iota
	WithChunks             // node runs that have chunks
	WithToolCalls          // and node runs whose node_type is tool
	AllNodes
)

// Canonical is the name of the target that keeps what the producer sent. Every purpose but
// fine_tuning has it.
const Canonical = "canonical"
