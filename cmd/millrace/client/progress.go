package client

import (
	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/terminal"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
)

// NewBar returns a bar on standard error, which shows how far work is.
func NewBar(a *app.App) *terminal.Bar { return terminal.NewBar(a.Stderr, files.Size) }

// bytesBar returns a bar that counts the bytes of an export's objects, and the function that counts
// more of them.
func bytesBar(a *app.App, phase string, d *files.Dataset) (bar *terminal.Bar, add func(bytes int64)) {
	total := int64(0)
	if d.Manifest != nil {
		for _, f := range d.Manifest.Files {
			total += f.Bytes
		}
	}
	bar = NewBar(a)
	bar.Set(terminal.State{Phase: phase, TotalBytes: total})
	return bar, func(n int64) { bar.Change(func(s *terminal.State) { s.Bytes += n }) }
}

// progressState returns how far an export is.
func progressState(p *export.Progress) terminal.State {
	return terminal.State{Phase: phase(p), Done: p.RowsDone, Total: p.RowsPlanned, Unit: "rows", Bytes: p.Bytes}
}

// phase names what happens with an export that has not ended.
func phase(p *export.Progress) string {
	switch {
	case p.Cancelling:
		return "cancelling"
	case p.Retrying != nil:
		return "retrying"
	case p.Status == export.StatusAccepted:
		return "planned"
	case p.RowsPlanned > 0 && p.RowsDone >= p.RowsPlanned:
		return "sealing"
	}
	return "extracting"
}
