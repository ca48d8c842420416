package history

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace/millrace/pipeline/runs"
)

// Runs of the same input are looked for among those that started within sameDays of the run.
const (
	sameDays = 14
	maxSame  = 20
)

// SameInput returns the newest run of each other version of the app of a run that was asked the same
// within two weeks of it, the newest first.
func (s *Store) SameInput(ctx context.Context, workspace string, run *Run) ([]Run, error) {
	if !runs.ValidID(run.RunID) {
		return nil, ErrNotFound
	}
	leave, err := s.reads.Enter(ctx, workspace)
	if err != nil {
		return nil, err
	}
	defer leave()
	r := s.read(workspace, readRun)
	list, err := r.sameInput(ctx, run)
	if err != nil {
		return nil, fmt.Errorf("find runs of the input of run %s of workspace %s: %w", run.RunID, workspace, err)
	}
	return list, nil
}

func (r *reading) sameInput(ctx context.Context, run *Run) ([]Run, error) {
	const around = sameDays * 24 * time.Hour
	r.Text("run", run.RunID)
	in := r.app(run.Source, run.AppID)
	this := in + " AND started_at = " + r.Milli("started", run.StartedAt.UnixMilli()) + " AND " + isRun
	sql := "SELECT toUnixTimestamp64Milli(started_at), run_id, source, app_id FROM " +
		latest("runs", in+" AND started_at BETWEEN "+r.Milli("first", run.StartedAt.Add(-around).UnixMilli())+" AND "+
			r.Milli("last", run.StartedAt.Add(around).UnixMilli())) +
		" AND app_version != " + r.Text("version", run.AppVersion) +
		" AND input_group IN (SELECT input_group FROM " + latest("runs", this) + ")" +
		"\nORDER BY started_at DESC, run_id DESC LIMIT 1 BY app_version LIMIT " + r.Count("at_most", maxSame)
	keys, err := r.scanKeys(ctx, sql)
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	return r.rows(ctx, keys)
}
