// Package grafana builds the Grafana dashboards of Millrace. The JSON files beside it are what it
// builds; a test compares them, and `make golden` writes them anew.
//
//	pipeline.go   is the pipeline healthy, what is slow, what to do
//	exports.go    what runs, what waits, what failed and why
//	runs.go       for the teams whose apps produce the runs
//	panel.go      the kinds of panels, and what every panel must say
//	query.go      queries of Prometheus and ClickHouse, variables, annotations
//
// Prometheus has the metrics of the processes, which know neither workspaces nor exports. ClickHouse
// has the runs and the exports themselves. So panels of Prometheus are filtered by role and
// instance, and panels of ClickHouse by workspace and app.
package grafana

import (
	"encoding/json"
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// Files returns the dashboards as JSON, by the name of their file.
func Files() (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, builder := range map[string]cog.Builder[dashboard.Dashboard]{
		"pipeline.json": pipeline(), "exports.json": exports(), "runs.json": runs(),
	} {
		built, err := builder.Build()
		if err != nil {
			return nil, fmt.Errorf("build %s: %w", name, err)
		}
		for i := range built.Panels {
			id := uint32(i + 1) // ids are places, so that links to a panel stay
			if p := built.Panels[i].Panel; p != nil {
				p.Id = &id
			} else {
				built.Panels[i].RowPanel.Id = id
			}
		}
		text, err := json.MarshalIndent(built, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", name, err)
		}
		files[name] = append(text, '\n')
	}
	return files, nil
}

// tag is on all dashboards of Millrace. The links between them find each other by it.
const tag = "millrace"

// newDashboard returns a dashboard with what all dashboards have. from is how far back it shows,
// such as now-6h.
func newDashboard(uid, title, about, from, refresh string) *dashboard.DashboardBuilder {
	return dashboard.NewDashboardBuilder(title).Uid("millrace-"+uid).Description(about).Tags([]string{tag}).
		Time(from, "now").Refresh(refresh).Tooltip(dashboard.DashboardCursorSyncCrosshair).Timezone(common.TimeZoneBrowser).
		Readonly().
		Links([]cog.Builder[dashboard.DashboardLink]{
			dashboard.NewDashboardLinkBuilder("Millrace").Type(dashboard.DashboardLinkTypeDashboards).Tags([]string{tag}).
				Tooltip("The other dashboards, with the same variables and time").IncludeVars(true).KeepTime(true),
			page("Runs", "/copilots", "The copilots and recipes, and the history of each"),
			page("Exports", "/exports", "Where people ask for exports and get them"),
			page("Documents", "/docs", "How Millrace works and is run"),
		})
}

// page links to a page of Millrace.
func page(title, path, tooltip string) cog.Builder[dashboard.DashboardLink] {
	return dashboard.NewDashboardLinkBuilder(title).Type(dashboard.DashboardLinkTypeLink).Icon("external link").
		Url(pages + path).Tooltip(tooltip).TargetBlank(true)
}
