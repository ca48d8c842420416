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
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/kafka"
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

// Export is the state of an export, and whether its files were deleted.
type Export struct {
	export.State
	DeletedAt *time.Time `json:"deleted_at,omitempty" doc:"When its files were deleted."`
	DeletedBy string     `json:"deleted_by,omitempty"`
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
	kafka.Config
	// Producer publishes requests and cancels. It must give up a record whose context is done, see kgo.AllowIdempotentProduceCancellation.
	Producer *kgo.Client
	// Timeout is how long Kafka may take to acknowledge; default 10 s. A read that depends on Kafka waits for a third of it.
	Timeout time.Duration
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
	cfg.Name = "serve"
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
