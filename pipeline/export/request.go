package export

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// Request is a request for an export. [ParseRequest] normalises requests: it fills in defaults,
// sorts sets and converts times to UTC, so that two requests with the same meaning are equal.
type Request struct {
	ID
	Name        string    `json:"name,omitempty"`
	RequestedBy string    `json:"requested_by,omitempty"`
	OnBehalfOf  string    `json:"on_behalf_of,omitempty"`
	Purpose     string    `json:"purpose,omitempty"`
	Source      string    `json:"source,omitempty"`
	AppID       Apps      `json:"app_id,omitempty"`
	Selection   Selection `json:"selection"`
	Filters     Filters   `json:"filters"`
	Nodes       []string  `json:"nodes,omitempty"`
	Target      string    `json:"target,omitempty"`
	Format      string    `json:"format,omitempty"`
	Compression string    `json:"compression,omitempty"`
	Fragment    Fragment  `json:"fragment"`
	Split       *Split    `json:"split,omitempty"`
	// Options are the options of the purpose and target, decoded by encoding/json.
	Options map[string]any `json:"options,omitempty"`
}

// Selection selects source rows: by RunIDs alone, by Window, or by one of the limits or a sample, with or
// without Window. 0 is no limit.
type Selection struct {
	RunIDs []string `json:"run_ids,omitempty"`
	// Limit selects the most recent source rows: runs, or node runs, of which it is the number for
	// each of the nodes.
	Limit int64 `json:"limit,omitempty"`
	// LimitRuns selects the most recent runs, with all their node runs of the nodes. A request for
	// runs has it as Limit.
	LimitRuns int64       `json:"limit_runs,omitempty"`
	Sample    *Sample     `json:"sample,omitempty"`
	Window    *TimeWindow `json:"window,omitempty"`
}

// Sample selects Size runs, with all their node runs of the nodes. A hash of the seed and the run's id
// decides, so the same runs are selected again.
type Sample struct {
	Size int64 `json:"size"`
	Seed int64 `json:"seed"`
	// By names what divides the runs into strata, of which each gives as many runs, or all where it has
	// fewer: ByVersion, ByRating, ByStatus, or a key of metadata, with or without ByLabel before it. ""
	// is one stratum.
	By string `json:"by,omitempty"`
}

// What a sample may be divided by.
const (
	ByVersion = "version"
	ByRating  = "rating"
	ByStatus  = "status"
	ByLabel   = "metadata."
)

// TimeWindow is a half-open range of times: it includes From and excludes To.
type TimeWindow struct {
	By   string    `json:"by"` // ByStartedAt or ByIngestedAt
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// The times by which a window may select.
const (
	ByStartedAt  = "started_at"
	ByIngestedAt = "ingested_at"
)

// Fragment limits the size of a file: the next file starts at the first limit that is reached. 0 is
// no limit.
type Fragment struct {
	MaxRecords int64 `json:"max_records"`
	MaxBytes   int64 `json:"max_bytes"`
}

// Split assigns shares of the records, 0 to 1, to validation and test. The rest is train.
type Split struct {
	Validation float64 `json:"validation"`
	Test       float64 `json:"test"`
	Seed       int64   `json:"seed"`
}

// Hash returns the SHA-256 of the normalised request in hexadecimal. Equal requests have equal
// hashes.
func (r *Request) Hash() string {
	doc, err := json.Marshal(r) // struct fields have an order, and maps are sorted
	if err != nil {
		panic(err) // the types are plain
	}
	return HashText(doc)
}

// HashText returns the SHA-256 of a text in hexadecimal.
func HashText(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// WindowSize returns the number of source rows of a window: the largest multiple of
// Fragment.MaxRecords up to limit, so that the last fragment of a window is full, or MaxRecords
// where that is larger than limit.
func (r *Request) WindowSize(limit int64) int64 {
	n := r.Fragment.MaxRecords
	switch {
	case n == 0:
		return limit
	case n >= limit:
		return n
	}
	return limit - limit%n
}

// Needs returns the columns and related rows that the target needs with each source row. A request
// without a purpose needs none.
func (r *Request) Needs() record.Needs {
	f, err := targets.New(r.Purpose, r.Target, r.Options)
	if err != nil {
		return record.Needs{}
	}
	return f.Needs()
}
