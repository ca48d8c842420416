package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/terminal"
	"github.com/millrace/millrace/pipeline/history"
)

// Apps are the commands about copilots and recipes.
type Apps struct {
	Ls appsLs `cmd:"" help:"List the copilots and recipes of a workspace, the one that ran last first." example:"millrace apps ls"`
}

// Nodes are the commands about the nodes of an app.
type Nodes struct {
	Ls nodesLs `cmd:"" help:"List the nodes of an app, the one with the most runs first." example:"millrace nodes ls knowledge-answer"`
}

// SourceFlag is embedded in commands that may be about one kind of app.
type SourceFlag struct {
	Source string `enum:",copilot,recipe" default:"" placeholder:"KIND" help:"copilot or recipe; default both."`
}

// withHistory calls f with the reader that the HTTP API uses.
func withHistory(a *app.App, f func(*history.Store) error) error {
	conn, err := a.Config.DSN.OpenPool(history.Connections)
	if err != nil {
		return err
	}
	defer conn.Close()
	return f(history.New(conn, nil))
}

type appsLs struct {
	app.WorkspaceFlag
	SourceFlag
	Days int  `default:"14" help:"How many days the numbers are about, today included; 1 to 90."`
	JSON bool `name:"json" help:"One JSON object a line, with every field."`
}

// Run lists the apps.
func (c appsLs) Run(ctx context.Context, a *app.App) error {
	workspace, err := c.WorkspaceID(a.Config)
	if err != nil {
		return err
	}
	if c.Days < 1 || c.Days > 90 {
		return app.Usage("--days must be from 1 to 90")
	}
	var apps []history.App
	err = withHistory(a, func(h *history.Store) (err error) {
		apps, err = h.Apps(ctx, workspace, c.Source, c.Days)
		return err
	})
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printEach(a, apps)
	case len(apps) == 0:
		_, err := fmt.Fprintf(a.Stdout, "No runs in workspace %s yet. Publish some:\n\n  millrace sample --runs 2000\n"+
			"  millrace replay FILE\n", workspace)
		return err
	}
	_, err = fmt.Fprint(a.Stdout, appsTable(apps, c.Days, terminal.Of(a.Stdout)))
	return err
}

func printEach[T any](a *app.App, list []T) error {
	for _, x := range list {
		if err := a.PrintJSON(x); err != nil {
			return err
		}
	}
	return nil
}

// appsTable returns the rows of a listing as they fit a screen.
func appsTable(apps []history.App, days int, s terminal.Screen) string {
	t := terminal.Table{Columns: []terminal.Column{
		{Title: "APP"}, {Title: "SOURCE"}, {Title: "NAME", Min: 10, Optional: 2},
		{Title: fmt.Sprintf("RUNS (%d D)", days), Right: true}, {Title: "FAILED", Right: true, Style: failures},
		{Title: "UP/DOWN", Right: true, Optional: 3},
		{Title: "VERSIONS", Min: 8, Optional: 4}, {Title: "LAST RUN", Optional: 1},
	}}
	for _, x := range apps {
		versions := strings.Join(x.Versions[:min(len(x.Versions), 3)], ", ")
		if len(x.Versions) > 3 {
			versions += ", …"
		}
		t.Add(x.AppID, x.Source, terminal.Shorten(printable(x.AppName), 40), fmt.Sprint(x.Runs), fmt.Sprint(x.Failed),
			fmt.Sprintf("%d/%d", x.ThumbsUp, x.ThumbsDown), printable(versions), s.Time(x.LastRunAt))
	}
	return t.On(s)
}

// failures is the style of a number of failures.
func failures(cell string) terminal.Style {
	if cell == "0" {
		return terminal.Plain
	}
	return terminal.Red
}

type nodesLs struct {
	app.WorkspaceFlag
	SourceFlag
	App  string `arg:"" help:"Id of the copilot or recipe, as apps ls shows it."`
	JSON bool   `name:"json" help:"One JSON object a line, with every field."`
}

// Run lists the nodes of an app.
func (c nodesLs) Run(ctx context.Context, a *app.App) error {
	workspace, err := c.WorkspaceID(a.Config)
	if err != nil {
		return err
	}
	return withHistory(a, func(h *history.Store) error {
		nodes, err := h.Nodes(ctx, workspace, c.Source, c.App)
		switch {
		case errors.Is(err, history.ErrNotFound):
			return noApp(ctx, h, workspace, c.App)
		case err != nil:
			return err
		case c.JSON:
			return printEach(a, nodes)
		case len(nodes) == 0:
			_, err := fmt.Fprintf(a.Stdout, "App %s has no node runs.\n", c.App)
			return err
		}
		_, err = fmt.Fprint(a.Stdout, nodesTable(nodes, terminal.Of(a.Stdout)))
		return err
	})
}

// nodesTable returns the rows of a listing as they fit a screen.
func nodesTable(nodes []history.Node, s terminal.Screen) string {
	t := terminal.Table{Columns: []terminal.Column{{Title: "NODE"}, {Title: "NAME", Min: 10, Optional: 2}, {Title: "TYPE"},
		{Title: "NODE RUNS", Right: true}, {Title: "LAST RUN", Optional: 1}}}
	for _, x := range nodes {
		t.Add(x.NodeID, terminal.Shorten(printable(x.NodeName), 40), printable(x.NodeType), fmt.Sprint(x.NodeRuns),
			s.Time(x.LastRunAt))
	}
	return t.On(s)
}

// noApp returns the error about an app that the workspace does not have. It suggests one whose name
// is alike.
func noApp(ctx context.Context, h *history.Store, workspace, id string) error {
	text := fmt.Sprintf("there is no app %q in workspace %s; `millrace apps ls` lists them", id, workspace)
	if apps, err := h.Apps(ctx, workspace, "", 1); err == nil {
		ids := make([]string, len(apps))
		for i, x := range apps {
			ids[i] = x.AppID
		}
		slices.SortFunc(ids, cmp.Compare)
		text += DidYouMean(id, ids)
	}
	return errors.New(text)
}
