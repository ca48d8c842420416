package client

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/terminal"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
)

type exportsDownload struct {
	ExportArg
	Dir       string `arg:"" optional:"" type:"path" help:"Folder for the files; default a new folder named by the export's id, in the current folder."`
	Fragments bool   `help:"Download the fragments and folders as they are in the bucket, instead of one file a split."`
	Force     bool   `help:"Replace existing files that differ."`
}

// Run downloads the files of an export.
func (c exportsDownload) Run(ctx context.Context, a *app.App) error {
	return c.find(ctx, a, func(id export.ID) error {
		return download(ctx, a, id, c.Dir, files.DownloadOptions{Fragments: c.Fragments, Force: c.Force}, a.Stdout)
	})
}

// download downloads an export into a folder, and writes to out which files it wrote. An empty dir
// means a new folder in the current one, named by the export's id.
func download(ctx context.Context, a *app.App, id export.ID, dir string, o files.DownloadOptions, out io.Writer) error {
	return withDataset(ctx, a, id, func(d *files.Dataset) error {
		if dir == "" {
			dir = id.ExportID
		}
		bar, add := bytesBar(a, "downloading", d)
		o.Progress = add
		list, err := d.Download(ctx, dir, o)
		bar.Clear()
		script := ""
		if err == nil {
			script, err = writeLoader(d, dir, o)
		}
		switch {
		case errors.Is(err, files.ErrExists):
			return fmt.Errorf("%w: choose another folder, or replace the file with --force", err)
		case err != nil:
			return err
		}
		return describeFiles(out, d, list, script)
	})
}

// describeFiles writes which files a download wrote. The last one describes the others.
func describeFiles(out io.Writer, d *files.Dataset, written []files.LocalFile, script string) error {
	t := terminal.Table{Indent: "  ", Columns: []terminal.Column{{}, {Right: true}, {Right: true}}}
	more := int64(0)
	for _, f := range written {
		switch {
		case f.Kind != export.Data:
		case len(t.Rows) < filesShown:
			t.Add(printable(f.Path), plural(f.Records, "record"), files.Size(f.Bytes))
		default:
			more++
		}
	}
	rest := ""
	if more > 0 {
		rest = fmt.Sprintf("  and %s more\n", plural(more, "file"))
	}
	if script != "" {
		rest += fmt.Sprintf("  loaded by %s\n", printable(script))
	}
	_, err := fmt.Fprintf(out, "downloaded %s\n%s%s  described in %s\n", plural(d.Manifest.Totals.Records, "record"),
		t.String(), rest, printable(written[len(written)-1].Path))
	return err
}

// ExportsVerify is the command line of millrace exports verify.
type ExportsVerify struct {
	ExportArg
	JSON bool `name:"json" help:"The report as one JSON object."`
}

// Run verifies an export. An export that differs from its manifest gives exit code 1.
func (c ExportsVerify) Run(ctx context.Context, a *app.App) error {
	return c.with(ctx, a, func(id export.ID, d *files.Dataset) error {
		bar, add := bytesBar(a, "verifying", d)
		report, err := d.Verify(ctx, add)
		bar.Clear()
		if err != nil {
			return err
		}
		if c.JSON {
			if err := a.PrintJSON(report); err != nil {
				return err
			}
		} else {
			for _, p := range report.Problems {
				fmt.Fprintln(a.Stdout, printable(p.Error()))
			}
		}
		if n := len(report.Problems); n > 0 {
			return fmt.Errorf("export %s differs from its manifest: %s", id.ExportID, plural(int64(n), "problem"))
		}
		if !c.JSON {
			_, err = fmt.Fprintf(a.Stdout, "verified %s, %s, %s: sizes, SHA-256 and numbers of records match the manifest\n",
				plural(int64(report.Objects), "object"), plural(report.Records, "record"), files.Size(report.Bytes))
		}
		return err
	})
}

type exportsDelete struct{ ExportArg }

// Run deletes the files of an export that has ended.
func (c exportsDelete) Run(ctx context.Context, a *app.App) error {
	if c.ID == latestID {
		return app.Usage("delete takes the id of an export, and not %s: `millrace exports ls` lists them", latestID)
	}
	return c.with(ctx, a, func(id export.ID, d *files.Dataset) error {
		if d.Manifest == nil {
			return fmt.Errorf("export %s is still running: cancel it first, with `millrace exports cancel %s`", id.ExportID,
				id.ExportID)
		}
		before := d.Deletion
		if err := d.Delete(ctx, user()); err != nil {
			return err
		}
		if before != nil {
			_, err := fmt.Fprintf(a.Stdout, "was deleted %s\n", printable(joined(" by ", moment(before.DeletedAt),
				before.DeletedBy)))
			return err
		}
		_, err := fmt.Fprintf(a.Stdout, "deleted %s with %s, %s; the plan and the manifest stay\n",
			plural(d.Manifest.Totals.Files, "file"),
			plural(d.Manifest.Totals.Records, "record"), files.Size(d.Manifest.Totals.Bytes))
		return err
	})
}
