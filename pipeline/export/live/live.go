// Package live serves the exports as they are now: what the topics of requests, progress and
// completions tell, laid over what ClickHouse and the bucket have. Any number of servers can run,
// and each knows what was filed with another. Commands use its parts: Requests, Follower and
// Stored.
//
//	live.go      Exports, and the state of an export
//	requests.go  Requests: publishing requests and cancels
//	file.go      File, Cancel, Delete
//	read.go      Get and List: the board, ClickHouse and the bucket
//	watch.go     Watch: the changes of one export
//	tail.go      Run: every server consumes the topics, from where ClickHouse has them
//	board.go     what the topics told
//	stored.go    Stored: what ClickHouse has
//	follow.go    Follow: a few exports by their topics alone
package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/sinks/bucket"
)

var (
	// ErrNotFound means that the workspace has no such export.
	ErrNotFound = errors.New("no such export")
	// ErrConflict means that another request has the id.
	ErrConflict = errors.New("another export has this id")
	// ErrTooMany means that the workspace has export.MaxUnfinished exports that have not ended.
	ErrTooMany = fmt.Errorf("the workspace has %d exports that have not ended", export.MaxUnfinished)
	// ErrEnded means that the export had ended before.
	ErrEnded = errors.New("the export has ended")
	// ErrCursor means that a cursor is not one of List.
	ErrCursor = errors.New("the cursor is not one of this listing: start without one")
)

// Export is the state of an export, and whether its files were deleted.
type Export struct {
	export.State
	DeletedAt *time.Time `json:"deleted_at,omitempty" doc:"When its files were deleted."`
	DeletedBy string     `json:"deleted_by,omitempty"`
}

// Query selects exports of a workspace. A zero field is no condition.
type Query struct {
	Workspace string
	Source    string
	AppID     string
	OfAll     bool // with AppID: also exports of the whole workspace
	Purpose   string
	Part      string // the beginning or the end of the id
	Text      string // a part of the name, in upper or lower case, or the beginning of the id
	Status    []string
	Cursor    string
	Limit     int // 1 or more; a server takes 200
}

// Page is a page of exports.
type Page struct {
	Exports []Export `json:"exports"`
	Next    string   `json:"next,omitempty" doc:"Cursor of the next page; absent on the last one."`
}

// Config is what Exports has to know of Kafka.
type Config struct {
	kafka.Config
	// Producer publishes requests and cancels. It must give up a record whose context is done, see
	// kgo.AllowIdempotentProduceCancellation.
	Producer *kgo.Client
	// Timeout is how long Kafka may take to acknowledge an event; default 10 s. A read that depends
	// on Kafka waits for a third of it.
	Timeout time.Duration
	Timer   *clickhouse.Timer // measures the queries; may be nil
	// Now is the clock by which a retry that is not renewed is hidden; default time.Now.
	Now func() time.Time
}

// Exports serves the exports of all workspaces. Every method takes the workspace, and finds nothing
// outside of it. It is safe for concurrent use.
type Exports struct {
	cfg      Config
	requests Requests
	stored   Stored
	bucket   *bucket.Bucket
	board    board
	tail     tail
	retry    kafka.Retrier // without a limit
	refused  prometheus.Counter
	ready    chan struct{}

	mu      sync.Mutex
	deleted map[export.ID]*export.Deletion // a cache; a deletion is final
	derived map[export.ID]*export.State    // a cache of what was derived from manifests, which never change
}

// New returns exports that know what ClickHouse and the bucket have. They know what the topics tell
// while Run runs.
func New(cfg Config, conn driver.Conn, b *bucket.Bucket) *Exports {
	cfg.Name = "serve"
	cfg.Timer.Init(queryGet, queryList, queryNotices, queryCounts)
	cfg.Timeout = cmp.Or(cfg.Timeout, 10*time.Second)
	cfg.Growth = cmp.Or(cfg.Growth, kafka.GrowthInterval)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Exports{
		cfg: cfg, retry: cfg.Retrier(tryOffsets), refused: cfg.Refused(),
		requests: Requests{Producer: cfg.Producer, TopicPrefix: cfg.TopicPrefix, Source: "millrace/serve",
			Timeout: cfg.Timeout},
		stored: Stored{conn, cfg.Timer}, bucket: b, tail: newTail(), ready: make(chan struct{}),
		board: board{entries: map[export.ID]*entry{}, now: cfg.Now}, deleted: map[export.ID]*export.Deletion{},
		derived: map[export.ID]*export.State{},
	}
}

// Ready returns a channel that is closed when Exports knows what the topics told before Run began.
func (e *Exports) Ready() <-chan struct{} { return e.ready }

// Dataset opens an export's folder. It returns ErrNotFound, or files.ErrRunning if the export is
// not planned yet.
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

// Preview reads records of an export that has ended: see [files.Dataset.Preview].
func (e *Exports) Preview(ctx context.Context, id export.ID, s files.Span) (*files.Preview, error) {
	d, err := e.Dataset(ctx, id)
	if err != nil {
		return nil, err
	}
	return d.Preview(ctx, s)
}
