package selection

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ClickHouse/ch-go"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"golang.org/x/sync/errgroup"
)

// Staged says what [ReadStaged] found.
type Staged struct {
	Rows     int64 // of the stage's range
	Vanished int64 // of them, whose run is not in the table any more
}

// ReadStaged streams the rows of a part of a stage, each with the feedback that was staged with it, and calls
// fn for each, in the order of the stage. Of runs of which only keys and feedback were staged it merges two queries,
// each with a connection of its own, and adds "/keys" and "/runs" to id for theirs. Row, errors and connections are as in
// [ReadRows].
//
// The caller compares the rows with those planned: of a stage that is gone there are none.
func ReadStaged(ctx context.Context, keys, runs *ch.Client, r *StagedRange, id string, settings []ch.Setting, fn func(*record.Row) error) (Staged, error) {
	return readStaged(ctx, keys, runs, r, id, settings, defaultPatience, fn)
}

func readStaged(ctx context.Context, keys, runs *ch.Client, r *StagedRange, id string, settings []ch.Setting, patience patience, fn func(*record.Row) error) (found Staged, err error) {
	of := func(q Query, name string) Query {
		q.ID, q.Settings = id+name, settings
		return q
	}
	if shape := r.shape(); shape.wide() {
		n, err := shape.newWide().read(ctx, keys, of(r.wide(shape), ""), patience, fn)
		return Staged{Rows: int64(n)}, err
	}
	group, ctx := errgroup.WithContext(ctx)
	blocks := make(chan []stagedKey, 4)
	group.Go(func() error {
		if err := sendKeys(ctx, keys, of(r.keys(), "/keys"), patience, blocks); err != nil {
			return err // and blocks stays open: an end of the keys would be an error of its own
		}
		close(blocks)
		return nil
	})
	group.Go(func() error {
		m := &merge{ctx: ctx, blocks: blocks, found: &found}
		w := newRuns(r.Request.Split != nil, nil)
		_, err := w.read(ctx, runs, of(r.runs(), "/runs"), patience, func(row *record.Row) error {
			if err := m.join(row); err != nil {
				return err
			}
			return fn(row)
		})
		if err != nil {
			return err
		}
		return m.rest()
	})
	err = group.Wait()
	return found, err
}

// stagedKey is a row of export_stage.
type stagedKey struct {
	startedAt   int64
	runID       []byte
	hasFeedback bool
	feedback    record.Feedback
}

func newStaged() *window {
	w := &window{}
	w.fields = append([]field{moment("{r}started_at", &w.row.StartedAt), text("{r}run_id", &w.row.RunID)}, feedbackFields(&w.row)...)
	return w
}

// sendKeys sends the staged keys in small blocks, of which the channel bounds the number.
func sendKeys(ctx context.Context, client *ch.Client, query Query, patience patience, blocks chan<- []stagedKey) error {
	block := make([]stagedKey, 0, maxReadBlock)
	send := func() error {
		select {
		case blocks <- block:
			block = make([]stagedKey, 0, maxReadBlock)
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	_, err := newStaged().read(ctx, client, query, patience, func(row *record.Row) error {
		block = append(block, keep(row))
		if len(block) < maxReadBlock {
			return nil
		}
		return send()
	})
	if err != nil {
		return err
	}
	return send()
}

// keep copies what the reader owns.
func keep(row *record.Row) stagedKey {
	k := stagedKey{startedAt: row.StartedAt, runID: bytes.Clone(row.RunID), hasFeedback: row.HasFeedback}
	if row.HasFeedback {
		f := row.Feedback
		k.feedback = record.Feedback{
			Rating: bytes.Clone(f.Rating), Score: f.Score, Comment: bytes.Clone(f.Comment),
			CorrectedAnswer: bytes.Clone(f.CorrectedAnswer), Tags: slices.Clone(f.Tags),
		}
		for i, tag := range k.feedback.Tags {
			k.feedback.Tags[i] = bytes.Clone(tag)
		}
	}
	return k
}

// merge walks through the staged keys beside the runs.
type merge struct {
	ctx    context.Context
	blocks <-chan []stagedKey
	block  []stagedKey // what is left of the one at hand
	found  *Staged
}

// errOrder would be a fault of a query, or a stage that was dropped between the two.
var errOrder = errors.New("runs and their stage do not come in one order")

// next returns the next key, nil after the last one.
func (m *merge) next() (*stagedKey, error) {
	for len(m.block) == 0 {
		select {
		case block, more := <-m.blocks:
			if !more {
				return nil, nil
			}
			m.block = block
		case <-m.ctx.Done():
			return nil, context.Cause(m.ctx)
		}
	}
	key := &m.block[0]
	m.block = m.block[1:]
	m.found.Rows++
	return key, nil
}

// join gives a run its staged feedback, and counts the keys before it, whose runs are not there.
func (m *merge) join(row *record.Row) error {
	for {
		key, err := m.next()
		if err != nil {
			return err
		}
		if key == nil || key.startedAt > row.StartedAt || key.startedAt == row.StartedAt && bytes.Compare(key.runID, row.RunID) > 0 {
			return fmt.Errorf("%w: run %s", errOrder, row.RunID)
		}
		if key.startedAt == row.StartedAt && bytes.Equal(key.runID, row.RunID) {
			row.HasFeedback, row.Feedback = key.hasFeedback, key.feedback
			return nil
		}
		m.found.Vanished++
	}
}

// rest counts the keys after the last run.
func (m *merge) rest() error {
	for {
		key, err := m.next()
		if key == nil || err != nil {
			return err
		}
		m.found.Vanished++
	}
}
