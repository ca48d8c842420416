package api

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/history"
)

// appDays is how many days the counts of apps cover.
const appDays = 14

type listRuns struct {
	RunFilters
	Source string    `query:"source" enum:"copilot,recipe"`
	AppID  string    `query:"app_id" pattern:"^[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}$" doc:"The id of the copilot or recipe."`
	App    string    `query:"app" pattern:"^[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}$" doc:"The same as app_id; the History page uses this name."`
	From   time.Time `query:"from" doc:"Started at this time or later."`
	To     time.Time `query:"to" doc:"Started before this time."`
	Cursor string    `query:"cursor" maxLength:"1024" doc:"The value of next in the page before."`
	Limit  int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

func (a *API) registerRuns() {
	huma.Register(a.api, huma.Operation{
		OperationID: "list-runs", Method: http.MethodGet, Path: "/v1/runs", Summary: "List runs", Tags: []string{"Runs"},
		Description: "Newest first, a page at a time. Runs that arrive meanwhile neither repeat nor hide runs on later " +
			"pages. An export with the same filters has the same runs.",
		Security: requireScope(auth.RunsRead), Errors: []int{401, 403, 422, 503}, RejectUnknownQueryParameters: true,
	}, func(ctx context.Context, in *listRuns) (*struct{ Body *history.Page }, error) {
		if !in.From.IsZero() && !in.To.IsZero() && !in.From.Before(in.To) {
			return nil, problem(http.StatusUnprocessableEntity, "to must be later than from",
				Mistake{Parameter: "to", Detail: "must be later than from"})
		}
		filters, err := in.filters()
		if err != nil {
			return nil, err
		}
		page, err := a.history.Runs(ctx, history.Query{
			Workspace: auth.From(ctx).Workspace, Source: in.Source, AppID: cmp.Or(in.AppID, in.App), Filters: filters,
			From: in.From, To: in.To, Cursor: in.Cursor, Limit: in.Limit,
		})
		return &struct{ Body *history.Page }{page}, a.toError(ctx, err)
	})
	huma.Register(a.api, huma.Operation{
		OperationID: "get-run", Method: http.MethodGet, Path: "/v1/runs/{id}", Summary: "Get a run", Tags: []string{"Runs"},
		Description: "A run with its node runs and feedback.",
		Security:    requireScope(auth.RunsRead), Errors: []int{401, 403, 404, 422, 503}, RejectUnknownQueryParameters: true,
	}, func(ctx context.Context, in *struct {
		ID string `path:"id" doc:"The run's id." pattern:"^[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}$"`
	}) (*struct{ Body *history.Detail }, error) {
		run, err := a.history.Run(ctx, auth.From(ctx).Workspace, in.ID)
		e := auth.From(ctx).Entry(audit.Viewed, "get-run")
		e.RunID = in.ID
		return &struct{ Body *history.Detail }{run}, a.note(ctx, e, err)
	})
	huma.Register(a.api, huma.Operation{
		OperationID: "list-apps", Method: http.MethodGet, Path: "/v1/apps", Summary: "List copilots and recipes",
		Tags:        []string{"Runs"},
		Description: "The app with the newest run first, with counts of the last days.",
		Security:    requireScope(auth.RunsRead), Errors: []int{401, 403, 422, 503}, RejectUnknownQueryParameters: true,
	}, func(ctx context.Context, in *struct {
		Source string `query:"source" enum:"copilot,recipe"`
		Days   int    `query:"days" minimum:"1" maximum:"90" default:"14" doc:"How many days, today included."`
	}) (*struct{ Body *appList }, error) {
		apps, err := a.history.Apps(ctx, auth.From(ctx).Workspace, in.Source, cmp.Or(in.Days, appDays))
		return &struct{ Body *appList }{&appList{apps}}, a.toError(ctx, err)
	})
	huma.Register(a.api, huma.Operation{
		OperationID: "list-nodes", Method: http.MethodGet, Path: "/v1/apps/{id}/nodes", Summary: "List the nodes of an app",
		Tags:     []string{"Runs"},
		Security: requireScope(auth.RunsRead), Errors: []int{401, 403, 404, 422, 503}, RejectUnknownQueryParameters: true,
	}, func(ctx context.Context, in *struct {
		ID     string `path:"id" doc:"The id of the copilot or recipe." pattern:"^[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}$"`
		Source string `query:"source" enum:"copilot,recipe" doc:"Needed if a copilot and a recipe have the same id."`
	}) (*struct{ Body *nodeList }, error) {
		nodes, err := a.history.Nodes(ctx, auth.From(ctx).Workspace, in.Source, in.ID)
		return &struct{ Body *nodeList }{&nodeList{nodes}}, a.toError(ctx, err)
	})
}

type appList struct {
	Apps []history.App `json:"apps"`
}

type nodeList struct {
	Nodes []history.Node `json:"nodes"`
}
