package grafana

import (
	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// about is what every panel says.
type about struct {
	title  string
	shows  string // one sentence
	normal string // what a reader should see
	act    string // what to do where it is not so
}

func (a about) description() string {
	return a.shows + "\n\n**Normal:** " + a.normal + "\n\n**If not:** " + a.act
}

// panel is a panel of the dashboard: how it looks, and the queries whose results it shows.
type panel struct {
	about
	width, height uint32 // of 24 columns, and of rows of 38 pixels
	look          cog.Builder[dashboard.Panel]
	queries       []query
}

// Build returns the panel. Its queries are A, B, C, …
func (p panel) Build() (dashboard.Panel, error) {
	built, err := p.look.Build()
	if err != nil {
		return built, err
	}
	description := p.description()
	built.Title, built.Description = &p.title, &description
	built.GridPos = &dashboard.GridPos{W: p.width, H: p.height}
	source := p.queries[0].source()
	built.Datasource = &source
	for i, q := range p.queries {
		built.Targets = append(built.Targets, q.target(string(rune('A'+i))))
	}
	return built, nil
}

// step is a threshold: from this value on, the color.
type step struct {
	from  float64
	color string
}

// thresholds are green below the first step.
func thresholds(steps []step) cog.Builder[dashboard.ThresholdsConfig] {
	all := []dashboard.Threshold{{Color: "green"}}
	for _, s := range steps {
		all = append(all, dashboard.Threshold{Value: &s.from, Color: s.color})
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(all)
}

// rising are the steps of a value that is better when it is low.
func rising(warning, critical float64) []step {
	return []step{{warning, "orange"}, {critical, "red"}}
}

// falling are the steps of a value that is better when it is high.
func falling(critical, warning float64) []step {
	return []step{{-1e18, "red"}, {critical, "orange"}, {warning, "green"}}
}

// plain has no threshold.
func plain() []step { return []step{{-1e18, "blue"}} }

// number shows the last value of each field of its query, large.
func number(a about, unit string, steps []step, q query) panel {
	look := stat.NewPanelBuilder().Unit(unit).Thresholds(thresholds(steps)).NoValue("–").
		GraphMode(common.BigValueGraphModeNone).ColorMode(common.BigValueColorModeValue).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"}))
	return panel{a, 4, 4, look, []query{q}}
}

// lines draws a line for each series.
func lines(a about, unit string, width uint32, queries ...query) panel {
	return panel{a, width, 7, graph(unit).FillOpacity(8), queries}
}

// bars stacks a bar for each series.
func bars(a about, unit string, width uint32, queries ...query) panel {
	look := graph(unit).DrawStyle(common.GraphDrawStyleBars).FillOpacity(80).LineWidth(0).
		Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal).Group("A"))
	return panel{a, width, 7, look, queries}
}

func graph(unit string) *timeseries.PanelBuilder {
	return timeseries.NewPanelBuilder().Unit(unit).Min(0).NoValue("none").
		ShowPoints(common.VisibilityModeAuto).LineWidth(2).SpanNulls(common.BoolOrFloat64{Bool: new(bool)}).
		Legend(common.NewVizLegendOptionsBuilder().DisplayMode(common.LegendDisplayModeList).
			Placement(common.LegendPlacementBottom).ShowLegend(true).Calcs([]string{})).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).
			Sort(common.SortOrderDescending))
}

// named names the series of a query of ClickHouse after a column of it, and colors the statuses.
func (p panel) named(column string) panel {
	look := p.look.(*timeseries.PanelBuilder).DisplayName("${__field.labels." + column + "}")
	for _, c := range statusColors {
		look = look.OverrideByName(c.status, []dashboard.DynamicConfigValue{fixedColor(c.color)})
	}
	p.look = look
	return p
}

// limited shows a line from which on the value needs attention.
func (p panel) limited(steps ...step) panel {
	p.look = p.look.(*timeseries.PanelBuilder).Thresholds(thresholds(steps)).
		ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeDashed))
	return p
}

