// Package plan is the stage that plans exports: it checks the request, counts the selection,
// records both in plan.json, and sends the first windows.
//
//	export-requests ──▶ plan ──▶ plan.json
//	                     ├─────▶ export-requests   a large request, for group plan-large
//	                     ├─────▶ export-windows    the first windows
//	                     ├─────▶ export-progress   accepted
//	                     ├─────▶ export-results    refusal, empty selection, cancel: seal ends the export
//	                     └─────▶ dead-letters      malformed requests; a different request with a used export_id
//
//	a cancel ──▶ plan ──▶ cancel.json
//
// A request and its cancel may be in different partitions, and be read in any order, or at the same
// time. A cancel creates cancel.json and then reads plan.json; a request creates plan.json and then
// reads cancel.json. So one of the two sees the other, and asks seal to end the export. If both do,
// seal ignores the second.
//
// Plan has lanes, which are consumer groups: each plans the requests of a part of the workspaces, one at a
// time in a process, and skips the others. So the requests of one workspace, however many they are, delay
// those of its lane alone. The lanes share a limited number of slots.
//
// To freeze a large selection takes seconds. A lane that finds one hands the request over, as a copy in the same
// topic, to one more group, and goes on. So large requests wait for each other alone, even those of one workspace.
//
// plan.json is created once. A redelivered record finds its own plan and sends the same records
// again. The same request in another record is ignored, and a different request with the same id is
// refused.
//
//	plan.go     Stage: from a request to the records that it sends
//	cancel.go   from a cancel to the records that it sends
//	decide.go   the decisions: refusal, windows, snapshot
//	metrics.go  the metrics
package plan

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/export/message"
	"github.com/millrace/millrace/pipeline/export/notice"
	"github.com/millrace/millrace/pipeline/export/selection"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/stage"
	"github.com/millrace/millrace/pipeline/strictjson"
	"github.com/millrace/millrace/pipeline/telemetry"
	"github.com/millrace/millrace/sinks/bucket"
)

// Failpoints of the stage.
const (
	BeforeHandingOver = "before a large request is handed over"
	BeforeFreezing    = "before a large request is planned that was handed over"
	BeforeCommit      = "before the plan is committed" // before the records of a request or a cancel are sent
	AfterPlan         = "after plan.json, before cancel.json is read"
	AfterCancel       = "after cancel.json, before plan.json is read"
)

// What is tried again.
const (
	trySelect = "select"
	tryRead   = "read plan"
	tryCreate = "create plan"
	tryCancel = "cancel" // creating and reading cancel.json
	tryCount  = "count unfinished exports"
)

// Config is the configuration of the stage. New sets Name, Topic and Outputs of stage.Config.
type Config struct {
	stage.Config
	WindowRecords   int64  // source rows of a window at most; default 30,000
	WindowsInFlight int    // windows of one export that are sent before the first result; default 48
	Cluster         string // of ClickHouse, whose servers share a snapshot; "" is a single server
	// Budget is how long ClickHouse may take for one request, after which the export fails; default
	// 30 s. A request that was handed over has 20 times as long.
	Budget time.Duration
}

// Stage consumes export-requests.
type Stage struct {
	lanes   []*lane
	slots   *semaphore.Weighted
	cfg     Config
	dsn     *clickhouse.DSN
	bucket  *bucket.Bucket
	retry   kafka.Retrier
	notices *notice.Reporter
	metrics *metrics
}

// New returns a stage that is not running.
func New(cfg Config, dsn *clickhouse.DSN, b *bucket.Bucket) *Stage {
	if cfg.WindowRecords <= 0 {
		cfg.WindowRecords = 30_000
	}
	if cfg.WindowsInFlight <= 0 {
		cfg.WindowsInFlight = 48
	}
	cfg.Budget = cmp.Or(cfg.Budget, defaultBudget)
	cfg.Options = append(slices.Clone(cfg.Options), kgo.RecordPartitioner(message.Partitioner(cfg.TopicPrefix)))
	cfg.Name, cfg.Topic = export.StagePlan, event.TopicExportRequests
	cfg.Outputs = []string{event.TopicExportRequests, event.TopicExportWindows, event.TopicExportResults,
		event.TopicExportProgress, event.TopicAudit}
	cfg.Mixed = true // by requests that are handed over
	s := &Stage{cfg: cfg, dsn: dsn, bucket: b, retry: cfg.Retrier(trySelect, tryRead, tryCreate, tryCancel, tryCount),
		notices: notice.New(cfg.Config.Config, export.StagePlan), metrics: newMetrics(cfg.Metrics)}
	dsn.Timer().Init(clickhouse.QueryBarrier, queryResolve, queryCount, queryFreeze, queryFreezeNodes, queryWindows,
		selection.QueryDrop)
	s.cfg.Log = cfg.Log.With("stage", cfg.Name)
	slots := max(1, cfg.Slots)
	s.slots = semaphore.NewWeighted(int64(slots))
	for number, group := range export.PlanGroups() {
		c := cfg.Config
		c.Lane, c.Slots, c.HandlerBegins = strings.TrimPrefix(group, c.Name), 1, true
		l := &lane{number: number, large: number == export.PlanLanes}
		if l.large {
			c.Slots = largeSlots
		}
		l.Stage = stage.New(c, func(ctx context.Context, r *kgo.Record) ([]*kgo.Record, error) {
			return s.inLane(ctx, r, l)
		})
		s.lanes = append(s.lanes, l)
	}
	cfg.StageMetrics().Slots.Set(float64(slots))
	return s
}

