package export

import (
	"encoding/json"
	"maps"
	"strings"
	"time"
)

// About is what progress and completion say of the request. Fields of a request that was refused for
// them are absent.
type About struct {
	ID
	Name        string    `json:"name,omitempty"`
	Purpose     string    `json:"purpose,omitempty"`
	Source      string    `json:"source,omitempty"`
	AppID       string    `json:"app_id,omitempty"`
	Nodes       []string  `json:"nodes,omitempty"`
	Target      string    `json:"target,omitempty"`
	Format      string    `json:"format,omitempty"`
	RequestedBy string    `json:"requested_by,omitempty"`
	RequestedAt time.Time `json:"requested_at"`
	Status      Status    `json:"status"`
}

func about(p *Plan, status Status) About {
	r := p.Request
	return About{
		ID: p.ID, Name: r.Name, Purpose: r.Purpose, Source: r.Source, AppID: r.AppID, Nodes: r.Nodes, Target: r.Target,
		Format: r.Format, RequestedBy: r.RequestedBy, RequestedAt: p.RequestedAt, Status: status,
	}
}

// Progress is the event that tells how far an export is.
type Progress struct {
	About
	PercentDone    float64          `json:"percent_done"` // 0 to 100, never falling
	RowsDone       int64            `json:"rows_done"`
	RowsPlanned    int64            `json:"rows_planned"`
	Records        int64            `json:"records"`
	WindowsDone    int              `json:"windows_done"`
	WindowsPlanned int              `json:"windows_planned"`
	Fragments      int64            `json:"fragments"`
	Bytes          int64            `json:"bytes"`
	Dropped        map[string]int64 `json:"dropped"` // rows so far, by reason
	At             time.Time        `json:"at"`
}

// NewProgress returns the progress of an export of which t is done.
func NewProgress(p *Plan, status Status, t *Tally, at time.Time) *Progress {
	e := &Progress{
		About: about(p, status), RowsDone: t.Rows, RowsPlanned: p.Rows, Records: t.Records,
		WindowsDone: t.Windows, WindowsPlanned: len(p.Windows), Fragments: t.Fragments, Bytes: t.Bytes,
		Dropped: maps.Clone(t.Dropped), At: at,
	}
	if e.Dropped == nil {
		e.Dropped = map[string]int64{}
	}
	if e.WindowsDone == e.WindowsPlanned { // what was read is what there was
		e.RowsPlanned = t.Rows
	}
	switch {
	case e.WindowsDone == e.WindowsPlanned && t.Windows > 0:
		e.PercentDone = 100
	case e.RowsPlanned > 0:
		e.PercentDone = min(100, float64(e.RowsDone)*100/float64(e.RowsPlanned))
	}
	return e
}

// Completion is the event that tells how an export ended: one for each, for a read_committed consumer
// (invariant 7).
type Completion struct {
	About
	Records        int64            `json:"records"`
	RowsPlanned    int64            `json:"rows_planned"`
	RowsUsed       int64            `json:"rows_used"`
	Vanished       int64            `json:"vanished,omitempty"`
	Dropped        map[string]int64 `json:"dropped"`
	Fragments      int64            `json:"fragments"`
	Bytes          int64            `json:"bytes"`
	ManifestURI    string           `json:"manifest_uri"`
	ManifestSHA256 string           `json:"manifest_sha256"`
	Watermark      time.Time        `json:"watermark,omitzero"`
	LoadWith       string           `json:"load_with,omitempty"`
	Warnings       []Warning        `json:"warnings"`
	Error          *Error           `json:"error"`
	AcceptedAt     time.Time        `json:"accepted_at,omitzero"`
	CompletedAt    time.Time        `json:"completed_at"`
}

// NewCompletion returns the completion of an export whose plan and manifest are in the bucket: a pure
// function of them, so that it is the same however often it is sent. Manifest is the text of
// manifest.json, uri is where users find it.
func NewCompletion(p *Plan, manifest []byte, uri string) (*Completion, error) {
	var m Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, err
	}
	c := &Completion{
		About: about(p, m.Status), Records: m.Totals.Records, RowsPlanned: m.Totals.RowsPlanned, RowsUsed: m.Totals.RowsUsed,
		Vanished: m.Totals.Vanished, Dropped: m.Dropped, Fragments: m.Totals.Files, Bytes: m.Totals.Bytes,
		ManifestURI: uri, ManifestSHA256: HashText(manifest), Watermark: m.Watermark,
		Warnings: m.Warnings, Error: m.Error, AcceptedAt: p.AcceptedAt, CompletedAt: m.CreatedAt,
	}
	if m.Status == StatusSucceeded {
		c.LoadWith = loadWith(&m, strings.TrimSuffix(uri, ManifestName))
	}
	return c, nil
}
