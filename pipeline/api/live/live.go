// Package live is the exports as they are now: what the topics of requests, progress and completions tell, laid over
// what ClickHouse and the bucket have. Any number of servers can run, and each knows what was filed at another.
package live

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/dataset"
)

var (
	// ErrNotFound says that the workspace has no such export.
	ErrNotFound = errors.New("no such export")
	// ErrConflict says that the id is that of another request.
	ErrConflict = errors.New("another export has this id")
	// ErrEnded says that the export ended before.
	ErrEnded = errors.New("the export has ended")
	// ErrCursor says that a cursor is not one of List.
	ErrCursor = errors.New("is not a cursor of this listing: start without one")
)

// Export is an export as the view `exports` has it, and whether its files were deleted.
type Export struct {
	WorkspaceID    string           `json:"workspace_id"`
	ExportID       string           `json:"export_id"`
	Name           string           `json:"name" doc:"Name for people."`
	Purpose        string           `json:"purpose"`
	Source         string           `json:"source"`
	AppID          string           `json:"app_id"`
	Nodes          []string         `json:"nodes"`
	Target         string           `json:"target"`
	Format         string           `json:"format"`
	RequestedBy    string           `json:"requested_by"`
	RequestedAt    time.Time        `json:"requested_at"`
	Status         export.Status    `json:"status" enum:"accepted,running,succeeded,failed,cancelled"`
	PercentDone    float64          `json:"percent_done" doc:"0 to 100, never falling."`
	RowsDone       int64            `json:"rows_done"`
	RowsPlanned    int64            `json:"rows_planned"`
	RowsUsed       int64            `json:"rows_used"`
	Vanished       int64            `json:"vanished"`
	Records        int64            `json:"records"`
	WindowsDone    int64            `json:"windows_done"`
	WindowsPlanned int64            `json:"windows_planned"`
	Fragments      int64            `json:"fragments"`
	Bytes          int64            `json:"bytes"`
	Dropped        map[string]int64 `json:"dropped" doc:"Source rows left out so far, by reason."`
	ManifestURI    string           `json:"manifest_uri"`
	ManifestSHA256 string           `json:"manifest_sha256"`
	Watermark      *time.Time       `json:"watermark" doc:"The from of the next incremental export."`
	LoadWith       string           `json:"load_with"`
	Warnings       []export.Warning `json:"warnings"`
	ErrorCode      string           `json:"error_code"`
	ErrorMessage   string           `json:"error_message"`
	ErrorRetryable bool             `json:"error_retryable"`
	ErrorPointer   string           `json:"error_pointer"`
	AcceptedAt     *time.Time       `json:"accepted_at"`
	CompletedAt    *time.Time       `json:"completed_at"`
	UpdatedAt      time.Time        `json:"updated_at"`
	DeletedAt      *time.Time       `json:"deleted_at,omitempty" doc:"When its files were deleted."`
	DeletedBy      string           `json:"deleted_by,omitempty"`
}

// ID is the export's identity.
func (e *Export) ID() export.ID {
	return export.ID{WorkspaceID: e.WorkspaceID, ExportID: e.ExportID}
}

// Query selects exports of a workspace, newest first. Zero fields are no condition.
type Query struct {
	Workspace string
	Source    string
	AppID     string
	Purpose   string
	Status    []string
	Cursor    string
	Limit     int // 1 to 200
}

// Page is a page of exports.
type Page struct {
	Exports []Export `json:"exports"`
	Next    string   `json:"next,omitempty" doc:"Cursor of the next page; absent on the last one."`
}

// Exports are the exports of all workspaces. Every method takes the workspace, and finds nothing outside of it.
type Exports struct{}

// File files a request with Kafka, and returns the export when Kafka has it. Document is the request's JSON, of which
// request is what [export.ParseRequest] returned. ErrConflict where the id is that of another request; the same request again
// is the same export.
func (e *Exports) File(ctx context.Context, request *export.Request, document []byte) (*Export, error) {
	return nil, ErrConflict
}

// Get returns an export, or ErrNotFound.
func (e *Exports) Get(ctx context.Context, id export.ID) (*Export, error) { return nil, ErrNotFound }

// List returns a page of exports.
func (e *Exports) List(ctx context.Context, q Query) (*Page, error) {
	return &Page{Exports: []Export{}}, nil
}

// Cancel asks that a running export end. ErrNotFound, or ErrEnded.
func (e *Exports) Cancel(ctx context.Context, id export.ID, by string) (*Export, error) {
	return nil, ErrNotFound
}

// Delete deletes the files of an export that has ended. ErrNotFound, or dataset.ErrRunning.
func (e *Exports) Delete(ctx context.Context, id export.ID, by string) error { return ErrNotFound }

// Dataset opens an export's folder. ErrNotFound, or dataset.ErrRunning where the folder is not there yet.
func (e *Exports) Dataset(ctx context.Context, id export.ID) (*dataset.Dataset, error) {
	return nil, ErrNotFound
}

// Preview is the first records of an export.
type Preview struct {
	ExportID  string            `json:"export_id"`
	Purpose   string            `json:"purpose"`
	Target    string            `json:"target"`
	Format    string            `json:"format"`
	Records   []json.RawMessage `json:"records" doc:"As JSON, whatever the format."`
	Total     int64             `json:"total" doc:"Records of the export."`
	Truncated bool              `json:"truncated,omitempty" doc:"There were more records to show, but they are too large."`
}

// Preview reads the first n records. The error is one of Dataset or of [dataset.Dataset.Readable].
func (e *Exports) Preview(ctx context.Context, id export.ID, n int) (*Preview, error) {
	return nil, ErrNotFound
}