// largeSlots is how many large requests a process plans at a time.
const largeSlots = 2

// lane is one of the consumer groups.
type lane struct {
	*stage.Stage
	number int
	large  bool // the lane plans the requests that the others hand over
}

// takes reports whether the lane handles a record.
func (l *lane) takes(r *kgo.Record) bool {
	if large := message.IsLarge(r); large || l.large {
		return large && l.large
	}
	return laneOf(r) == l.number
}

// Ready returns channels that are closed when Kafka answers and has the topics.
func (s *Stage) Ready() (ready []<-chan struct{}) {
	for _, l := range s.lanes {
		ready = append(ready, l.Ready())
	}
	return ready
}

// Run consumes until ctx is done, see [stage.Stage.Run].
func (s *Stage) Run(ctx context.Context) error {
	defer s.notices.Close()
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range s.lanes {
		group.Go(func() error { return l.Run(ctx) })
	}
	return group.Wait()
}

// inLane handles a record if the lane takes it.
func (s *Stage) inLane(ctx context.Context, r *kgo.Record, l *lane) ([]*kgo.Record, error) {
	if !l.takes(r) {
		return nil, stage.ErrSkip
	}
	if !l.large {
		if err := s.slots.Acquire(ctx, 1); err != nil {
			return nil, err
		}
		defer s.slots.Release(1)
	}
	ctx, end := l.Begin(ctx, r)
	out, err := s.handle(ctx, r)
	end(err)
	return out, err
}

// laneOf returns the lane of a record. The workspace is that of the data, since keys are the producers'
// choice; what has none is refused, in the first lane.
func laneOf(r *kgo.Record) int {
	e, err := event.Decode(r)
	if err != nil {
		return 0
	}
	var about struct {
		WorkspaceID string `json:"workspace_id"`
	}
	if json.Unmarshal(e.Data, &about) != nil {
		return 0
	}
	return export.PlanLane(about.WorkspaceID)
}

func (s *Stage) handle(ctx context.Context, r *kgo.Record) ([]*kgo.Record, error) {
	e, err := event.Decode(r)
	if err != nil {
		return nil, err
	}
	var out []*kgo.Record
	switch e.Type {
	case "", export.TypeRequested:
		out, err = s.request(ctx, r, &e)
	case export.TypeCancelled:
		out, err = s.cancel(ctx, r, &e)
	default:
		err = &strictjson.Refusal{
			Code: strictjson.UnknownType, Pointer: "/type",
			Rule: "must be " + export.TypeRequested + " or " + export.TypeCancelled,
		}
		return nil, err
	}
	var refusal *strictjson.Refusal
	if errors.As(err, &refusal) {
		placed := *refusal
		placed.Pointer = e.Pointer + refusal.Pointer // relative to the record's value
		return nil, &placed
	}
	return out, err
}

// request plans an export, or finds its plan.
func (s *Stage) request(ctx context.Context, r *kgo.Record, e *event.Event) ([]*kgo.Record, error) {
	position := kafka.Position(r)
	request, err := export.ParseRequest(e.Data)
	var mistakes export.Mistakes
	hash := export.HashText(e.Data)
	switch {
	case err == nil:
		hash = request.Hash()
	case !errors.As(err, &mistakes):
		return nil, err
	}
	f := folder.Folder{Bucket: s.bucket, ID: request.ID}
	ctx = telemetry.Describe(ctx, telemetry.Export(request.String()))
	if e.TraceParent == "" {
		e.TraceParent = telemetry.TraceParent(ctx)
	}
	about := notice.Subject{ID: request.ID, Request: request, RequestedAt: e.Time.UTC().Truncate(time.Millisecond),
		TraceParent: e.TraceParent}
	store := s.retry.OnFailure(s.notices.Store(about))
	p, err := readPlan(ctx, store, f)
	if err != nil {
		return nil, err
	}
	if p == nil {
		l := largeOf(r)
		if l.counted {
			if err := s.cfg.ReachFailpoint(BeforeFreezing); err != nil {
				return nil, err
			}
		}
		draft := &export.Plan{
			Version: export.PlanVersion, ID: request.ID, Hash: hash, PlannedBy: position,
			RequestedAt: about.RequestedAt, TraceParent: e.TraceParent, Request: request,
		}
		if err := s.draft(ctx, store, f, draft, mistakes, l); err != nil {
			if errors.Is(err, errConflict) {
				return nil, s.conflicts(request)
			}
			return nil, err
		}
		if waits(draft) {
			if err := s.cfg.ReachFailpoint(BeforeHandingOver); err != nil {
				return nil, err
			}
			return []*kgo.Record{message.Large(request.ID, r)}, nil
		}
		if p, err = createPlan(ctx, store, f, draft); err != nil {
			return nil, err
		}
		if p.Snapshot != draft.Snapshot { // another process was faster
			s.dropSnapshot(ctx, draft)
		}
	}
	switch {
	case p.Hash != hash && p.Request.Hash() != hash: // an older release may have normalised less before it hashed
		return nil, s.conflicts(request)
	case p.PlannedBy != position:
		s.metrics.count(request, repeated)
		s.cfg.Log.InfoContext(ctx, "the same request was planned before", "planned_by", p.PlannedBy)
		return nil, nil
	}
	// This record planned the export, now or before a crash.
	if err := s.cfg.ReachFailpoint(AfterPlan); err != nil {
		return nil, err
	}
	c, err := readCancel(ctx, store, f)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.ReachFailpoint(BeforeCommit); err != nil {
		return nil, err
	}
	if p.Refusal != nil {
		s.metrics.count(p.Request, refused)
	} else {
		s.metrics.count(p.Request, accepted)
	}
	return append(s.announce(p, c != nil && c.Reaches(r.Timestamp)), s.filed(p)), nil
}

