// Package terminal draws what commands show to people: tables that fit the screen, and the progress
// of work that takes its time.
//
//	screen.go  Screen: how wide, whether in colour, what time it is
//	table.go   Table: rows of cells that fit a screen
//	bar.go     Bar: one line that shows how far work is
package terminal

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/term"
)

// Screen is where the output of a command goes. The zero value is a file or a pipe: lines have any
// length, there is no colour, and times and ids are written in full, so that programs can read them.
type Screen struct {
	Width  int  // columns; 0 is a file or a pipe
	Colour bool // whether colours are wanted
	Now    time.Time
}

// Of returns the screen that a writer draws on. A file or a pipe is treated as a screen if COLUMNS
// is set. Colours need a terminal, and NO_COLOR switches them off.
func Of(w io.Writer) Screen {
	s := Screen{Now: time.Now()}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		s.Width = n
	}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return s
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		s.Width = width
	}
	s.Width = cmp.Or(s.Width, 80)
	s.Colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return s
}

// IsFile reports whether the output goes to a file or a pipe.
func (s Screen) IsFile() bool { return s.Width == 0 }

// Style is how a text looks in colour.
type Style string

// The styles. They are codes of the 16 colours, so that they follow the theme of the terminal.
const (
	Plain  Style = ""
	Bold   Style = "1"
	Dim    Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
)

// StatusStyle returns the style of the status of an export or a run.
func StatusStyle(status string) Style {
	switch status {
	case "succeeded":
		return Green
	case "failed":
		return Red
	case "cancelled":
		return Dim
	}
	return Yellow
}

// Paint returns a text in a style, if the screen has colours.
func (s Screen) Paint(style Style, text string) string {
	if !s.Colour || style == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(style) + "m" + text + "\x1b[0m"
}

// Time writes a time: in full to a file, and relative to now on a screen.
func (s Screen) Time(t time.Time) string {
	if s.IsFile() {
		return t.UTC().Format(time.DateTime)
	}
	return Ago(s.Now, t)
}

// Ago writes how long before now a time was: "5 min ago". It writes the date of a time that is 60
// days ago or more, or ahead of now.
func Ago(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case d < -time.Minute || d >= 60*24*time.Hour:
		return t.UTC().Format(time.DateOnly)
	case d < time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", d/time.Hour)
	}
	return fmt.Sprintf("%d days ago", d/(24*time.Hour))
}
