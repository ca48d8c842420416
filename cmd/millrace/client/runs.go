package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/terminal"
	"github.com/millrace/millrace/pipeline/history"
	"github.com/millrace/millrace/pipeline/runs"
)

// Runs are the commands about runs.
type Runs struct {
	Ls   runsLs   `cmd:"" help:"List runs, newest first." example:"millrace runs ls --app airline-helpdesk --rating thumbsDown"`
	Show runsShow `cmd:"" help:"Show one run, with its node runs and feedback." example:"millrace runs show latest"`
}

type runsLs struct {
	app.WorkspaceFlag
	SourceFlag
	App    string   `help:"Only runs of this copilot or recipe."`
	Status []string `sep:"none" enum:"running,succeeded,failed,cancelled" help:"Only runs with this status; may be repeated."`
	Rating string   `enum:",thumbsUp,thumbsDown,none,notThumbsDown" default:"" placeholder:"RATING" help:"Only runs with this rating: thumbsUp, thumbsDown, none for runs without feedback, or notThumbsDown for all but those of thumbsDown."`
	Text   string   `help:"Only runs with this text; upper and lower case are the same."`
	N      int      `short:"n" default:"20" help:"Only the newest N."`
	JSON   bool     `name:"json" help:"One JSON object a line, with every field; long texts are cut."`
}

// maxPage is the largest page of runs that is read at once.
const maxPage = 200