// conflicts returns the refusal of a request whose export id is that of another.
func (s *Stage) conflicts(request *export.Request) error {
	s.metrics.count(request, conflict)
	return &strictjson.Refusal{
		Code: strictjson.ExportIDConflict, Pointer: "/export_id",
		Rule: "another request has this export_id in this workspace: choose a new one",
	}
}

// maxHandedOver bounds the size of a request that is handed over, in bytes, so that Kafka takes the copy where
// it took the request. Larger ones list ids.
const maxHandedOver = 256 << 10

func largeOf(r *kgo.Record) large {
	handed := message.IsLarge(r)
	return large{counted: handed, freeze: handed || len(r.Value) > maxHandedOver}
}

// waits reports whether a draft has a large selection that was not frozen.
func waits(p *export.Plan) bool { return p.Refusal == nil && p.Rows > 0 && len(p.Windows) == 0 }

// readPlan returns the plan of the export, nil where it has none.
func readPlan(ctx context.Context, retry kafka.Retrier, f folder.Folder) (p *export.Plan, err error) {
	err = retry.Do(ctx, tryRead, f.ID.String(), func() error {
		p, err = f.Plan(ctx)
		if errors.Is(err, bucket.ErrNotFound) {
			p, err = nil, nil
		}
		return err
	})
	return p, err
}

func createPlan(ctx context.Context, retry kafka.Retrier, f folder.Folder, draft *export.Plan) (p *export.Plan,
	err error) {
	err = retry.Do(ctx, tryCreate, f.ID.String(), func() error {
		p, err = f.CreatePlan(ctx, draft)
		return err
	})
	return p, err
}

// announce returns the records that follow from a plan: for an export that was cancelled before, its
// end instead of windows.
func (s *Stage) announce(p *export.Plan, isCancelled bool) []*kgo.Record {
	if p.Refusal != nil {
		return []*kgo.Record{s.result(p, export.Refused)}
	}
	progress := export.NewProgress(p, export.StatusAccepted, &export.Tally{}, p.AcceptedAt)
	progress.Cancelling = isCancelled
	out := []*kgo.Record{message.Progress(s.cfg.TopicPrefix, p, progress)}
	switch {
	case isCancelled:
		return append(out, s.result(p, export.Cancelled))
	case len(p.Windows) == 0:
		return append(out, s.result(p, export.Empty))
	}
	for i := range min(len(p.Windows), s.cfg.WindowsInFlight) {
		out = append(out, message.Window(s.cfg.TopicPrefix, p, i))
	}
	return out
}

// filed returns the entry of the trail about a request that was planned. Its time is that of a clock
// of ours: requesters choose that of the request.
func (s *Stage) filed(p *export.Plan) *kgo.Record {
	e := audit.Entry{
		ID: p.String() + "/" + audit.Filed, At: p.AcceptedAt, Action: audit.Filed, Outcome: string(export.StatusAccepted),
		Subject: p.Request.RequestedBy, OnBehalfOf: p.Request.OnBehalfOf, Address: p.PlannedBy, Via: export.StagePlan,
	}
	if p.Refusal != nil {
		e.At, e.Outcome = time.Now(), p.Refusal.Code
	}
	return message.Audit(s.cfg.TopicPrefix, p, e)
}

func (s *Stage) result(p *export.Plan, kind export.ResultKind) *kgo.Record {
	return message.Result(s.cfg.TopicPrefix, p, export.Result{Kind: kind})
}
