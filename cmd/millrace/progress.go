package main

import (
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// bar shows how far something is: a bar on a terminal, nothing elsewhere.
type bar struct{ bar *progressbar.ProgressBar }

// progress starts a bar on standard error. A total of -1 is not known.
func (a *app) progress(what string, total int64) bar {
	f, ok := a.stderr.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return bar{}
	}
	return bar{progressbar.NewOptions64(total, progressbar.OptionSetDescription(what), progressbar.OptionSetWriter(f),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("events"), progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())}
}

func (b bar) set(n int64) {
	if b.bar != nil {
		b.bar.Set64(n) //nolint:errcheck // a progress bar that cannot be drawn is no failure
	}
}

// total sets what the bar is out of, once that is known.
func (b bar) total(n int64) {
	if b.bar != nil && n > 0 {
		b.bar.ChangeMax64(n)
	}
}

func (b bar) finish() {
	if b.bar != nil {
		b.bar.Finish() //nolint:errcheck // as above
	}
}
