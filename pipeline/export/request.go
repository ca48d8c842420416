package export

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/millrace/millrace/pipeline/export/format"
)

// Request is what is asked for. One that comes from [ParseRequest] is normalised: defaults are filled
// in, sets are sorted and times are UTC, so that two requests that mean the same are the same.
type Request struct {
	ID
	Name        string    `json:"name,omitempty"`
	RequestedBy string    `json:"requested_by,omitempty"`
	Purpose     string    `json:"purpose,omitempty"`
	Source      string    `json:"source,omitempty"`
	AppID       string    `json:"app_id,omitempty"`
	Selection   Selection `json:"selection"`
	Filters     Filters   `json:"filters"`
	Nodes       []string  `json:"nodes,omitempty"`
	Target      string    `json:"target,omitempty"`
	Format      string    `json:"format,omitempty"`
	Compression string    `json:"compression,omitempty"`
	Fragment    Fragment  `json:"fragment"`
	Split       *Split    `json:"split,omitempty"`
	// Options are those of the purpose and target; values are what encoding/json makes of them.
	Options map[string]any `json:"options,omitempty"`
}

// Selection says which source rows: RunIDs alone, or Limit, or Window, or Window and Limit.
type Selection struct {
	RunIDs []string    `json:"run_ids,omitempty"`
	Limit  int64       `json:"limit,omitempty"` // the most recent ones; 0 = no limit
	Window *TimeWindow `json:"window,omitempty"`
}

// TimeWindow is half-open: From is in, To is out.
type TimeWindow struct {
	By   string    `json:"by"` // ByStartedAt or ByIngestedAt
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// The times that a window may be by.
const (
	ByStartedAt  = "started_at"
	ByIngestedAt = "ingested_at"
)

// Filters are conditions that all must hold; the zero value of a field is no condition.
type Filters struct {
	AppVersions []string          `json:"app_versions,omitempty"`
	Statuses    []string          `json:"statuses,omitempty"`
	Rating      string            `json:"rating,omitempty"`
	MinScore    *float64          `json:"min_score,omitempty"`
	SessionID   *string           `json:"session_id,omitempty"`
	UserID      *string           `json:"user_id,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
}

// Fragment says when the next file starts: at whichever limit comes first; 0 is no limit.
type Fragment struct {
	MaxRecords int64 `json:"max_records"`
	MaxBytes   int64 `json:"max_bytes"`
}

// Split gives shares of the records to validation and test; the rest is train.
type Split struct {
	Validation float64 `json:"validation"`
	Test       float64 `json:"test"`
	Seed       int64   `json:"seed"`
}

// Hash is the SHA-256, hexadecimal, of the normalised request: the same request twice has it twice.
func (r *Request) Hash() string {
	doc, err := json.Marshal(r) // struct fields have an order, and maps are sorted
	if err != nil {
		panic(err) // the types are plain
	}
	return HashText(doc)
}

// HashText is the SHA-256 of a text, hexadecimal.
func HashText(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// WindowSize is the number of source rows of a window: the largest multiple of Fragment.MaxRecords up to
// limit, so that a window's last fragment is full, or MaxRecords itself where that is larger.
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

// Needs are what the rows of the request must bring along; none of a request without purpose.
func (r *Request) Needs() format.Needs {
	f, err := format.New(r.Purpose, r.Target, r.Options)
	if err != nil {
		return format.Needs{}
	}
	return f.Needs()
}
