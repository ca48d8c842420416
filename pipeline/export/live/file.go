package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/trace"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/telemetry"
	"github.com/millrace/millrace/sinks/bucket"
)

// File files a request with Kafka, and returns the export when Kafka has acknowledged it. Document
// is the JSON that [export.ParseRequest] parsed into request. TraceParent is the W3C trace context
// of the caller, or "". The same request again is the same export. It returns ErrConflict if
// another request has the id, and ErrTooMany where the workspace has too many exports that have not
// ended. After ErrNotAcknowledged the request may be filed or not, and the
// same request may be filed again.
func (e *Exports) File(ctx context.Context, request *export.Request, document []byte, traceParent string) (x *Export,
	err error) {
	hash := request.Hash()
	filed, err := e.wasFiled(ctx, request.ID, hash)
	if err != nil {
		return nil, err
	}
	if filed {
		return e.Get(ctx, request.ID)
	}
	if err := e.checkRoom(ctx, request.ID); err != nil {
		return nil, err
	}
	ev := e.requests.event(export.TypeRequested, document)
	ctx, end := telemetry.Start(telemetry.Under(ctx, traceParent), "file export",
		trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(telemetry.Export(request.String())))
	defer func() { end(err) }()
	ev.TraceParent = cmp.Or(telemetry.TraceParent(ctx), traceParent)
	// a caller that hangs up has filed all the same
	r, err := e.requests.publish(context.WithoutCancel(ctx), request.ID, ev)
	if err != nil {
		return nil, err
	}
	// When two callers file different requests under one id at the same time, the first in the
	// topic wins here, as it does in stage plan.
	wait, cancel := context.WithTimeout(ctx, e.cfg.Timeout/3)
	defer cancel()
	if err := e.tail.reach(wait, map[kafka.Partition]int64{{Topic: r.Topic, ID: r.Partition}: r.Offset + 1}); err != nil {
		e.board.requested(&ev)
	}
	if _, err := e.wasFiled(ctx, request.ID, hash); err != nil {
		return nil, err
	}
	return e.Get(ctx, request.ID)
}

// checkRoom returns ErrTooMany if the workspace may not have another export: those that are planned
// and have not ended are in the bucket, and those that are not planned yet are on the board.
func (e *Exports) checkRoom(ctx context.Context, id export.ID) error {
	unfinished, err := folder.Unfinished(ctx, e.bucket, id.WorkspaceID)
	if err != nil {
		return err
	}
	for exportID := range e.board.unplanned(id.WorkspaceID) {
		unfinished[exportID] = true
	}
	delete(unfinished, id.ExportID)
	if len(unfinished) >= export.MaxUnfinished {
		return ErrTooMany
	}
	return nil
}

// wasFiled reports whether the request with this hash was filed before. It returns ErrConflict if
// the id is that of another request.
func (e *Exports) wasFiled(ctx context.Context, id export.ID, hash string) (bool, error) {
	p, err := folder.Folder{Bucket: e.bucket, ID: id}.Plan(ctx)
	switch {
	case err == nil && p.Hash != hash && (p.Request == nil || p.Request.Hash() != hash):
		return false, ErrConflict
	case err == nil:
		return true, nil
	case !errors.Is(err, bucket.ErrNotFound):
		return false, err
	}
	k := e.board.known(id)
	if k.requestOnly && k.hash != hash {
		return false, ErrConflict
	}
	return k.requestOnly, nil
}

// Cancel asks for the end of a running export, and returns its present state. It returns
// ErrNotFound, or ErrEnded if the export succeeded or failed before.
func (e *Exports) Cancel(ctx context.Context, id export.ID, by string) (*Export, error) {
	x, err := e.Get(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case x.Status == export.StatusCancelled:
		return x, nil
	case x.Status.Final():
		return x, fmt.Errorf("%w: %s", ErrEnded, x.Status)
	}
	// The export may have ended without its completion having been read here.
	m, _, err := folder.Folder{Bucket: e.bucket, ID: id}.Manifest(ctx)
	switch {
	case err == nil && m.Status != export.StatusCancelled:
		return x, fmt.Errorf("%w: %s", ErrEnded, m.Status)
	case err == nil:
		return x, nil
	case !errors.Is(err, bucket.ErrNotFound): // an export that waits for the bucket can be cancelled
		e.cfg.Log.Warn("cannot see whether an export has ended; its cancel is filed", "export_id", id.String(), "error", err)
	}
	return x, e.requests.Cancel(context.WithoutCancel(ctx), id, by)
}

// Delete deletes the files of an export that has ended. Deleting again changes nothing. It returns
// ErrNotFound or files.ErrRunning.
func (e *Exports) Delete(ctx context.Context, id export.ID, by string) error {
	d, err := e.Dataset(ctx, id)
	if err != nil {
		return err
	}
	return d.Delete(context.WithoutCancel(ctx), by)
}
