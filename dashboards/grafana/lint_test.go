package grafana

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/millrace/millrace/dashboards/grafana/grafanatest"
)

// The rules are those of github.com/grafana/dashboard-linter, as far as they fit two data sources,
// and some more.

// ofPipeline are the panels of Pipeline that descriptions of other dashboards name.
var ofPipeline = []string{"Queries of ClickHouse, p95", "Operations of the bucket, p95"}

var (
	selector = regexp.MustCompile(`\b(?:millrace|process_resident|process_cpu|go_gor)\w+(\{[^}]*\})?`)
	ranged   = regexp.MustCompile(`\[([^\]]*)\]`)
	counter  = regexp.MustCompile(`\b\w+_total\b`)
	// What Debian's Prometheus 2.42 does not know.
	newer = regexp.MustCompile(`\b(sort_by_label|limitk|limit_ratio|info|ts_of_\w+|mad_over_time|` +
		`double_exponential_smoothing|histogram_avg|histogram_std\w+|first_over_time|anchored|smoothed)\b`)
	known = regexp.MustCompile(`\$\{?(__\w+|\w+)`)
)

func TestDashboardsKeepTheRules(t *testing.T) {
	uids := map[string]bool{}
	for _, d := range grafanatest.Load(t, ".") {
		t.Run(d.Title, func(t *testing.T) {
			if uids[d.UID] || d.UID == "" || d.Description == "" || d.SchemaVersion != 42 || !slices.Contains(d.Tags, tag) {
				t.Errorf("uid %q, description %q, schema %d, tags %q", d.UID, d.Description, d.SchemaVersion, d.Tags)
			}
			uids[d.UID] = true
			if !strings.HasPrefix(d.Time.From, "now-") || d.Time.To != "now" || d.Refresh == "" {
				t.Errorf("time %v, refresh %q", d.Time, d.Refresh)
			}
			checkVariables(t, d)
			checkLayout(t, d)
			titles := map[string]bool{}
			for _, p := range d.Panels {
				if p.Type == "row" {
					continue
				}
				if titles[p.Title] {
					t.Errorf("two panels have the title %q", p.Title)
				}
				titles[p.Title] = true
				checkPanel(t, d, p)
			}
			for _, a := range d.Annotations.List {
				checkTarget(t, "annotation "+a.Name, a.Target)
			}
			var linked bool
			for _, l := range d.Links {
				linked = linked || l.Type == "dashboards" && l.IncludeVars && l.KeepTime
				if l.Type == "link" && !strings.HasPrefix(l.URL, pages+"/") {
					t.Errorf("link %s leads to %s", l.Title, l.URL)
				}
			}
			if !linked {
				t.Error("no link to the other dashboards that keeps variables and time")
			}
			for _, name := range titlesNamed(d) {
				if !titles[name] && !slices.Contains(ofPipeline, name) {
					t.Errorf("a description names panel %q, which is not there", name)
				}
			}
		})
	}
}

// titlesNamed are the panels that descriptions name, as *title*.
func titlesNamed(d grafanatest.Dashboard) (names []string) {
	emphasis := regexp.MustCompile(`(?:^|[^*])\*([^*]+)\*(?:[^*]|$)`)
	for _, p := range d.Panels {
		for _, m := range emphasis.FindAllStringSubmatch(p.Description, -1) {
			names = append(names, m[1])
		}
	}
	return names
}

func checkVariables(t *testing.T, d grafanatest.Dashboard) {
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	defined := map[string]bool{}
	for _, v := range d.Templating.List {
		defined[v.Name] = true
		if v.Label == "" {
			t.Errorf("variable %s has no label", v.Name)
		}
		switch v.Type {
		case "datasource", "textbox":
		case "query":
			if !v.Multi || !v.IncludeAll || v.Refresh != 2 || !strings.HasPrefix(v.Datasource.UID, "${") {
				t.Errorf("variable %s: %+v", v.Name, v)
			}
		default:
			t.Errorf("variable %s is of type %s", v.Name, v.Type)
		}
	}
	if !defined["prometheus_datasource"] || !defined["clickhouse_datasource"] {
		t.Errorf("data sources are not variables: %v", slices.Collect(maps.Keys(defined)))
	}
	used := map[string]bool{}
	for _, m := range known.FindAllStringSubmatch(string(text), -1) {
		used[m[1]] = true
		if !strings.HasPrefix(m[1], "__") && !defined[m[1]] && m[1] != "1" { // ${1} is of label_replace
			t.Errorf("$%s is not a variable of the dashboard", m[1])
		}
	}
	for name := range defined {
		if !used[name] {
			t.Errorf("variable %s is used nowhere", name)
		}
	}
}

