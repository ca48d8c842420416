package record

// Needs is what rows must bring along for a formatter.
type Needs struct {
	Group      Grouping
	Comparison bool // Row.Comparison; with Group ByInput
	Nodes      NodeRuns
}

// Grouping is what rows are grouped by. Groups have up to MaxGroup rows, the newest.
type Grouping int

// The groupings.
const (
	Ungrouped  Grouping = iota
	ByInput             // Subject().InputGroup
	ByTemplate          // Node.PromptTemplate
)

// MaxGroup is how many rows a group has at most. Others are dropped as group_too_large.
const MaxGroup = 1000

// NodeRuns is which node runs of a run Row.Nodes has.
type NodeRuns int

// The node runs that a row brings along; each has those before it.
const (
	NoNodes       NodeRuns = iota
	WithChunks             // those that found chunks
	WithToolCalls          // and those whose node_type is tool
	AllNodes
)

// Canonical is the target of every purpose but fine_tuning that keeps what the producer sent.
const Canonical = "canonical"
