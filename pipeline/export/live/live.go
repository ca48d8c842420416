// Package live is the exports as they are now: what the topics of requests, progress and completions tell, laid over
// what ClickHouse and the bucket have. Any number of servers can run, and each knows what was filed at another.
//
//	live.go     Exports, and what an export is
//	tail.go     the topics, consumed by every server from where ClickHouse has them
//	board.go    what they told
//	stored.go   what ClickHouse has
//	read.go     Get and List: both, and the bucket
//	watch.go    Watch: an export, as it changes
//	file.go     File, Cancel, Delete
//	preview.go  Preview: the first records
package live

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/sinks/bucket"
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

// Config says where the topics are.
type Config struct {
	TopicPrefix string
	Kafka       []kgo.Opt // of the client that consumes: where Kafka is
	// Producer publishes requests and cancels. It must give up a record whose context is done, see kgo.AllowIdempotentProduceCancellation.
	Producer *kgo.Client
	// Timeout is how long Kafka may take to acknowledge; default 10 s. A read that depends on Kafka waits for a third of it.
	Timeout time.Duration
	Log     *slog.Logger
}

// Exports are the exports of all workspaces. Every method takes the workspace, and finds nothing outside of it. It is safe for
// concurrent use.
type Exports struct {
	cfg    Config
	stored stored
	bucket *bucket.Bucket
	board  board
	tail   tail
	ready  chan struct{}

	mu      sync.Mutex
	deleted map[export.ID]*export.Deletion // those that were found; a deletion is for ever
}

// New returns exports that know what ClickHouse and the bucket have; what the topics tell they know while Run runs.
func New(cfg Config, conn driver.Conn, b *bucket.Bucket) *Exports {
	cfg.Timeout = cmp.Or(cfg.Timeout, 10*time.Second)
	return &Exports{
		cfg: cfg, stored: stored{conn}, bucket: b, board: board{entries: map[export.ID]*entry{}}, tail: newTail(),
		ready: make(chan struct{}), deleted: map[export.ID]*export.Deletion{},
	}
}

// Ready is closed when all is known that the topics told before Run began.
func (e *Exports) Ready() <-chan struct{} { return e.ready }

// Dataset opens an export's folder. ErrNotFound, or dataset.ErrRunning where the folder is not there yet.
func (e *Exports) Dataset(ctx context.Context, id export.ID) (*files.Dataset, error) {
	d, err := files.Open(ctx, e.bucket, id)
	if !errors.Is(err, files.ErrNotFound) {
		return d, err
	}
	if _, err := e.Get(ctx, id); err != nil {
		return nil, err
	}
	return nil, files.ErrRunning
}
