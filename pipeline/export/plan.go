package export

import (
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/runs"
)

// Plan is plan.json: the decisions about an export. It is the first object of the export and never
// changes.
type Plan struct {
	Version int `json:"plan_version"`
	ID
	// Hash is the hash of the request, or of its text where the request has mistakes.
	Hash string `json:"request_hash"`
	// PlannedBy is the topic/partition/offset of the request's record, by which a redelivered
	// record recognises its own plan.
	PlannedBy   string    `json:"planned_by"`
	RequestedAt time.Time `json:"requested_at"` // time of the request event
	AcceptedAt  time.Time `json:"accepted_at,omitzero"`
	TraceParent string    `json:"traceparent,omitempty"`
	Request     *Request  `json:"request"` // of a refused request, the readable fields
	// Refusal is the reason why the export fails without windows.
	Refusal *Error `json:"refusal,omitempty"`
	// Selection is the selection of the request, with the bounds at the time of planning.
	Selection Selection `json:"selection"`
	// Watermark is the upper bound of a window by ingested_at. The export ignores later rows.
	Watermark time.Time `json:"watermark,omitzero"`
	// Since is a lower bound of started_at of the selected rows, or zero where none is known. It
	// follows from Limit, and saves the reader from older rows.
	Since time.Time `json:"since,omitzero"`
	// Snapshot is the id of the snapshot of the selection in ClickHouse. It is empty where one
	// window reads the selection itself.
	Snapshot string `json:"stage_id,omitempty"`
	// NodeSnapshot is the id of the snapshot of the node runs of these runs, and NodeRuns is how many it has.
	// It is empty where the target reads none, and in plans of older releases.
	NodeSnapshot string `json:"node_stage_id,omitempty"`
	NodeRuns     int64  `json:"node_runs,omitempty"`
	// AllFeedback is whether all feedback of the workspace is read beside the one window, since there is
	// no more of it than rows.
	AllFeedback bool `json:"all_feedback,omitempty"`
	// Rows is the number of rows at the time of planning. Without a snapshot the one window reads
	// the rows later, and the number that it reads replaces Rows: see WindowManifest.
	Rows     int64           `json:"rows_planned"`
	Windows  []PlannedWindow `json:"windows"`
	Warnings []Warning       `json:"warnings,omitempty"`
	// Options are the options of the request, and those that the data decides.
	Options map[string]any `json:"options,omitempty"`
}

// Shares returns the shares of the request's splits, nil where it has none.
func (r *Request) Shares() *format.Shares {
	if r.Split == nil {
		return nil
	}
	return &format.Shares{Validation: r.Split.Validation, Test: r.Split.Test, Seed: r.Split.Seed}
}

// PlanVersion is the version of the plans that this release writes.
const PlanVersion = 1

// PlannedWindow is a part of the selection (invariant 3). Of a snapshot it is the Rows rows from
// the key From on. Without a snapshot it is the whole selection.
type PlannedWindow struct {
	Rows int64 `json:"rows"`
	From *Key  `json:"from,omitempty"`
	// LastStartedAt is when the last run of a snapshot of ungrouped runs started; of other windows it is zero, as in
	// plans of older releases.
	LastStartedAt time.Time `json:"last_started_at,omitzero"`
}

// Key is the position of a row in a snapshot. Keys compare field by field, texts byte by byte.
type Key struct {
	Group     string    `json:"group,omitempty"`
	StartedAt time.Time `json:"started_at"`
	RunID     string    `json:"run_id"`
	NodeRunID string    `json:"node_run_id,omitempty"`
}

// Bounded returns the selection without the rows that are older than Since.
func (p *Plan) Bounded() Selection {
	s := p.Selection
	if !p.Since.IsZero() {
		w := TimeWindow{By: ByStartedAt, From: p.Since, To: runs.EndTime()}
		if s.Window != nil {
			w.To = s.Window.To
		}
		s.Window = &w
	}
	return s
}

// Until returns the key at which a window of the snapshot ends, exclusively; nil for the last
// window.
func (p *Plan) Until(window int) *Key {
	if window+1 < len(p.Windows) {
		return p.Windows[window+1].From
	}
	return nil
}

// Window is the message on export-windows: extract this window.
type Window struct {
	ID
	Window int `json:"window"`
	// Direct marks the only window of a small export, which should not wait for windows of large
	// ones.
	Direct bool `json:"direct,omitempty"`
}

// Result is the message on export-results: an outcome that seal acts on.
type Result struct {
	ID
	Kind   ResultKind `json:"kind"`
	Window int        `json:"window,omitempty"` // of WindowDone and WindowFailed
	Error  *Error     `json:"error,omitempty"`  // of WindowFailed
}

// ResultKind is the kind of an outcome.
type ResultKind string

// The kinds of results.
const (
	WindowDone   ResultKind = "window_done"   // the window has a manifest
	WindowFailed ResultKind = "window_failed" // the window failed for good
	AllDone      ResultKind = "all_done"      // every window has a manifest; seal sends it to itself, see package seal
	Refused      ResultKind = "refused"       // the plan has a refusal
	Empty        ResultKind = "empty"         // the selection has no rows, and so no windows
	Cancelled    ResultKind = "cancelled"
)

