package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// State is how far a piece of work is.
type State struct {
	Phase       string // what is being done
	Done, Total int64  // in units; a total of 0 is not known
	Unit        string // what is counted, such as rows; "" if only bytes are
	Bytes       int64
	TotalBytes  int64 // of work that is counted in bytes
}

// Rates measures how fast work goes. Its zero value is ready to use.
type Rates struct {
	began       time.Time
	done, bytes int64 // when it began
}

// minMeasured is the time after which rates are known.
const minMeasured = time.Second

// Text describes a state at a time: phase, how far it is, rates, and the time left. The rates are
// known a second after work began, and the time left only with them and with a total.
func (r *Rates) Text(s State, now time.Time, size func(int64) string) string {
	if r.began.IsZero() && (s.Done > 0 || s.Bytes > 0) {
		r.began, r.done, r.bytes = now, s.Done, s.Bytes
	}
	parts := []string{s.Phase}
	done, total := s.Done, s.Total
	switch {
	case s.Unit == "" && s.TotalBytes > 0:
		done, total = s.Bytes, s.TotalBytes
		parts = append(parts, fmt.Sprintf("%s of %s", size(s.Bytes), size(s.TotalBytes)))
	case s.Unit != "" && s.Total > 0:
		parts = append(parts, fmt.Sprintf("%d of %d %s", s.Done, s.Total, s.Unit))
	case s.Unit != "" && s.Done > 0:
		parts = append(parts, fmt.Sprintf("%d %s", s.Done, s.Unit))
	}
	took := now.Sub(r.began).Seconds()
	if r.began.IsZero() || took < minMeasured.Seconds() {
		return strings.Join(parts, "  ")
	}
	units, bytes := float64(s.Done-r.done)/took, float64(s.Bytes-r.bytes)/took
	if s.Unit != "" && units > 0 {
		parts = append(parts, fmt.Sprintf("%.0f %s/s", units, s.Unit))
	}
	if bytes > 0 {
		parts = append(parts, fmt.Sprintf("%.1f MB/s", bytes/1e6))
	}
	speed := units
	if s.Unit == "" {
		speed = bytes
	}
	if left := total - done; left > 0 && speed > 0 {
		wait := time.Duration(float64(left) / speed * float64(time.Second))
		parts = append(parts, wait.Round(time.Second).String()+" left")
	}
	return strings.Join(parts, "  ")
}

// Bar shows on one line of a terminal how far work is. Elsewhere it shows nothing. Several goroutines
// may use it.
type Bar struct {
	out   io.Writer // nil: not a terminal
	width int
	size  func(int64) string

	mu    sync.Mutex
	rates Rates
	state State
	drawn time.Time
}

// NewBar returns a bar on w. size writes numbers of bytes.
func NewBar(w io.Writer, size func(int64) string) *Bar {
	b := &Bar{size: size}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		b.out, b.width = w, Of(w).Width
	}
	return b
}

// Shows reports whether the bar draws.
func (b *Bar) Shows() bool { return b.out != nil }

// interval is the least time between two drawings.
const interval = 100 * time.Millisecond

// Set draws a new state.
func (b *Bar) Set(s State) { b.Change(func(state *State) { *state = s }) }

// Change changes the state and draws it.
func (b *Bar) Change(f func(*State)) {
	if b.out == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	phase := b.state.Phase
	f(&b.state)
	now := time.Now()
	if now.Sub(b.drawn) < interval && b.state.Phase == phase {
		return
	}
	b.drawn = now
	fmt.Fprint(b.out, "\r\x1b[K"+Shorten(b.rates.Text(b.state, now, b.size), b.width-1))
}

// Clear removes the bar from the screen.
func (b *Bar) Clear() {
	if b.out == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drawn = time.Time{}
	fmt.Fprint(b.out, "\r\x1b[K")
}
