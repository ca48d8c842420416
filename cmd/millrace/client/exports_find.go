package client

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/terminal"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/runs"
)

// latestID stands for the newest export or run of the workspace.
const latestID = "latest"

// minShort is the least length of a short id.
const minShort = 4

// noExport says that the bucket has no such export.
type noExport struct{ id export.ID }

func (e *noExport) Error() string {
	return fmt.Sprintf("there is no export %s in workspace %s, or it is not planned yet; `millrace exports ls` lists "+
		"them; --workspace selects the workspace, MILLRACE_BUCKET_URL the bucket", e.id.ExportID, e.id.WorkspaceID)
}

// find calls f with the id as it was given. If there is no such export, find looks in ClickHouse for
// the one that is meant, and calls f again with its id.
func (e ExportArg) find(ctx context.Context, a *app.App, f func(export.ID) error) error {
	workspace, err := e.WorkspaceID(a.Config)
	if err != nil {
		return err
	}
	if !runs.ValidID(e.ID) {
		return app.Usage("%q is not the id of an export; `millrace exports ls` lists them", e.ID)
	}
	id := export.ID{WorkspaceID: workspace, ExportID: e.ID}
	err = f(id)
	var none *noExport
	if !errors.As(err, &none) || none.id != id || e.ID != latestID && len(e.ID) < minShort {
		return err
	}
	meant, found := e.meant(ctx, a, workspace)
	switch {
	case found != nil:
		return found
	case meant == "":
		return err
	}
	return f(export.ID{WorkspaceID: workspace, ExportID: meant})
}

// meant returns the id of the export that a short id or latest stands for, or "".
func (e ExportArg) meant(ctx context.Context, a *app.App, workspace string) (string, error) {
	conn, err := a.Config.DSN.Open()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	q := live.Query{Workspace: workspace, Limit: 3, Part: e.ID}
	if e.ID == latestID {
		q.Limit, q.Part = 1, ""
	}
	page, err := live.Stored{Conn: conn}.List(ctx, q)
	if err != nil {
		return "", fmt.Errorf("find export %s: %w", e.ID, err)
	}
	return meant(e.ID, page.Exports)
}

// meant returns the id of the one export of a list that a short id or latest stands for, or "". An id that a
// client has made, such as job-10, has no short form: job-1 may be another export, which is gone.
func meant(short string, list []live.Export) (string, error) {
	var ids []string
	for _, x := range list {
		if short == latestID || minted.MatchString(x.ExportID) {
			ids = append(ids, x.ExportID)
		}
	}
	switch len(ids) {
	case 0:
		return "", nil
	case 1:
		return ids[0], nil
	}
	return "", app.Usage("%s is short for several exports: %s, …; give more of the id", short, strings.Join(ids, ", "))
}

// minted is an id that Millrace has made. Its last characters are drawn, and its first are the time.
var minted = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// shortIDs returns the ids of exports as a screen shows them. Of an id that Millrace has made it is
// the end, with which no other of the list ends. To a file, ids are whole.
func shortIDs(list []live.Export, s terminal.Screen) []string {
	ids, ends := make([]string, len(list)), map[string]int{}
	end := func(id string, length int) string { return id[max(0, len(id)-length):] }
	for _, length := range shortLengths {
		for _, x := range list {
			ends[end(x.ExportID, length)]++
		}
	}
	for i, x := range list {
		ids[i] = x.ExportID
		for _, length := range shortLengths {
			if short := end(x.ExportID, length); !s.IsFile() && minted.MatchString(x.ExportID) && ends[short] == 1 {
				ids[i] = short
				break
			}
		}
	}
	return ids
}

// shortLengths are the lengths of short ids, which show the last group of an id or a part of it.
var shortLengths = []int{8, 12}
