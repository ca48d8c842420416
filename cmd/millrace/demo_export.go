package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"
)

// export files one export, and does with it what a user would: each step under the command that does it.
func (c demoCommand) export(ctx context.Context, a *app) error {
	inner := *a
	inner.stdout = &indented{w: a.stdout}
	step := func(title, command string) { fmt.Fprintf(a.stdout, "\n%s\n\n  $ millrace %s\n\n", title, command) }

	request := requestCommand{
		Name: "Knowledge answers", Source: "recipe", App: "knowledge-answer", Purpose: "export_dataset", Limit: 600, Watch: true,
	}
	step("File an export of the newest runs of a recipe", fmt.Sprintf(`request --source %s --app %s --purpose %s --limit %d --name "%s" --watch`,
		request.Source, request.App, request.Purpose, request.Limit, request.Name))
	id, err := request.run(ctx, &inner)
	if err != nil {
		return err
	}
	step("List the exports", "exports ls")
	if err := waitTracked(ctx, a); err != nil {
		return err
	}
	if err := (exportsLs{N: 10}).Run(ctx, &inner); err != nil {
		return err
	}
	export := exportArg{ID: id.ExportID}
	step("Look at the first record", "exports view "+id.ExportID+" -n 1")
	if err := (exportsView{exportArg: export, N: 1}).Run(ctx, &inner); err != nil {
		return err
	}
	step("Check every file against the manifest", "exports verify "+id.ExportID)
	if err := (exportsVerify{exportArg: export}).Run(ctx, &inner); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, `
The files are in %s

To look at them again, now that this is over:

  $ export MILLRACE_BUCKET_URL=%s
  $ millrace exports show %s
  $ millrace exports download %s
`, filepath.Join(c.Dir, "bucket", filepath.FromSlash(id.Prefix())), a.cfg.BucketURL, id.ExportID, id.ExportID)
	return nil
}

// waitTracked waits until the view exports knows how the export ended, which is a moment after its event.
func waitTracked(ctx context.Context, a *app) error {
	conn, err := a.cfg.dsn.Open()
	if err != nil {
		return err
	}
	defer conn.Close()
	return poll(ctx, func() (bool, error) {
		var ended uint64
		err := conn.QueryRow(ctx, "SELECT count() FROM exports WHERE completed_at IS NOT NULL").Scan(&ended)
		return ended > 0, err
	})
}

// poll calls f until it says that it is done.
func poll(ctx context.Context, f func() (done bool, err error)) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if done, err := f(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// indented writes lines with two spaces before each.
type indented struct {
	w      io.Writer
	inside bool
}

func (o *indented) Write(b []byte) (int, error) {
	var out strings.Builder
	for _, c := range b {
		if !o.inside && c != '\n' {
			out.WriteString("  ")
		}
		o.inside = c != '\n'
		out.WriteByte(c)
	}
	if _, err := o.w.Write([]byte(out.String())); err != nil {
		return 0, err
	}
	return len(b), nil
}
