package client

import (
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/export/files"
)

// Bar is a progress bar on a terminal. Elsewhere it shows nothing.
type Bar struct{ bar *progressbar.ProgressBar }

// EventsBar starts a bar that counts events. A total of -1 means that the total is unknown.
func EventsBar(a *app.App, what string, total int64) Bar {
	return newBar(a, what, total, progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("events"), progressbar.OptionClearOnFinish())
}

// rowsBar starts a bar that counts the rows of an export. Their total is not known yet. The bar
// stays on the screen when it is full.
func rowsBar(a *app.App) Bar {
	return newBar(a, "  rows", -1, progressbar.OptionShowCount(),
		progressbar.OptionOnCompletion(func() { fmt.Fprintln(a.Stderr) }))
}

// bytesBar starts a bar that counts the bytes of an export's objects.
func bytesBar(a *app.App, what string, d *files.Dataset) Bar {
	if d.Manifest == nil {
		return Bar{}
	}
	total := int64(0)
	for _, f := range d.Manifest.Files {
		total += f.Bytes
	}
	return newBar(a, what, total, progressbar.OptionShowBytes(true), progressbar.OptionUseIECUnits(true),
		progressbar.OptionClearOnFinish())
}

// newBar starts a bar on standard error.
func newBar(a *app.App, what string, total int64, options ...progressbar.Option) Bar {
	f, ok := a.Stderr.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return Bar{}
	}
	return Bar{progressbar.NewOptions64(total, append(options, progressbar.OptionSetDescription(what),
		progressbar.OptionSetWriter(f),
		progressbar.OptionSetWidth(30), progressbar.OptionThrottle(100*time.Millisecond))...)}
}

// Set draws the bar at n.
func (b Bar) Set(n int64) {
	if b.bar != nil {
		b.bar.Set64(n) //nolint:errcheck // a progress bar that cannot be drawn is no failure
	}
}

func (b Bar) add(n int64) {
	if b.bar != nil {
		b.bar.Add64(n) //nolint:errcheck // as above
	}
}

// total sets the bar's total, once it is known.
func (b Bar) total(n int64) {
	if b.bar != nil && n > 0 {
		b.bar.ChangeMax64(n)
	}
}

// Finish draws the bar full.
func (b Bar) Finish() {
	if b.bar != nil {
		b.bar.Finish() //nolint:errcheck // as above
	}
}

// clear removes the bar from the screen.
func (b Bar) clear() {
	if b.bar != nil {
		b.bar.Clear() //nolint:errcheck // as above
	}
}