// to100 ends the axis at 100 %.
func (p panel) to100() panel {
	p.look = p.look.(*timeseries.PanelBuilder).Max(1)
	return p
}

var statusColors = []struct{ status, color string }{
	{"succeeded", "green"}, {"failed", "red"}, {"cancelled", "purple"}, {"running", "blue"}, {"accepted", "light-blue"},
	{"thumbsUp", "green"}, {"thumbsDown", "red"},
}

func fixedColor(color string) dashboard.DynamicConfigValue {
	return dashboard.DynamicConfigValue{Id: "color", Value: map[string]any{"mode": "fixed", "fixedColor": color}}
}

// gauges shows a bar for each series, the greatest first as the query sorts them.
func gauges(a about, unit string, width uint32, steps []step, q query) panel {
	look := bargauge.NewPanelBuilder().Unit(unit).Min(0).Thresholds(thresholds(steps)).NoValue("none").
		Orientation(common.VizOrientationHorizontal).DisplayMode(common.BarGaugeDisplayModeBasic).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"}))
	return panel{a, width, 7, look, []query{q}}
}

// column says how a column of a table looks.
type column struct {
	name       string
	properties []dashboard.DynamicConfigValue
}

func property(id string, value any) dashboard.DynamicConfigValue {
	return dashboard.DynamicConfigValue{Id: id, Value: value}
}

// in shows the column in a unit, with a width in pixels; 0 = what is left.
func in(name, unit string, width int) column {
	c := column{name, []dashboard.DynamicConfigValue{property("unit", unit)}}
	if width > 0 {
		c.properties = append(c.properties, property("custom.width", width))
	}
	return c
}

// wide sets the width of a column in pixels.
func wide(name string, width int) column {
	return column{name, []dashboard.DynamicConfigValue{property("custom.width", width)}}
}

// linked leads from a cell to a page of Millrace. The path may have fields of the row.
func (c column) linked(title, path string) column {
	c.properties = append(c.properties, property("links", []map[string]any{
		{"title": title, "url": pages + path, "targetBlank": true},
	}))
	return c
}

// bar draws the value as a bar up to max.
func (c column) bar(max float64, color string) column {
	c.properties = append(c.properties, property("min", 0), property("max", max), fixedColor(color),
		property("custom.cellOptions", map[string]any{"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}))
	return c
}

// shaded colors the text by thresholds.
func (c column) shaded(steps ...step) column {
	built, err := thresholds(steps).Build()
	if err != nil {
		panic(err) // it has no field that can be wrong
	}
	c.properties = append(c.properties, property("thresholds", built),
		property("color", map[string]any{"mode": "thresholds"}),
		property("custom.cellOptions", map[string]any{"type": "color-text"}))
	return c
}

// statuses colors the statuses of runs and exports.
func (c column) statuses() column {
	options := map[string]any{}
	for i, s := range statusColors {
		options[s.status] = map[string]any{"color": s.color, "index": i}
	}
	c.properties = append(c.properties, property("mappings", []map[string]any{{"type": "value", "options": options}}),
		property("custom.cellOptions", map[string]any{"type": "color-text"}))
	return c
}

// hidden keeps the column for links only.
func hidden(name string) column {
	return column{name, []dashboard.DynamicConfigValue{property("custom.hideFrom", map[string]any{"viz": true})}}
}

// rows is a table. Columns without a column here are plain numbers and texts.
func rows(a about, width, height uint32, q query, columns ...column) panel {
	look := listing()
	for _, c := range columns {
		look = look.OverrideByName(c.name, c.properties)
	}
	return panel{a, width, height, look, []query{q}}
}

func listing() *table.PanelBuilder {
	return table.NewPanelBuilder().Unit("none").ShowHeader(true).CellHeight(common.TableCellHeightSm).NoValue("none").
		Footer(common.NewTableFooterOptionsBuilder().Show(false).Reducer([]string{}))
}
