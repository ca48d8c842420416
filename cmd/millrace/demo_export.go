package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// export files one export, shows its progress, its files and how its records look.
func (c demoCommand) export(ctx context.Context, a *app) error {
	request := requestCommand{
		Name: "Answers of the knowledge recipe", Source: "recipe", App: "knowledge-answer", Purpose: "export_dataset", Limit: 600, Watch: true,
	}
	fmt.Fprintf(a.stdout, "\nAn export\n\n  millrace request --source recipe --app %s --purpose export_dataset --limit %d --watch\n\n", request.App, request.Limit)
	inner := *a
	out := &indented{w: a.stdout}
	inner.stdout = out
	if err := request.Run(ctx, &inner); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(c.Dir, "bucket", "exports", a.cfg.DefaultWorkspace, "*", "data", "*.jsonl"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("the export left no files in %s", filepath.Join(c.Dir, "bucket"))
	}
	fmt.Fprintln(a.stdout)
	var first []byte
	for i, name := range files {
		body, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if i == 0 {
			first, _, _ = bytes.Cut(body, []byte("\n"))
		}
		fmt.Fprintf(a.stdout, "  %s  %d records, %d bytes\n", name, bytes.Count(body, []byte("\n")), len(body))
	}
	fmt.Fprintf(a.stdout, "\n  The first record begins\n\n  %.300s…\n\n", first)
	if err := waitTracked(ctx, a); err != nil {
		return err
	}
	return exportsLs{N: 10}.Run(ctx, &inner)
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
