package export

import (
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/pipeline/export/format"
)

// Plan is plan.json: what an export was decided to be, once. It is created before anything else of the
// export and never changes.
type Plan struct {
	Version int `json:"plan_version"`
	ID
	// Hash is the request's; of one that has mistakes it is that of its text.
	Hash string `json:"request_hash"`
	// PlannedBy is the topic/partition/offset of the request's record: a record that comes again finds
	// its own plan by it.
	PlannedBy   string    `json:"planned_by"`
	RequestedAt time.Time `json:"requested_at"` // time of the request event
	AcceptedAt  time.Time `json:"accepted_at,omitzero"`
	TraceParent string    `json:"traceparent,omitempty"`
	Request     *Request  `json:"request"` // of a refused one, what could be read of it
	// Refusal is why there are no windows although the request asks for some.
	Refusal *Error `json:"refusal,omitempty"`
	// Selection is the request's with the bounds that were current when it was planned.
	Selection Selection `json:"selection"`
	// Watermark is the upper bound of a window by ingested_at, after which nothing was looked at.
	Watermark time.Time `json:"watermark,omitzero"`
	// Since is when the oldest row can have started that the selection has, or zero if that is not known. It
	// follows from Limit, and saves reading what is older.
	Since time.Time `json:"since,omitzero"`
	// Stage is the id of the stage in ClickHouse that froze the selection; empty where one window reads the
	// selection itself.
	Snapshot string `json:"stage_id,omitempty"`
	// Rows is how many rows the selection had then. Where nothing froze it, the one window reads its rows
	// later, and what it read counts: see WindowManifest.
	Rows     int64           `json:"rows_planned"`
	Windows  []PlannedWindow `json:"windows"`
	Warnings []Warning       `json:"warnings,omitempty"`
	// Options are those of the request, and those that the selection decided.
	Options map[string]any `json:"options,omitempty"`
}

// Shares are those of the request's splits; nil where it has none.
func (r *Request) Shares() *format.Shares {
	if r.Split == nil {
		return nil
	}
	return &format.Shares{Validation: r.Split.Validation, Test: r.Split.Test, Seed: r.Split.Seed}
}

// PlanVersion is that of the plans this release writes.
const PlanVersion = 1

// PlannedWindow is a part of the selection (invariant 3): of a stage, the Rows rows from the key From on; else
// the whole selection.
type PlannedWindow struct {
	Rows int64 `json:"rows"`
	From *Key  `json:"from,omitempty"`
}

// Key is the place of a row in a stage; its order is that of the fields, texts byte by byte.
type Key struct {
	Group     string    `json:"group,omitempty"`
	StartedAt time.Time `json:"started_at"`
	RunID     string    `json:"run_id"`
	NodeRunID string    `json:"node_run_id,omitempty"`
}

// endOfTime is after every started_at.
var endOfTime = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// Bounded is the selection without what is older than Since.
func (p *Plan) Bounded() Selection {
	s := p.Selection
	if !p.Since.IsZero() {
		w := TimeWindow{By: ByStartedAt, From: p.Since, To: endOfTime}
		if s.Window != nil {
			w.To = s.Window.To
		}
		s.Window = &w
	}
	return s
}

// Until returns the key before which a window of the stage ends, nil for the last one.
func (p *Plan) Until(window int) *Key {
	if window+1 < len(p.Windows) {
		return p.Windows[window+1].From
	}
	return nil
}

// Window is the message on export-windows: extract this one.
type Window struct {
	ID
	Window int `json:"window"`
	// Direct says that it is the only window of its export, which nobody has to wait for long.
	Direct bool `json:"direct,omitempty"`
}

// Result is the message on export-results: what seal has to know.
type Result struct {
	ID
	Kind   ResultKind `json:"kind"`
	Window int        `json:"window,omitempty"` // of WindowDone and WindowFailed
	Error  *Error     `json:"error,omitempty"`  // of WindowFailed
}

// ResultKind says what a result is about.
type ResultKind string