// WindowManifest is windows/00003.json, the commit point of a window. The attempt whose objects it
// names creates it, once.
type WindowManifest struct {
	ID
	Window  int    `json:"window"`
	Attempt string `json:"attempt"` // part of the names of its objects
	// Rows is the number of source rows of the window. Each of them is used, dropped or vanished.
	// The completion accounts for these rows and not for the count of the plan: a selection without
	// a snapshot is read after it was counted, and may have changed in between.
	Rows     int64            `json:"rows"`
	RowsUsed int64            `json:"rows_used"`
	Vanished int64            `json:"vanished,omitempty"` // selected, but deleted or moved before they were read
	Records  int64            `json:"records"`
	Dropped  map[string]int64 `json:"dropped,omitempty"`
	Files    []File           `json:"files"`
	// Labels counts the records of split train by label, where the target has labels. Manifests of an
	// older release have none.
	Labels map[string]int64 `json:"labels,omitempty"`
	// Warnings counts warnings for the reader of the records by code, see format.WarningText.
	Warnings map[string]int64 `json:"warnings,omitempty"`
	// WarnedRuns has the first runs that each warning is about, see MaxWarnedRuns.
	WarnedRuns map[string][]string `json:"warned_runs,omitempty"`
	// InputKeys are the keys of inputs, where the keys of records depend on the rows.
	InputKeys []string `json:"input_keys,omitempty"`
	// Columns is the name of the object with the statistics of the window's columns; empty where none
	// are kept. Seal merges those of all windows.
	Columns   string    `json:"columns,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// File is an object of the export.
type File struct {
	Key          string    `json:"key"` // relative to the export's folder
	Kind         FileKind  `json:"kind"`
	Split        string    `json:"split,omitempty"`
	Window       int       `json:"window"`
	Records      int64     `json:"records"`
	Bytes        int64     `json:"bytes"`
	SHA256       string    `json:"sha256"` // of the object's bytes, hexadecimal
	MinStartedAt time.Time `json:"min_started_at,omitzero"`
	MaxStartedAt time.Time `json:"max_started_at,omitzero"`
}

// FileKind is the purpose of a file.
type FileKind string

// The kinds of files.
const (
	Data    FileKind = "data"
	Lineage FileKind = "lineage"
	Card    FileKind = "card"
	Other   FileKind = "other"
)

// Tally is the sum of window manifests.
type Tally struct {
	Windows  int
	Rows     int64
	RowsUsed int64
	Vanished int64
	Records  int64
	Train    int64            // records of split train
	Labels   map[string]int64 // records of split train, by label
	Dropped  map[string]int64
	Warnings map[string]int64
	// WarnedRuns has the first runs that each warning is about, in the order in which windows are
	// added.
	WarnedRuns map[string][]string
	InputKeys  []string // sorted
	Fragments  int64
	Bytes      int64 // of the data files
}

// Add adds a window.
func (t *Tally) Add(w *WindowManifest) {
	t.Windows++
	t.Rows += w.Rows
	t.RowsUsed += w.RowsUsed
	t.Vanished += w.Vanished
	t.Records += w.Records
	addAll(&t.Dropped, w.Dropped)
	addAll(&t.Labels, w.Labels)
	addAll(&t.Warnings, w.Warnings)
	for code, runs := range w.WarnedRuns {
		for _, run := range runs {
			nameRun(&t.WarnedRuns, code, run)
		}
	}
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
			if f.Split == format.Train {
				t.Train += f.Records
			}
		}
	}
}

// MaxWarnedRuns is how many runs a warning names.
const MaxWarnedRuns = 10

// Warn counts a warning about a run.
func (w *WindowManifest) Warn(code string, run []byte) {
	addAll(&w.Warnings, map[string]int64{code: 1})
	nameRun(&w.WarnedRuns, code, string(run))
}

// Warn counts a warning about a run.
func (t *Tally) Warn(code string, run []byte) {
	addAll(&t.Warnings, map[string]int64{code: 1})
	nameRun(&t.WarnedRuns, code, string(run))
}

// nameRun adds a run that a warning is about, unless the warning names enough runs.
func nameRun(all *map[string][]string, code, run string) {
	named := (*all)[code]
	if len(named) >= MaxWarnedRuns || run == "" || slices.Contains(named, run) {
		return
	}
	if *all == nil {
		*all = map[string][]string{}
	}
	(*all)[code] = append(named, run)
}

func addAll(sum *map[string]int64, counts map[string]int64) {
	for name, n := range counts {
		if *sum == nil {
			*sum = map[string]int64{}
		}
		(*sum)[name] += n
	}
}

// Clone returns a deep copy.
func (t *Tally) Clone() *Tally {
	c := *t
	c.Dropped, c.Warnings, c.Labels = maps.Clone(t.Dropped), maps.Clone(t.Warnings), maps.Clone(t.Labels)
	c.InputKeys, c.WarnedRuns = slices.Clone(t.InputKeys), maps.Clone(t.WarnedRuns)
	for code, runs := range c.WarnedRuns {
		c.WarnedRuns[code] = slices.Clone(runs)
	}
	return &c
}
