package grafana

import (
	"reflect"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

// Types of the data sources.
const (
	prometheusType = "prometheus"
	clickhouseType = "grafana-clickhouse-datasource"
)

// pages is the address of Millrace's pages, a variable of every dashboard.
const pages = "${millrace_url}"

func ref(kind, uid string) common.DataSourceRef { return common.DataSourceRef{Type: &kind, Uid: &uid} }

// Every panel takes its data source from a variable, so that an imported dashboard asks for it.
func prometheusSource() common.DataSourceRef { return ref(prometheusType, "${prometheus_datasource}") }
func clickhouseSource() common.DataSourceRef { return ref(clickhouseType, "${clickhouse_datasource}") }

// query is a query of a panel.
type query interface {
	source() common.DataSourceRef
	target(refID string) variants.Dataquery
}

// metrics is a query of Prometheus.
type metrics struct {
	expr, legend string
	now          bool // the last value alone
	table        bool
}

func (m metrics) source() common.DataSourceRef { return prometheusSource() }

func (m metrics) target(refID string) variants.Dataquery {
	source, code, format := m.source(), prometheus.QueryEditorModeCode, prometheus.PromQueryFormatTimeSeries
	if m.table {
		format = prometheus.PromQueryFormatTable
	}
	ranged := !m.now
	return prometheus.Dataquery{RefId: &refID, Datasource: &source, EditorMode: &code, Expr: m.expr, Format: &format,
		LegendFormat: &m.legend, Instant: &m.now, Range: &ranged}
}

// over queries the course of metrics. In the expression {$ stands for the filter of every selector:
// sum(rate(x_total{$}[$__rate_interval])), or {$, code="y"}.
func over(expr, legend string) query { return metrics{expr: filtered(expr), legend: legend} }

// now queries the last values of metrics. $ is as in over.
func now(expr, legend string) query { return metrics{expr: filtered(expr), legend: legend, now: true} }

// The instances of the role are the options of variable instance, so that its filter is the role's too.
func filtered(expr string) string { return strings.ReplaceAll(expr, "{$", `{instance=~"$instance"`) }

// quantile is a quantile over histograms, by labels beside le.
func quantile(q, histogram, by string) string {
	labels := "le"
	if by != "" {
		labels += ", " + by
	}
	return "histogram_quantile(" + q + ", sum by (" + labels + ") (rate(" + histogram +
		"_bucket{$}[$__rate_interval])))"
}

// quantiles are the lines p50, p95 and p99 of a histogram.
func quantiles(histogram string) []query {
	return []query{over(quantile("0.50", histogram, ""), "p50"), over(quantile("0.95", histogram, ""), "p95"),
		over(quantile("0.99", histogram, ""), "p99")}
}

// clickhouse is a query as the plugin grafana-clickhouse-datasource stores it.
type clickhouse struct {
	RefID      string                `json:"refId"`
	Datasource *common.DataSourceRef `json:"datasource,omitempty"`
	EditorType string                `json:"editorType"`
	QueryType  string                `json:"queryType"`
	Format     int                   `json:"format"` // 0 = time series, 1 = table
	RawSQL     string                `json:"rawSql"`
}

func (c clickhouse) source() common.DataSourceRef { return clickhouseSource() }

func (c clickhouse) target(refID string) variants.Dataquery {
	source := c.source()
	c.RefID, c.Datasource = refID, &source
	return c
}

// ImplementsDataqueryVariant, Equals, DataqueryType and Validate make it a query of the SDK.
func (c clickhouse) ImplementsDataqueryVariant() {}

// Equals reports whether another query is the same.
func (c clickhouse) Equals(other variants.Dataquery) bool { return reflect.DeepEqual(c, other) }

// DataqueryType is the type of the data source.
func (c clickhouse) DataqueryType() string { return clickhouseType }

// Validate accepts every query. The tests run them.
func (c clickhouse) Validate() error { return nil }

// series queries ClickHouse for values over time. The first column is time; columns of texts name
// the series.
func series(sql string) query {
	return clickhouse{EditorType: "sql", QueryType: "timeseries", Format: 0, RawSQL: strings.TrimSpace(sql)}
}

// list queries ClickHouse for rows.
func list(sql string) query { return sqlTable(sql) }

func sqlTable(sql string) clickhouse {
	return clickhouse{EditorType: "sql", QueryType: "table", Format: 1, RawSQL: strings.TrimSpace(sql)}
}

// chosen is the condition of a variable: the column is among the chosen values, unless all are.
func chosen(column, variable string) string {
	return "$__conditionalAll(" + column + " IN (${" + variable + ":singlequote}), $" + variable + ")"
}

// sources are the variables of the data sources and of the address of the pages.
func sources() []cog.Builder[dashboard.VariableModel] {
	choose := func(name, label, kind, uid string) cog.Builder[dashboard.VariableModel] {
		return dashboard.NewDatasourceVariableBuilder(name).Label(label).Type(kind).Current(option(label, uid))
	}
	const local = "http://127.0.0.1:8080"
	return []cog.Builder[dashboard.VariableModel]{
		choose("prometheus_datasource", "Prometheus data source", prometheusType, "prometheus"),
		choose("clickhouse_datasource", "ClickHouse data source", clickhouseType, "clickhouse"),
		dashboard.NewTextBoxVariableBuilder("millrace_url").Label("Address of Millrace").
			Description("Where `millrace serve` answers, as a browser reaches it. Links to runs and exports begin with it.").
			DefaultValue(dashboard.StringOrMap{String: cog.ToPtr(local)}).Current(option(local, local)),
	}
}

func option(text, value string) dashboard.VariableOption {
	return dashboard.VariableOption{
		Text:  dashboard.StringOrArrayOfString{String: &text},
		Value: dashboard.StringOrArrayOfString{String: &value},
	}
}

// several is a variable of which any number of values can be chosen, and at first all are.
func several(name, label, about string, source common.DataSourceRef,
	query string) cog.Builder[dashboard.VariableModel] {
	return dashboard.NewQueryVariableBuilder(name).Label(label).Description(about).Datasource(source).
		Query(dashboard.StringOrMap{String: &query}).Definition(query).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).
		Multi(true).IncludeAll(true).
		Current(dashboard.VariableOption{Selected: cog.ToPtr(true),
			Text:  dashboard.StringOrArrayOfString{ArrayOfString: []string{"All"}},
			Value: dashboard.StringOrArrayOfString{ArrayOfString: []string{"$__all"}}})
}

