package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/sinks/bucket"
)

// ls asks ClickHouse, cancel Kafka; the others need nothing but the bucket, so that they work the moment the
// completion is there:
//
//	ClickHouse exports ──▶ ls, the progress in show
//	bucket ──────────────▶ show, view, download, verify, delete
//	cancel ──▶ Kafka export-requests … export-completions ──▶ cancel
type exportsCommand struct {
	Ls       exportsLs       `cmd:"" help:"List the exports of a workspace, newest first."`
	Show     exportsShow     `cmd:"" help:"Show all about one export: what was asked for, how far it is, how it ended."`
	View     exportsView     `cmd:"" help:"Look at the first records of an export, whatever their format."`
	Download exportsDownload `cmd:"" help:"Download the files of an export, one file a split."`
	Cancel   exportsCancel   `cmd:"" help:"Cancel an export that is running."`
	Delete   exportsDelete   `cmd:"" help:"Delete the files of an export that has ended; its plan and manifest stay."`
	Verify   exportsVerify   `cmd:"" help:"Read every file of an export again: size, SHA-256 and number of records."`
}

// exportArg is part of the commands about one export.
type exportArg struct {
	workspaceFlag
	ID string `arg:"" help:"The export's id, as exports ls shows it."`
}

func (e exportArg) id(a *app) (export.ID, error) {
	workspace, err := e.workspace(a.cfg)
	if err != nil {
		return export.ID{}, err
	}
	if !runs.ValidID(e.ID) {
		return export.ID{}, usage("%q is not the id of an export; `millrace exports ls` lists them", e.ID)
	}
	return export.ID{WorkspaceID: workspace, ExportID: e.ID}, nil
}

// with opens the export and calls f. What is wrong is said for people, with the exit code of the contract.
func (e exportArg) with(ctx context.Context, a *app, f func(export.ID, *files.Dataset) error) error {
	id, err := e.id(a)
	if err != nil {
		return err
	}
	return withDataset(ctx, a, id, func(d *files.Dataset) error { return f(id, d) })
}

func withDataset(ctx context.Context, a *app, id export.ID, f func(*files.Dataset) error) error {
	b, err := bucket.Open(ctx, a.cfg.BucketURL)
	if err != nil {
		return fmt.Errorf("MILLRACE_BUCKET_URL: %w", err)
	}
	defer b.Close()
	d, err := files.Open(ctx, b, id)
	if err == nil {
		err = f(d)
	}
	return explainDataset(id, err)
}

func explainDataset(id export.ID, err error) error {
	var none *files.NoData
	switch {
	case errors.Is(err, files.ErrNotFound):
		return fmt.Errorf("there is no export %s in workspace %s, or it is not planned yet; `millrace exports ls` lists them, --workspace says which workspace, MILLRACE_BUCKET_URL which bucket",
			id.ExportID, id.WorkspaceID)
	case errors.Is(err, files.ErrRunning):
		return fmt.Errorf("export %s is still running: `millrace exports show` tells how far it is, `millrace exports cancel` ends it", id.ExportID)
	case errors.As(err, &none):
		code := exitExportFailed
		if none.Status == export.StatusCancelled {
			code = exitCancelled
		}
		return &exitError{code, fmt.Errorf("export %s: %s", id.ExportID, printable(none.Error()))}
	}
	return err
}

// user is who asks, cancels and deletes, as far as this machine knows.
func user() string { return os.Getenv("USER") }
