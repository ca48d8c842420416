package live

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/sinks/bucket"
)

// Get returns an export, or ErrNotFound. It finds every export that was filed before the call, with
// any server.
func (e *Exports) Get(ctx context.Context, id export.ID) (*Export, error) {
	state, err := e.get(ctx, id)
	if err != nil {
		return nil, err
	}
	x := &Export{State: *state}
	return x, e.finish(ctx, x)
}

func (e *Exports) get(ctx context.Context, id export.ID) (*export.State, error) {
	if !runs.ValidWorkspaceID(id.WorkspaceID) || !runs.ValidID(id.ExportID) {
		return nil, ErrNotFound
	}
	k := e.board.known(id)
	if k.state != nil && (!k.requestOnly || k.unplanned) {
		return k.state, nil
	}
	// Of a request alone the others are asked too: it may be filed again, long after the export
	// ended.
	inClickHouse, err := e.stored.Get(ctx, id)
	switch {
	case inClickHouse != nil:
		return e.board.remember(inClickHouse), nil
	case err != nil:
		e.cfg.Log.Warn("cannot read an export from ClickHouse; reading the bucket", "export_id", id.String(), "error", err)
	}
	if inBucket, err := e.inBucket(ctx, id); err != nil {
		return nil, err
	} else if inBucket != nil {
		return e.board.remember(inBucket), nil
	}
	if k.state != nil {
		if err == nil {
			e.board.markUnplanned(id)
		}
		return k.state, nil
	}
	if behind := e.catchUp(ctx); behind != nil {
		return nil, behind
	}
	if state := e.board.known(id).state; state != nil {
		return state, nil
	}
	if err != nil {
		return nil, err
	}
	return nil, ErrNotFound
}

// inBucket returns the state of an export according to its folder, or nil if it has none.
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
	x := &export.NewProgress(d.Plan, export.StatusAccepted, &export.Tally{}, d.Plan.AcceptedAt).State
	x.Cancelling = d.Cancelling(ctx)
	return x, nil
}

// remember keeps a state from ClickHouse or the bucket. Both can be ahead of the topics, and later
// answers must not go back. It also makes answers about an ended export cheap. It returns the state
// with what the topics told of cancels and retries.
func (b *board) remember(s *export.State) *export.State {
	b.change(s.ID, func(x *entry) {
		if x.state == nil || !x.state.Status.Final() {
			x.advance(s)
		}
		s = s.With(x.notice)
	})
	return s.Current(b.now())
}

// position is the place of an export in a listing.
type position struct {
	At int64  `json:"t"` // requested_at, in milliseconds
	ID string `json:"id"`
}

func positionOf(x *export.State) position { return position{x.RequestedAt.UnixMilli(), x.ExportID} }

// compare orders positions as the listing does: newest first, and by id from last to first at equal
// times.
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

// matches reports whether the query selects an export.
func (q *Query) matches(x *export.State) bool {
	equal := func(want, have string) bool { return want == "" || want == have }
	ofApp := q.AppID == "" || q.OfAll && x.AppID == "" || slices.Contains(strings.Split(x.AppID, ","), q.AppID)
	return equal(q.Source, x.Source) && ofApp && equal(q.Purpose, x.Purpose) &&
		(strings.HasPrefix(x.ExportID, q.Part) || strings.HasSuffix(x.ExportID, q.Part)) && q.matchesText(x) &&
		(len(q.Status) == 0 || slices.Contains(q.Status, string(x.Status)))
}

func (q *Query) matchesText(x *export.State) bool {
	return q.Text == "" || strings.Contains(strings.ToLower(x.Name), strings.ToLower(q.Text)) ||
		strings.HasPrefix(x.ExportID, q.Text)
}

// List returns a page of exports, newest first. It has every export that was filed before the call,
// unless Kafka does not answer. It returns ErrCursor for a cursor that is not Page.Next of such a
// listing.
func (e *Exports) List(ctx context.Context, q Query) (*Page, error) {
	after, err := parseCursor(q.Cursor)
	if err != nil {
		return nil, err
	}
	if after == nil {
		if err := e.catchUp(ctx); err != nil { // the list is useful all the same
			e.cfg.Log.Warn("a listing may lack the newest exports", "error", err)
		}
	}
	stored, last, err := e.stored.list(ctx, &q, after)
	if err != nil {
		return nil, err
	}
	page := &Page{Exports: e.overlay(&q, stored, after, last)}
	switch {
	case len(page.Exports) > q.Limit:
		page.Exports = page.Exports[:q.Limit]
		page.Next = positionOf(&page.Exports[q.Limit-1].State).cursor()
	case last != nil:
		page.Next = last.cursor()
	}
	return page, e.finishAll(ctx, page.Exports)
}

// overlay lays the states of the board over those of a page from ClickHouse. The page is what comes
// after one position and, if ClickHouse has more, not after another one.
func (e *Exports) overlay(q *Query, stored []export.State, after, last *position) []Export {
	found := map[export.ID]*export.State{}
	for i := range stored {
		found[stored[i].ID] = &stored[i]
	}
	for id, x := range e.board.ofWorkspace(q.Workspace) {
		p := positionOf(x)
		old := found[id]
		switch {
		case old != nil && old.Status.Final() && !x.Status.Final(): // the request was filed again
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

// maxLookups is how many folders are read at a time.
const maxLookups = 16

func (e *Exports) finishAll(ctx context.Context, list []Export) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxLookups)
	for i := range list {
		group.Go(func() error { return e.finish(ctx, &list[i]) })
	}
	return group.Wait()
}

// finish adds to the state of an export what only the bucket tells.
func (e *Exports) finish(ctx context.Context, x *Export) error {
	if err := e.derive(ctx, &x.State); err != nil {
		return err
	}
	return e.markDeleted(ctx, x)
}

// derive is [files.Derive], for states of which few are new. A state that tells of another manifest
// than there is stays without a command.
func (e *Exports) derive(ctx context.Context, s *export.State) error {
	e.mu.Lock()
	known := e.derived[s.ID]
	e.mu.Unlock()
	if known != nil && known.Status == s.Status && known.ManifestSHA256 == s.ManifestSHA256 {
		s.ManifestURI, s.LoadWith = known.ManifestURI, known.LoadWith
		return nil
	}
	err := files.Derive(ctx, e.bucket, s)
	if errors.Is(err, files.ErrUnverified) {
		e.cfg.Log.Warn("an event tells of a manifest that is not there: who else writes topic export-completions?",
			"export_id", s.String(), "error", err)
		return nil
	}
	if err != nil || s.Status != export.StatusSucceeded {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.derived) >= maxCached {
		clear(e.derived)
	}
	e.derived[s.ID] = &export.State{Status: s.Status, ManifestURI: s.ManifestURI, ManifestSHA256: s.ManifestSHA256,
		LoadWith: s.LoadWith}
	return nil
}

// maxCached bounds the deletions, and what is derived from manifests, that are kept in memory.
const maxCached = 20_000

// markDeleted reads whether the files of an export that succeeded were deleted.
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
		if len(e.deleted) >= maxCached {
			clear(e.deleted)
		}
		e.deleted[id] = d
		e.mu.Unlock()
	}
	x.DeletedAt, x.DeletedBy = &d.DeletedAt, d.DeletedBy
	return nil
}
