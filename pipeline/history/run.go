package history

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/budget"
	"github.com/millrace/millrace/pipeline/runs"
)

// ofRun is the condition on rows of the run in each table. Tables that run_id does not order have a
// bloom filter for it.
const ofRun = inWorkspace + " AND " + isRun

const isRun = "run_id = unhex({run:String})"

// maxFeedback bounds the judgements of a detail.
const maxFeedback = 100

// A run of more than maxSmall bytes is read only after copies times its bytes were taken from the
// memory budget: the columns, their texts, and the answer in a buffer that doubles.
const (
	maxSmall = 1 << 20
	copies   = 5
)

// Run returns a run with everything stored about it, or ErrNotFound. What a large run takes in memory
// it takes from the [budget.Budget.Scope] of ctx.
func (s *Store) Run(ctx context.Context, workspace, runID string) (*Detail, error) {
	if !runs.ValidID(runID) {
		return nil, ErrNotFound
	}
	leave, err := s.reads.Enter(ctx, workspace)
	if err != nil {
		return nil, err
	}
	defer leave()
	r := s.read(workspace, readRun)
	r.Text("run", runID)
	detail, err := r.whole(ctx)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read run %s of workspace %s: %w", runID, workspace, err)
	case detail == nil:
		return nil, ErrNotFound
	}
	return detail, nil
}

func (r *reading) whole(ctx context.Context) (*Detail, error) {
	var detail *Detail
	var nodes *nodeRuns
	var judgements []Feedback
	var merged map[string]*Feedback
	var large bool
	all, parts := errgroup.WithContext(ctx)
	all.Go(func() (err error) { detail, large, err = r.smallDetail(parts); return err })
	all.Go(func() (err error) { nodes, err = r.nodeRuns(parts); return err })
	all.Go(func() (err error) { judgements, err = r.judgements(parts); return err })
	all.Go(func() (err error) { merged, err = r.mergedFeedback(parts, isRun, true); return err })
	if err := all.Wait(); err != nil || detail == nil && !large {
		return nil, err
	}
	if err := r.reserve(ctx, large, nodes); err != nil {
		return nil, err
	}
	if large {
		var err error
		if detail, err = r.detail(ctx); err != nil || detail == nil {
			return nil, err
		}
	}
	detail.AllFeedback, detail.Feedback = judgements, merged[detail.RunID]
	detail.Nodes, detail.NodesOmitted = nodes.list, nodes.omitted
	if err := r.documents(ctx, detail, nodes.sizes); err != nil {
		return nil, err
	}
	return detail, nil
}

// reserve takes what the run and the documents of its node runs need from the budget.
func (r *reading) reserve(ctx context.Context, large bool, nodes *nodeRuns) (err error) {
	size, documents := int64(0), int64(0)
	if large {
		if size, err = r.detailSize(ctx); err != nil {
			return err
		}
	}
	for _, n := range nodes.sizes {
		documents += n
	}
	total := max(size, min(size+documents, maxDocuments))
	if total <= maxSmall {
		return nil
	}
	began := time.Now()
	defer func() { r.deadline = r.deadline.Add(time.Since(began)) }() // a wait for memory is no slow search
	return budget.Hold(ctx, copies*total)
}
