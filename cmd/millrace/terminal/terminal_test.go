package terminal

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

func table() *Table {
	t := &Table{Columns: []Column{{Title: "ID"}, {Title: "NAME", Min: 6}, {Title: "SIZE", Right: true, Optional: 2},
		{Title: "STATUS", Style: StatusStyle}, {Title: "WHO", Optional: 1}}}
	t.Add("a", "日本語のとても長い名前", "7 kB", "failed", "ann")
	t.Add("bb", "short", "123 kB", "succeeded", "")
	return t
}

func TestATableFitsItsScreen(t *testing.T) {
	t.Parallel()
	for width := 24; width < 60; width++ {
		text := table().On(Screen{Width: width})
		for line := range strings.Lines(text) {
			if n := Width(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("%d columns: a line of %d in\n%s", width, n, text)
			}
		}
		if width < 29 && strings.Contains(text, "SIZE") || !strings.Contains(text, "STATUS") {
			t.Errorf("%d columns: %s", width, text)
		}
	}
	if text := table().String(); !strings.Contains(text, "日本語のとても長い名前") || !strings.Contains(text, "ann\n") ||
		strings.Contains(text, " \n") {
		t.Errorf("to a file:\n%s", text)
	}
}

func TestOnlyScreensInColourAreColoured(t *testing.T) {
	t.Parallel()
	plain, colour := table().On(Screen{Width: 80}), table().On(Screen{Width: 80, Colour: true})
	if strings.Contains(plain, "\x1b") || !strings.Contains(colour, "\x1b[31mfailed\x1b[0m") {
		t.Errorf("%q, %q", plain, colour)
	}
}

func TestColoursNeedATerminal(t *testing.T) {
	t.Setenv("COLUMNS", "91")
	if s := Of(&bytes.Buffer{}); s.Colour || s.Width != 91 {
		t.Errorf("%+v", s)
	}
	t.Setenv("COLUMNS", "")
	if s := Of(&bytes.Buffer{}); !s.IsFile() {
		t.Errorf("%+v", s)
	}
}

func TestTimesAreRelativeToNow(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for ago, want := range map[time.Duration]string{
		0: "now", 59 * time.Second: "59 s ago", time.Minute: "1 min ago", 119 * time.Minute: "1 h ago",
		47 * time.Hour: "47 h ago", 48 * time.Hour: "2 days ago", 60 * 24 * time.Hour: "2026-09-30",
		-time.Hour: "2026-11-29", -time.Second: "now",
	} {
		if got := Ago(now, now.Add(-ago)); got != want {
			t.Errorf("%s ago: %q, want %q", ago, got, want)
		}
	}
	if got := (Screen{Now: now}).Time(now); got != "2026-11-29 12:00:00" {
		t.Errorf("to a file: %q", got)
	}
}

func size(n int64) string { return fmt.Sprint(n, " B") }

// The time left is not shown before something was done for a second, nor without a total.
func TestProgressSaysNothingThatItCannotKnow(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) time.Time { return time.Unix(1e9, 0).Add(d) }
	var rows, events, bytes Rates
	for _, c := range []struct {
		rates *Rates
		at    time.Duration
		state State
		want  string
	}{
		{&rows, 0, State{Phase: "filed"}, "filed"},
		{&rows, time.Minute, State{Phase: "planned", Unit: "rows", Total: 1000}, "planned  0 of 1000 rows"},
		{&rows, time.Hour, State{Phase: "extracting", Unit: "rows", Done: 100, Total: 1000, Bytes: 1e6},
			"extracting  100 of 1000 rows"},
		{&rows, time.Hour + 2*time.Second, State{Phase: "extracting", Unit: "rows", Done: 400, Total: 1000, Bytes: 7e6},
			"extracting  400 of 1000 rows  150 rows/s  3.0 MB/s  4s left"},
		{&rows, time.Hour + 4*time.Second, State{Phase: "sealing", Unit: "rows", Done: 1000, Total: 1000, Bytes: 9e6},
			"sealing  1000 of 1000 rows  225 rows/s  2.0 MB/s"},
		{&events, 0, State{Phase: "publishing", Unit: "events", Done: 1}, "publishing  1 events"},
		{&events, 10 * time.Second, State{Phase: "publishing", Unit: "events", Done: 101},
			"publishing  101 events  10 events/s"},
		{&bytes, 0, State{Phase: "verifying", Bytes: 5, TotalBytes: 4e6}, "verifying  5 B of 4000000 B"},
		{&bytes, 2 * time.Second, State{Phase: "verifying", Bytes: 2_000_005, TotalBytes: 4e6},
			"verifying  2000005 B of 4000000 B  1.0 MB/s  2s left"},
	} {
		if got := c.rates.Text(c.state, at(c.at), size); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