// processes are the variables of panels of Prometheus.
func processes() []cog.Builder[dashboard.VariableModel] {
	return []cog.Builder[dashboard.VariableModel]{
		several("role", "Role", "What the process does: ingest, export, serve, or local for all of it.", prometheusSource(),
			"label_values(millrace_build_info, role)"),
		several("instance", "Instance", "The process, by the address that Prometheus scrapes.", prometheusSource(),
			`label_values(millrace_build_info{role=~"$role"}, instance)`),
	}
}

// releases marks where a version of Millrace appears that was not there before.
func releases() cog.Builder[dashboard.AnnotationQuery] {
	source, refID, interval := prometheusSource(), "Anno", "1m"
	const running = "count by (version, role) (millrace_build_info)"
	return dashboard.NewAnnotationQueryBuilder().Name("Releases").Datasource(source).Enable(true).IconColor("blue").
		Target(given{prometheus.Dataquery{RefId: &refID, Datasource: &source, Interval: &interval,
			Expr: running + " unless count by (version, role) (millrace_build_info offset 5m)"}}).
		TitleFormat("Millrace {{version}}").TextFormat("{{role}} runs version {{version}}").TagKeys("role")
}

// failures marks exports that failed. condition is one more condition of its query.
func failures(condition string) cog.Builder[dashboard.AnnotationQuery] {
	return events("Failed exports", "red", `
SELECT completed_at AS time, concat('Export failed: ', error_code) AS title,
       concat(workspace_id, '/', export_id, ' (', purpose, '): ', error_message) AS text, [toString(error_code)] AS tags
FROM exports
WHERE status = 'failed' AND $__timeFilter(completed_at) AND `+condition+`
ORDER BY time DESC
LIMIT 100`)
}

// events marks the rows of a query of ClickHouse. Its columns are time, title, text and tags.
func events(name, color, sql string) cog.Builder[dashboard.AnnotationQuery] {
	return dashboard.NewAnnotationQueryBuilder().Name(name).Datasource(clickhouseSource()).Enable(true).
		IconColor(color).Target(given{sqlTable(sql).target("Anno")})
}

// given is a query that is built already.
type given struct{ variants.Dataquery }

// Build returns the query.
func (g given) Build() (variants.Dataquery, error) { return g.Dataquery, nil }