func checkLayout(t *testing.T, d grafanatest.Dashboard) {
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if p.ID == 0 || ids[p.ID] {
			t.Errorf("panel %q: id %d is missing or used twice", p.Title, p.ID)
		}
		ids[p.ID] = true
		g := p.GridPos
		if g.W == 0 || g.H == 0 || g.X+g.W > 24 {
			t.Errorf("panel %q: place %+v", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok {
					t.Fatalf("panels %q and %q overlap", other, p.Title)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
	for y := 0; ; y++ { // rows are full, so that nothing moves up beside another
		n := 0
		for x := range 24 {
			if _, ok := taken[[2]int{x, y}]; ok {
				n++
			}
		}
		if n == 0 {
			return
		}
		if n != 24 {
			t.Errorf("line %d of the grid has %d of 24 columns", y, n)
		}
	}
}

func checkPanel(t *testing.T, d grafanatest.Dashboard, p grafanatest.Panel) {
	if p.Title == "" || !strings.Contains(p.Description, "**Normal:** ") ||
		!strings.Contains(p.Description, "**If not:** ") {
		t.Errorf("panel %q does not say what is normal and what to do: %q", p.Title, p.Description)
	}
	if len(p.Targets) == 0 || !strings.HasPrefix(p.Datasource.UID, "${") {
		t.Errorf("panel %q: %d queries of data source %q", p.Title, len(p.Targets), p.Datasource.UID)
	}
	var config struct {
		Defaults struct{ Unit, DisplayName string }
	}
	if err := json.Unmarshal(p.FieldConfig, &config); err != nil || config.Defaults.Unit == "" {
		t.Errorf("panel %q has no unit: %v", p.Title, err)
	}
	for _, target := range p.Targets {
		checkTarget(t, "panel "+p.Title, target)
		graph := p.Type == "timeseries" || p.Type == "bargauge"
		if target.Expr != "" && graph && target.LegendFormat == "" {
			t.Errorf("panel %q, query %s has no legend", p.Title, target.RefID)
		}
		if target.RawSQL != "" && !strings.Contains(target.RawSQL, "$__conditionalAll(workspace_id ") {
			t.Errorf("panel %q of %s is not filtered by workspace", p.Title, d.Title)
		}
	}
}

func checkTarget(t *testing.T, what string, q grafanatest.Target) {
	if !strings.HasPrefix(q.Datasource.UID, "${") || q.RefID == "" {
		t.Errorf("%s: query %q of data source %q", what, q.RefID, q.Datasource.UID)
	}
	if (q.Expr == "") == (q.RawSQL == "") {
		t.Errorf("%s: query %s has an expression %q and SQL %q", what, q.RefID, q.Expr, q.RawSQL)
	}
	for _, m := range selector.FindAllStringSubmatch(q.Expr, -1) {
		if !strings.Contains(m[1], `instance=~"$instance"`) && !strings.HasPrefix(what, "annotation ") {
			t.Errorf("%s: %s is not filtered by instance", what, m[0])
		}
	}
	for _, m := range ranged.FindAllStringSubmatch(q.Expr, -1) {
		if m[1] != "$__rate_interval" && m[1] != "$__range" {
			t.Errorf("%s: range %s instead of $__rate_interval", what, m[0])
		}
	}
	functions := strings.Count(q.Expr, "rate(") + strings.Count(q.Expr, "increase(")
	if n := len(counter.FindAllString(q.Expr, -1)); n != functions && n > 0 {
		t.Errorf("%s: a counter without rate or increase: %s", what, q.Expr)
	}
	if m := newer.FindString(q.Expr); m != "" {
		t.Errorf("%s: Prometheus 2 does not know %s", what, m)
	}
	if q.RawSQL != "" && (q.EditorType != "sql" || !strings.Contains(q.RawSQL, "FROM ")) {
		t.Errorf("%s: SQL %q of editor %q", what, q.RawSQL, q.EditorType)
	}
}

// Grafana refuses a file that it cannot read only in its log, so the files are read here.
func TestProvisioningHasTheDataSourcesThatDashboardsChoose(t *testing.T) {
	var sources struct {
		Datasources []struct{ Name, UID, Type string }
	}
	decodeYAML(t, "provisioning/datasources/millrace.yml", &sources)
	provisioned := map[string]string{}
	for _, s := range sources.Datasources {
		provisioned[s.Type] = s.UID
	}
	for _, d := range grafanatest.Load(t, ".") {
		for _, v := range d.Templating.List {
			if kind, ok := v.Query.(string); v.Type == "datasource" && (!ok || provisioned[kind] != v.Current.Value) {
				t.Errorf("%s: variable %s chooses %v, and provisioning has %v", d.Title, v.Name, v.Current.Value, provisioned)
			}
		}
	}
	var providers struct {
		Providers []struct {
			Name, Type string
			Options    struct{ Path string }
		}
	}
	decodeYAML(t, "provisioning/dashboards/millrace.yml", &providers)
	if p := providers.Providers; len(p) != 1 || p[0].Type != "file" || p[0].Options.Path == "" {
		t.Errorf("providers %+v", p)
	}
}

func decodeYAML(t *testing.T, name string, to any) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, to); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
