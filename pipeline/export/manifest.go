package export

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// Status is the status of an export.
type Status string

// The statuses of exports.
const (
	StatusAccepted  Status = "accepted"
	StatusRunning   Status = "running"
	StatusSucceeded Status = "succeeded"
	StatusFailed    Status = "failed"
	StatusCancelled Status = "cancelled"
)

// Final reports whether an export with the status has ended.
func (s Status) Final() bool {
	return s == StatusSucceeded || s == StatusFailed || s == StatusCancelled
}

// Manifest is manifest.json, the commit point of an export, whatever its outcome (invariant 6).
type Manifest struct {
	Version int    `json:"manifest_version"`
	Status  Status `json:"status"`
	ID
	Name        string   `json:"name,omitempty"`
	Purpose     string   `json:"purpose,omitempty"`
	Target      string   `json:"target,omitempty"`
	Format      string   `json:"format,omitempty"`
	Compression string   `json:"compression,omitempty"`
	Request     *Request `json:"request"`
	// SchemaID names the shape of the records. A changed shape has a new id.
	SchemaID  string    `json:"schema_id,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	// SealedBy is the topic/partition/offset of the result's record that ended the export, by which
	// a redelivered record recognises that it has to send the completion.
	SealedBy  string           `json:"sealed_by"`
	Watermark time.Time        `json:"watermark,omitzero"`
	Totals    Totals           `json:"totals"`
	Dropped   map[string]int64 `json:"dropped"`
	Warnings  []Warning        `json:"warnings"`
	Error     *Error           `json:"error"`
	Files     []File           `json:"files"` // empty unless Status is succeeded
}

// ManifestVersion is the version of the manifests that this release writes.
const ManifestVersion = 1

// Totals are the totals of an export. Of a successful export, RowsUsed, the dropped rows and
// Vanished sum up to RowsPlanned.
type Totals struct {
	Records     int64 `json:"records"`
	RowsPlanned int64 `json:"rows_planned"`
	RowsUsed    int64 `json:"rows_used"`
	Vanished    int64 `json:"vanished,omitempty"` // rows deleted or moved before they were read
	Bytes       int64 `json:"bytes"`              // of the data files
	Files       int64 `json:"files"`              // data files
}

// Warning is a warning for the reader of the data set.
type Warning struct {
	Code    string   `json:"code"`
	Message string   `json:"message"`
	Count   int64    `json:"count,omitempty"`
	RunIDs  []string `json:"run_ids,omitempty"` // some of the runs that the warning is about
}

// RowsVanished is the code of the warning that selected rows were deleted before they were read.
const RowsVanished = "rows_vanished"

// SchemaID returns the name of the shape of the records of a purpose and target.
func SchemaID(purpose, target string) string {
	return "urn:millrace:records:" + purpose + ":" + target + ":v1"
}

// NewManifest returns the manifest of an export that the record sealedBy ended. Failure is the
// error of a failed export. Windows are the manifests of all windows, in order; only a successful
// export has their files.
func NewManifest(p *Plan, status Status, failure *Error, windows []*WindowManifest, sealedBy string,
	createdAt time.Time) *Manifest {
	m := &Manifest{
		Version: ManifestVersion, Status: status, ID: p.ID, Request: p.Request, CreatedAt: createdAt, SealedBy: sealedBy,
		Name: p.Request.Name, Purpose: p.Request.Purpose, Target: p.Request.Target, Format: p.Request.Format,
		Compression: p.Request.Compression,
		Dropped:     map[string]int64{}, Warnings: []Warning{}, Error: failure, Files: []File{},
	}
	if status != StatusSucceeded {
		m.Totals.RowsPlanned = p.Rows
		return m
	}
	var t Tally
	for _, w := range windows {
		t.Add(w)
		m.Files = append(m.Files, w.Files...)
	}
	m.SchemaID = SchemaID(m.Purpose, m.Target)
	m.Watermark = p.Watermark
	m.Warnings = append(m.Warnings, p.Warnings...)
	if t.Dropped != nil {
		m.Dropped = t.Dropped
	}
	m.Warnings = append(m.Warnings, RecordWarnings(p.Request, &t)...)
	if t.Vanished > 0 {
		m.Warnings = append(m.Warnings, Warning{
			Code: RowsVanished, Count: t.Vanished,
			Message: fmt.Sprintf("%d of the selected rows were deleted from ClickHouse between planning and reading, and are "+
				"not in the files", t.Vanished),
		})
	}
	m.Totals = Totals{
		Records: t.Records, RowsPlanned: t.Rows, RowsUsed: t.RowsUsed, Vanished: t.Vanished, Bytes: t.Bytes,
		Files: t.Fragments,
	}
	return m
}

// Codes of warnings about all records together.
const (
	TooFewRecords  = "too_few_records"
	TooManyRecords = "too_many_records"
	MissingLabel   = "missing_label"
)

// RecordWarnings returns warnings for the reader of the records of all windows: the counted ones, by
// code, with some of their runs, and what keeps the records of split train from being a training
// set. That is a number of records outside the limits of the target's vendor, none at all, or none of
// a label that the reader needs.
func RecordWarnings(r *Request, t *Tally) (all []Warning) {
	for _, code := range slices.Sorted(maps.Keys(t.Warnings)) {
		w := Warning{Code: code, Count: t.Warnings[code], Message: format.WarningText(code, t.Warnings[code]),
			RunIDs: t.WarnedRuns[code]}
		if n := len(w.RunIDs); n > 0 {
			w.Message += " (run " + strings.Join(w.RunIDs[:min(n, 3)], ", ")
			if n > 3 {
				w.Message += " and others"
			}
			w.Message += ")"
		}
		all = append(all, w)
	}
	target, err := targets.Find(r.Purpose, r.Target)
	if err != nil || r.Purpose != FineTuning {
		return all
	}
	records, where := t.Records, ""
	if r.Split != nil {
		records, where = t.Train, " in split "+format.Train
	}
	switch {
	case records == 0:
		return append(all, Warning{Code: TooFewRecords, Message: fmt.Sprintf(
			"there are no records%s to train on; select more runs, or fewer filters", where)})
	case records < target.Least:
		all = append(all, Warning{Code: TooFewRecords, Count: records, Message: fmt.Sprintf(
			"there are %d records%s, and the readers of %s want %d at least; select more runs, or fewer filters",
			records, where, r.Target, target.Least)})
	case target.Most > 0 && records > target.Most:
		all = append(all, Warning{Code: TooManyRecords, Count: records, Message: fmt.Sprintf(
			"there are %d records%s, and the readers of %s take %d at most; select fewer runs, with limit or filters",
			records, where, r.Target, target.Most)})
	}
	counted := int64(0)
	for _, n := range t.Labels {
		counted += n
	}
	for _, label := range target.Labels {
		if counted == records && t.Labels[label] == 0 { // an older release did not count
			all = append(all, Warning{Code: MissingLabel, Count: records, Message: fmt.Sprintf(
				"none of the %d records%s has the label %s, and the readers of %s need records of each label: %s; select runs "+
					"of both ratings", records, where, label, r.Target, strings.Join(target.Labels, ", "))})
		}
	}
	return all
}

// Add lists an object that is neither data nor lineage. Its text must be in the bucket.
func (m *Manifest) Add(key string, kind FileKind, text []byte) {
	m.Files = append(m.Files, File{Key: key, Kind: kind, Bytes: int64(len(text)), SHA256: HashText(text)})
}
