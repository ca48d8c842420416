package live

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/sinks/bucket"
)

// Get returns an export, or ErrNotFound. It finds one that was filed before it was called, with whichever server.
func (e *Exports) Get(ctx context.Context, id export.ID) (*Export, error) {
	state, err := e.get(ctx, id)
	if err != nil {
		return nil, err
	}
	x := &Export{State: *state}
	return x, e.markDeleted(ctx, x)
}

func (e *Exports) get(ctx context.Context, id export.ID) (*export.State, error) {
	k := e.board.state(id)
	filed := k.state
	if filed != nil && (!k.onlyFiled || k.fresh) {
		return filed, nil
	}
	there, err := e.stored.get(ctx, id) // a request that was filed again may be of an export that ended long ago
	switch {
	case there != nil:
		e.board.remember(there)
		return there, nil
	case err != nil:
		e.cfg.Log.Warn("ClickHouse does not tell about an export; looking into the bucket", "export", id.String(), "error", err)
	}
	if inBucket, err := e.inBucket(ctx, id); err != nil {
		return nil, err
	} else if inBucket != nil {
		e.board.remember(inBucket)
		return inBucket, nil
	}
	if filed != nil {
		if err == nil {
			e.board.freshen(id)
		}
		return filed, nil
	}
	if behind := e.catchUp(ctx); behind != nil {
		return nil, behind
	}
	if filed = e.board.state(id).state; filed != nil {
		return filed, nil
	}
	if err != nil {
		return nil, err
	}
	return nil, ErrNotFound
}

// inBucket returns an export as its folder tells, nil where there is none.
func (e *Exports) inBucket(ctx context.Context, id export.ID) (*export.State, error) {
	d, err := files.Open(ctx, e.bucket, id)
	if errors.Is(err, files.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	completion, err := d.Completion()
	switch {
	case err != nil:
		return nil, err
	case completion != nil:
		return &completion.State, nil
	}
	return &export.NewProgress(d.Plan, export.StatusAccepted, &export.Tally{}, d.Plan.AcceptedAt).State, nil
}

// remember keeps what ClickHouse or the bucket told: they may be ahead of the topics, and nobody who was told so is to be told less. And so
// those who go on asking how an export ended cost nothing.
func (b *board) remember(s *export.State) {
	b.change(s.ID, func(x *entry) {
		if !s.Status.Final() {
			x.progressed(s)
		} else if x.state == nil || !x.state.Status.Final() {
			x.state, x.onlyFiled = s, false
		}
	})
}

// position is the place of an export in a listing.
type position struct {
	At int64  `json:"t"` // requested_at, in milliseconds
	ID string `json:"id"`
}

func positionOf(x *export.State) position { return position{x.RequestedAt.UnixMilli(), x.ExportID} }

// compare orders as the listing does: newest first.
func (p position) compare(o position) int {
	return cmp.Or(-cmp.Compare(p.At, o.At), -cmp.Compare(p.ID, o.ID))
}

func (p position) cursor() string {
	text, _ := json.Marshal(p)
	return base64.RawURLEncoding.EncodeToString(text)
}

// parseCursor returns nil for no cursor.
func parseCursor(cursor string) (*position, error) {
	if cursor == "" {
		return nil, nil
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil {
		return nil, ErrCursor
	}
	var p position
	if json.Unmarshal(text, &p) != nil || !runs.ValidID(p.ID) || p.At < 0 || p.At > 1<<43 || p.cursor() != cursor {
		return nil, ErrCursor
	}
	return &p, nil
}

// matches says whether an export is one of those asked for.
func (q *Query) matches(x *export.State) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	return is(q.Source, x.Source) && is(q.AppID, x.AppID) && is(q.Purpose, x.Purpose) &&
		(len(q.Status) == 0 || slices.Contains(q.Status, string(x.Status)))
}

// List returns a page of exports, with those that were filed before it was called. A cursor that is not Page.Next is ErrCursor.
func (e *Exports) List(ctx context.Context, q Query) (*Page, error) {
	after, err := parseCursor(q.Cursor)
	if err != nil {
		return nil, err
	}
	if after == nil {
		if err := e.catchUp(ctx); err != nil { // the list is worth having all the same
			e.cfg.Log.Warn("a listing may miss what was filed just now", "error", err)
		}
	}
	there, err := e.stored.list(ctx, &q, after)
	if err != nil {
		return nil, err
	}
	var last *position // of what ClickHouse has of the page, if it has more
	if len(there) > q.Limit {
		there = there[:q.Limit]
		p := positionOf(&there[q.Limit-1])
		last = &p
	}
	page := &Page{Exports: e.overlay(&q, there, after, last)}
	switch {
	case len(page.Exports) > q.Limit:
		page.Exports = page.Exports[:q.Limit]
		page.Next = positionOf(&page.Exports[q.Limit-1].State).cursor()
	case last != nil:
		page.Next = last.cursor()
	}
	return page, e.markAllDeleted(ctx, page.Exports)
}

// overlay lays what the topics told over what ClickHouse has of a page, which is what comes after one position and, where ClickHouse has more, not
// after another.
func (e *Exports) overlay(q *Query, there []export.State, after, last *position) []Export {
	told := e.board.of(q.Workspace)
	found := map[export.ID]*export.State{}
	for i := range there {
		found[there[i].ID] = &there[i]
	}
	for id, x := range told {
		p := positionOf(x)
		old := found[id]
		switch {
		case old != nil && old.Status.Final() && !x.Status.Final(): // filed again
		case old != nil:
			found[id] = x
		case (after == nil || p.compare(*after) > 0) && (last == nil || p.compare(*last) < 0):
			found[id] = x
		}
	}
	maps.DeleteFunc(found, func(_ export.ID, x *export.State) bool { return !q.matches(x) })
	list := make([]Export, 0, len(found))
	for _, x := range found {
		list = append(list, Export{State: *x})
	}
	slices.SortFunc(list, func(a, b Export) int { return positionOf(&a.State).compare(positionOf(&b.State)) })
	return list
}

// lookups are how many folders are looked into at once.
const lookups = 16

func (e *Exports) markAllDeleted(ctx context.Context, list []Export) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(lookups)
	for i := range list {
		group.Go(func() error { return e.markDeleted(ctx, &list[i]) })
	}
	return group.Wait()
}

// maxDeleted bounds the deletions that are kept.
const maxDeleted = 20_000

// markDeleted looks whether the files of an export that succeeded were deleted.
func (e *Exports) markDeleted(ctx context.Context, x *Export) error {
	if x.Status != export.StatusSucceeded {
		return nil
	}
	id := x.ID
	e.mu.Lock()
	d := e.deleted[id]
	e.mu.Unlock()
	if d == nil {
		var err error
		d, err = folder.Folder{Bucket: e.bucket, ID: id}.Deletion(ctx)
		if errors.Is(err, bucket.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		e.mu.Lock()
		if len(e.deleted) >= maxDeleted {
			clear(e.deleted)
		}
		e.deleted[id] = d
		e.mu.Unlock()
	}
	x.DeletedAt, x.DeletedBy = &d.DeletedAt, d.DeletedBy
	return nil
}
