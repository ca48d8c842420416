// Package client has the commands that talk to a running system: they publish runs, request exports
// and show their results.
package client

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/sinks/bucket"
)

// Exports are the commands about exports. ls reads ClickHouse, and cancel writes to Kafka. The others
// need only the bucket, so they work as soon as the completion was sent:
//
//	ClickHouse exports ──▶ ls, the progress in show
//	bucket ──────────────▶ show, view, download, verify, delete
//	cancel ──▶ Kafka export-requests … export-completions ──▶ cancel
type Exports struct {
	Ls       ExportsLs       `cmd:"" help:"List the exports of a workspace, newest first." example:"millrace exports ls -n 20"`
	Show     exportsShow     `cmd:"" help:"Show one export: its request, its progress, how it ended, its files." example:"millrace exports show latest"`
	View     ExportsView     `cmd:"" help:"Print the first records of an export, in any format." example:"millrace exports view latest -n 3"`
	Download exportsDownload `cmd:"" help:"Download the files of an export, one file a split." example:"millrace exports download latest my-data"`
	Cancel   exportsCancel   `cmd:"" help:"Cancel an export that is running." example:"millrace exports cancel latest"`
	Delete   exportsDelete   `cmd:"" help:"Delete the files of an export that has ended; its plan and manifest stay." example:"millrace exports delete help-desk-2026-11"`
	Verify   ExportsVerify   `cmd:"" help:"Read every file of an export again, and check its size, SHA-256 and number of records." example:"millrace exports verify latest"`
}

// ExportArg is embedded in commands about one export.
type ExportArg struct {
	app.WorkspaceFlag
	ID string `arg:"" help:"The export's id, the end or the beginning of it, or latest."`
}

// with opens the export and calls f. Its errors are written for people and have the documented exit
// codes.
func (e ExportArg) with(ctx context.Context, a *app.App, f func(export.ID, *files.Dataset) error) error {
	return e.find(ctx, a, func(id export.ID) error {
		return withDataset(ctx, a, id, func(d *files.Dataset) error { return f(id, d) })
	})
}

func withDataset(ctx context.Context, a *app.App, id export.ID, f func(*files.Dataset) error) error {
	b, err := bucket.Open(ctx, a.Config.BucketURL)
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
		return &noExport{id}
	case errors.Is(err, files.ErrRunning):
		return fmt.Errorf("export %s is still running: `millrace exports show` shows its progress, `millrace exports "+
			"cancel` ends it", id.ExportID)
	case errors.As(err, &none):
		code := app.ExitExportFailed
		if none.Status == export.StatusCancelled {
			code = app.ExitCancelled
		}
		return &app.ExitError{Code: code, Err: fmt.Errorf("export %s: %s", id.ExportID, printable(none.Error()))}
	}
	return err
}

// user returns the name that requests, cancels and deletions are recorded under.
func user() string { return os.Getenv("USER") }