// The kinds of results.
const (
	WindowDone   ResultKind = "window_done"   // its manifest is in the bucket
	WindowFailed ResultKind = "window_failed" // and will not be tried again
	AllDone      ResultKind = "all_done"      // every window has its manifest; seal tells itself, see there
	Refused      ResultKind = "refused"       // by the plan
	Empty        ResultKind = "empty"         // the selection has no rows, so there are no windows
	Cancelled    ResultKind = "cancelled"
)

// WindowManifest is windows/00003.json, the commit point of a window: created once, by the attempt whose
// objects it names.
type WindowManifest struct {
	ID
	Window  int    `json:"window"`
	Attempt string `json:"attempt"` // part of the names of its objects
	// Rows is how many source rows the window had; every one of them is used, dropped or vanished. These,
	// and not the plan's count, are what the completion accounts for: a selection that was not staged is
	// read after it was counted, and may have changed in between.
	Rows     int64            `json:"rows"`
	RowsUsed int64            `json:"rows_used"`
	Vanished int64            `json:"vanished,omitempty"` // staged, but deleted from ClickHouse before they were read
	Records  int64            `json:"records"`
	Dropped  map[string]int64 `json:"dropped,omitempty"`
	Files    []File           `json:"files"`
	// Warnings counts what the reader of the records should know, see format.WarningText.
	Warnings map[string]int64 `json:"warnings,omitempty"`
	// InputKeys are the keys that are inputs, of records whose keys depend on the rows.
	InputKeys []string  `json:"input_keys,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// File is an object of the export.
type File struct {
	Key          string    `json:"key"`  // relative to the export's folder
	Kind         FileKind  `json:"kind"` // data is what the export is for
	Split        string    `json:"split,omitempty"`
	Window       int       `json:"window"`
	Records      int64     `json:"records"`
	Bytes        int64     `json:"bytes"`
	SHA256       string    `json:"sha256"` // of the object's bytes, hexadecimal
	MinStartedAt time.Time `json:"min_started_at,omitzero"`
	MaxStartedAt time.Time `json:"max_started_at,omitzero"`
}

// FileKind says what a file is.
type FileKind string

// The kinds of files.
const (
	Data    FileKind = "data"
	Lineage FileKind = "lineage"
	Card    FileKind = "card"
	Other   FileKind = "other"
)

// Tally sums up window manifests.
type Tally struct {
	Windows   int
	Rows      int64
	RowsUsed  int64
	Vanished  int64
	Records   int64
	Dropped   map[string]int64
	Warnings  map[string]int64
	InputKeys []string // sorted
	Fragments int64
	Bytes     int64 // of the data files
}

// Add adds a window.
func (t *Tally) Add(w *WindowManifest) {
	t.Windows++
	t.Rows += w.Rows
	t.RowsUsed += w.RowsUsed
	t.Vanished += w.Vanished
	t.Records += w.Records
	addAll(&t.Dropped, w.Dropped)
	addAll(&t.Warnings, w.Warnings)
	if len(w.InputKeys) > 0 {
		t.InputKeys = append(t.InputKeys, w.InputKeys...)
		slices.Sort(t.InputKeys)
		t.InputKeys = slices.Compact(t.InputKeys)
		t.InputKeys = t.InputKeys[:min(len(t.InputKeys), format.MaxKeys)]
	}
	for _, f := range w.Files {
		if f.Kind == Data {
			t.Fragments++
			t.Bytes += f.Bytes
		}
	}
}

func addAll(sum *map[string]int64, counts map[string]int64) {
	for name, n := range counts {
		if *sum == nil {
			*sum = map[string]int64{}
		}
		(*sum)[name] += n
	}
}

// Clone returns a copy.
func (t *Tally) Clone() *Tally {
	c := *t
	c.Dropped, c.Warnings, c.InputKeys = maps.Clone(t.Dropped), maps.Clone(t.Warnings), slices.Clone(t.InputKeys)
	return &c
}
