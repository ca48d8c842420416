package history

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// ofRun is the condition on rows of the run in each table. Tables that run_id does not order have a
// bloom filter for it.
const ofRun = inWorkspace + " AND run_id = unhex({run:String})"

// maxFeedback bounds the feedback of a detail.
const maxFeedback = 100

// Run returns a run with everything stored about it, or ErrNotFound.
func (s *Store) Run(ctx context.Context, workspace, runID string) (*Detail, error) {
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
	var feedback, newest []Feedback
	all, parts := errgroup.WithContext(ctx)
	all.Go(func() (err error) { detail, err = r.detail(parts); return err })
	all.Go(func() (err error) { nodes, err = r.nodeRuns(parts); return err })
	all.Go(func() (err error) { feedback, err = r.feedback(parts, "", maxFeedback); return err })
	all.Go(func() (err error) { newest, err = r.feedback(parts, " WHERE node_id = ''", 1); return err })
	if err := all.Wait(); err != nil || detail == nil {
		return nil, err
	}
	detail.AllFeedback = feedback
	if len(newest) > 0 {
		detail.Feedback = &newest[0]
	}
	detail.Nodes, detail.NodesOmitted = nodes.list, nodes.omitted
	if err := r.documents(ctx, detail, nodes.sizes); err != nil {
		return nil, err
	}
	return detail, nil
}