// Run lists runs.
func (c runsLs) Run(ctx context.Context, a *app.App) error {
	workspace, err := c.WorkspaceID(a.Config)
	if err != nil {
		return err
	}
	if c.N < 1 {
		return app.Usage("-n must be 1 or more")
	}
	q := history.Query{Workspace: workspace, Source: c.Source, AppID: c.App}
	q.Statuses, q.Rating, q.Text = c.Status, c.Rating, c.Text
	var list []history.Run
	err = withHistory(a, func(h *history.Store) error {
		for more := true; more && len(list) < c.N; more = q.Cursor != "" {
			q.Limit = min(c.N-len(list), maxPage)
			page, err := h.Runs(ctx, q)
			if err != nil {
				return err
			}
			list, q.Cursor = append(list, page.Runs...), page.Next
		}
		if len(list) == 0 && c.App != "" {
			if _, err := h.App(ctx, workspace, c.Source, c.App, 1); errors.Is(err, history.ErrNotFound) {
				return noApp(ctx, h, workspace, c.App)
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printEach(a, list)
	case len(list) == 0:
		_, err := fmt.Fprintf(a.Stdout, "No such runs in workspace %s.\n", workspace)
		return err
	}
	_, err = fmt.Fprint(a.Stdout, runsTable(list, terminal.Of(a.Stdout)))
	if err == nil && q.Cursor != "" {
		_, err = fmt.Fprintf(a.Stdout, "These are the newest %d; -n shows more.\n", c.N)
	}
	return err
}

// runsTable returns the rows of a listing as they fit a screen.
func runsTable(list []history.Run, s terminal.Screen) string {
	t := terminal.Table{Columns: []terminal.Column{
		{Title: "RUN"}, {Title: "STARTED"}, {Title: "TOOK", Right: true, Optional: 2},
		{Title: "STATUS", Style: terminal.StatusStyle}, {Title: "APP", Min: 10, Optional: 3},
		{Title: "VERSION", Min: 6, Optional: 4}, {Title: "RATING", Optional: 1}, {Title: "QUESTION", Min: 12},
	}}
	for _, x := range list {
		rating := ""
		if x.Feedback != nil {
			rating = x.Feedback.Rating
		}
		t.Add(x.RunID, s.Time(x.StartedAt), took(x.StartedAt, x.EndedAt), x.Status, x.AppID, printable(x.AppVersion), rating,
			terminal.Shorten(oneLine(x.Question), 60))
	}
	return t.On(s)
}

// oneLine returns the words of a text on one line.
func oneLine(text string) string { return printable(strings.Join(strings.Fields(text), " ")) }

// took writes how long something took, or "".
func took(from time.Time, to *time.Time) string {
	if to == nil {
		return ""
	}
	d := to.Sub(from)
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

type runsShow struct {
	app.WorkspaceFlag
	ID   string `arg:"" help:"The run's id, as runs ls shows it, or latest."`
	JSON bool   `name:"json" help:"One JSON object, with every field."`
}

// Run shows one run.
func (c runsShow) Run(ctx context.Context, a *app.App) error {
	workspace, err := c.WorkspaceID(a.Config)
	if err != nil {
		return err
	}
	if !runs.ValidID(c.ID) {
		return app.Usage("%q is not the id of a run; `millrace runs ls` lists them", c.ID)
	}
	var run *history.Detail
	err = withHistory(a, func(h *history.Store) (err error) {
		run, err = h.Run(ctx, workspace, c.ID)
		if !errors.Is(err, history.ErrNotFound) || c.ID != latestID {
			return err
		}
		page, err := h.Runs(ctx, history.Query{Workspace: workspace, Limit: 1})
		if err != nil || len(page.Runs) == 0 {
			return cmp.Or(err, history.ErrNotFound)
		}
		run, err = h.Run(ctx, workspace, page.Runs[0].RunID)
		return err
	})
	switch {
	case errors.Is(err, history.ErrNotFound):
		return fmt.Errorf("there is no run %s in workspace %s; `millrace runs ls` lists the newest", c.ID, workspace)
	case err != nil:
		return err
	case c.JSON:
		return a.PrintJSON(run)
	}
	_, err = fmt.Fprint(a.Stdout, runText(run, terminal.Of(a.Stdout)))
	return err
}

// runText describes a run for people: its fields, its documents, its node runs and its feedback.
func runText(r *history.Detail, s terminal.Screen) string {
	t := newSheet()
	t.add("run", "%s", r.RunID)
	t.add("workspace", "%s", r.WorkspaceID)
	t.add("app", "%s", joined(" ", r.Source, r.AppID, r.AppVersion, prefixed("– ", r.AppName)))
	t.add("status", "%s", r.Status)
	t.add("started", "%s", joined(", took ", moment(r.StartedAt), took(r.StartedAt, r.EndedAt)))
	t.addIf("model", r.Model)
	t.addIf("tokens", tokens(r.Usage))
	if r.CostUSD != nil {
		t.add("cost", "%g USD", *r.CostUSD)
	}
	t.addIf("session", r.SessionID)
	t.addIf("user", r.UserID)
	t.addIf("trace", r.TraceID)
	if r.Error != nil {
		t.add("error", "%s", joined(": ", r.Error.Type, r.Error.Message))
	}
	var b strings.Builder
	b.WriteString(t.String())
	for _, part := range []struct{ name, text string }{{"question", r.Question}, {"answer", r.Answer},
		{"reference", r.Reference}} {
		if part.text != "" {
			b.WriteString("\n" + part.name + "\n  " + strings.ReplaceAll(excerpt(part.text), "\n", "\n  ") + "\n")
		}
	}
	for _, part := range []struct {
		name     string
		document json.RawMessage
	}{{"inputs", r.Inputs}, {"outputs", r.Outputs}} {
		var fields strings.Builder
		if len(part.document) == 0 || empty(part.document) || writeFields(&fields, "  ", part.document) != nil {
			continue
		}
		b.WriteString("\n" + part.name + "\n" + fields.String())
	}
	b.WriteString(nodeRunsText(r, s) + feedbackText(r, s))
	return b.String()
}

func tokens(u *history.Usage) string {
	if u == nil || u.InputTokens == nil && u.OutputTokens == nil {
		return ""
	}
	count := func(n *int64, what string) string {
		if n == nil {
			return ""
		}
		return fmt.Sprintf("%d %s", *n, what)
	}
	return joined(", ", count(u.InputTokens, "in"), count(u.OutputTokens, "out"))
}

func nodeRunsText(r *history.Detail, s terminal.Screen) string {
	if len(r.Nodes) == 0 {
		return ""
	}
	t := terminal.Table{Indent: "  ", Columns: []terminal.Column{{Title: "NODE", Min: 10}, {Title: "TYPE"},
		{Title: "STATUS", Style: terminal.StatusStyle}, {Title: "TOOK", Right: true}, {Title: "MODEL", Min: 8, Optional: 2},
		{Title: "TOKENS", Optional: 1}}}
	for _, n := range r.Nodes {
		t.Add(printable(n.NodeID), printable(n.NodeType), n.Status, took(n.StartedAt, n.EndedAt), printable(n.Model),
			tokens(n.Usage))
	}
	more := ""
	if r.NodesOmitted > 0 {
		more = fmt.Sprintf("  and %s more\n", plural(r.NodesOmitted, "node run"))
	}
	return "\nnode runs\n" + t.On(s) + more
}

func feedbackText(r *history.Detail, s terminal.Screen) string {
	if len(r.AllFeedback) == 0 {
		return ""
	}
	t := terminal.Table{Indent: "  ", Columns: []terminal.Column{{Title: "RATING"}, {Title: "SCORE", Right: true},
		{Title: "ON", Min: 8}, {Title: "BY", Min: 8, Optional: 1}, {Title: "COMMENT", Min: 16}}}
	for _, f := range r.AllFeedback {
		score := ""
		if f.Score != nil {
			score = fmt.Sprintf("%g", *f.Score)
		}
		t.Add(f.Rating, score, printable(joined(" ", cmp.Or(f.NodeID, "run"), f.Name)), printable(joined(" ", f.Kind,
			f.CreatedBy)), terminal.Shorten(oneLine(f.Comment), 80))
	}
	return "\nfeedback\n" + t.On(s)
}
