package selection

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/export"
)

const (
	namesShown = 10  // names that the message of a warning lists
	maxRunIDs  = 100 // ids of runs that a warning has beside its message
)

// UnknownNames returns warnings about names in a request that the workspace does not have: a mistake
// in a name must not look like an export without records. Rows is the number of selected rows. If
// there are some, one app, the session and the user exist. Several apps, nodes, versions, models and triggers are
// lists, of which one can be wrong while others are right.
//
// Codes are app_not_found, node_not_found, version_not_found, model_not_found and so on.
// Count is the number of unknown names. The message lists names that exist.
func UnknownNames(ctx context.Context, r *Reader, q *export.Request, rows int64) ([]export.Warning, error) {
	var warnings []export.Warning
	for i, n := range append([]nameList{askedApp(q)}, askedNames(q)...) {
		if len(n.asked) == 0 || n.single && rows > 0 {
			continue
		}
		known, err := n.known(ctx, r, q)
		if err != nil {
			return nil, err
		}
		if w, unknown := n.warning(q, known); unknown {
			warnings = append(warnings, w)
			if i == 0 && w.Count == int64(len(n.asked)) { // without an app, nothing else is known
				break
			}
		}
	}
	return warnings, nil
}

// nameList has the names of one kind in a request.
type nameList struct {
	kind   string // in codes and messages
	column string
	asked  []string
	single bool // there is one name, so that rows prove that it exists
}

func askedApp(q *export.Request) nameList {
	asked := make([]string, len(q.AppID))
	for i, id := range q.AppID {
		asked[i] = q.Source + " " + id
	}
	return nameList{"app", "concat(source, ' ', app_id)", asked, len(asked) == 1}
}

func askedNames(q *export.Request) []nameList {
	return []nameList{
		{"node", "node_id", q.Nodes, false},
		{"version", "app_version", q.Filters.AppVersions, false},
		{"model", "model", q.Filters.Models, false},
		{"trigger", "trigger", q.Filters.Triggers, false},
		{"session", "session_id", single(q.Filters.SessionID), true},
		{"user", "user_id", single(q.Filters.UserID), true},
	}
}

func single(name *string) []string {
	if name == nil {
		return nil
	}
	return []string{*name}
}

// known returns names of the app, or apps of the workspace: those of the request first and then the newest.
// Where a name of the request is missing among the rows that were read first, it reads all of them.
func (n *nameList) known(ctx context.Context, r *Reader, q *export.Request) ([]string, error) {
	known, err := r.texts(ctx, n.query(q, true))
	if err != nil || !slices.ContainsFunc(n.asked, func(name string) bool { return !slices.Contains(known, name) }) {
		return known, err
	}
	return r.texts(ctx, n.query(q, false))
}

// query is the query for [clickhouse.ReadTexts]: names, those of the request first and then the newest. FINAL
// takes long on all rows of an app. So quick reads it at the newest row that is stored of each name, and misses
// a name whose newest row is of an older snapshot.
func (n *nameList) query(q *export.Request, quick bool) clickhouse.Query {
	var b clickhouse.Binder
	table, where := "runs", "workspace_id = "+b.ID("workspace", q.WorkspaceID)
	if n.kind != "app" {
		where = and(appConditions(&b, q))
	}
	if n.column == "node_id" || slices.Contains([]string{"version", "model"}, n.kind) && len(q.Nodes) > 0 {
		table = "nodes" // which have no session, user and trigger of their own
	}
	name := "CAST(" + n.column + ", 'String')"
	ending := " GROUP BY name ORDER BY name IN " + b.Texts("asked", n.asked) + " DESC, max(started_at) DESC LIMIT " +
		b.Count("limit", int64(len(n.asked)+namesShown))
	if quick {
		where += " AND (" + n.column + ", started_at) IN (\n    SELECT " + n.column + " AS name, max(started_at) FROM " +
			table + " WHERE NOT superseded AND " + where + ending + "\n)"
	}
	return b.Query("SELECT " + name + " AS name FROM " + latest(table) + where + ending)
}

// warning returns the warning about the names that are not known, if there are any.
func (n *nameList) warning(q *export.Request, known []string) (export.Warning, bool) {
	var missing []string
	for _, name := range n.asked {
		if !slices.Contains(known, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return export.Warning{}, false
	}
	return notFound(q, n.kind, missing, known), true
}

// notFound returns the warning that the app has no such names.
func notFound(q *export.Request, kind string, missing, known []string) export.Warning {
	about, what := "selection", kind
	switch {
	case kind == "app":
		about, what = "workspace "+q.WorkspaceID, "run of the "+q.Source
		missing = slices.Clone(missing)
		for i := range missing {
			missing[i] = strings.TrimPrefix(missing[i], q.Source+" ")
		}
	case len(q.AppID) == 1:
		about = q.Source + " " + q.AppID[0]
	}
	return export.Warning{Code: kind + "_not_found", Count: int64(len(missing)), Message: fmt.Sprintf(
		"The %s has no %s %s. %s", about, what, quoted(missing), has(kind, known))}
}

// unknownRuns returns the warning runs_not_found about those run_ids of a request that the app does
// not have. The message lists runs that exist.
func unknownRuns(ctx context.Context, r *Reader, q *export.Request) ([]export.Warning, error) {
	found, err := r.texts(ctx, FoundRuns(q))
	if err != nil {
		return nil, err
	}
	slices.Sort(found)
	missing := slices.DeleteFunc(slices.Clone(q.Selection.RunIDs), func(id string) bool {
		_, ok := slices.BinarySearch(found, id)
		return ok
	})
	if len(missing) == 0 {
		return nil, nil
	}
	known, err := r.texts(ctx, newestRuns(q))
	if err != nil {
		return nil, err
	}
	w := notFound(q, "run", missing, known)
	w.Code, w.RunIDs = "runs_not_found", missing[:min(len(missing), maxRunIDs)]
	return []export.Warning{w}, nil
}

// newestRuns is the query for [clickhouse.ReadTexts]: the newest runs of the app.
func newestRuns(q *export.Request) clickhouse.Query {
	var b clickhouse.Binder
	return b.Query("SELECT run_id FROM " + latest("runs") + and(appConditions(&b, q)) +
		" GROUP BY run_id ORDER BY max(started_at) DESC LIMIT " + b.Count("limit", namesShown+1))
}

// has returns a sentence that lists what there is, the newest first.
func has(kind string, known []string) string {
	if len(known) == 0 {
		return "It has no " + kind + " at all."
	}
	return "It has " + quoted(known) + "."
}

func quoted(list []string) string {
	shown := list[:min(len(list), namesShown)]
	texts := make([]string, len(shown))
	for i, name := range shown {
		texts[i] = fmt.Sprintf("%q", name)
	}
	text := strings.Join(texts, ", ")
	if len(list) > len(shown) {
		text += " and others"
	}
	return text
}
