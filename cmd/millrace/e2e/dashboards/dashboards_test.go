package dashboards

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/dashboards/grafana/grafanatest"
)

// Panels that are empty while nothing goes wrong which a test cannot cause on purpose.
var quiet = map[string]string{
	"Attempts repeated":                    "nothing is down",
	"Errors by class":                      "nothing is down",
	"Transactions not committed":           "no process is paused",
	"Queries of ClickHouse that failed":    "ClickHouse answers",
	"Operations of the bucket that failed": "the bucket answers",
}

// frame is what a query returned: a table, or series.
type frame struct {
	Columns []string `json:"columns,omitempty"`
	Rows    [][]any  `json:"rows,omitempty"`
	Series  []line   `json:"series,omitempty"`
}

// line is a series: points of Unix seconds and values.
type line struct {
	Name   string       `json:"name"`
	Points [][2]float64 `json:"points"`
}

func (f frame) empty() bool {
	for _, s := range f.Series {
		if len(s.Points) > 0 {
			return false
		}
	}
	for _, row := range f.Rows {
		for _, v := range row {
			if v != nil {
				return false
			}
		}
	}
	return true
}

func TestEveryPanelShowsWhatTheSampleHas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	names := w.prometheus.names(t)
	family := regexp.MustCompile(`\bmillrace_\w+?(?:_bucket|_count|_sum)?\b`)
	for _, d := range grafanatest.Load(t, filepath.Join(e2etest.Root(t), "dashboards/grafana")) {
		days := 1
		if d.Time.From == "now-7d" {
			days = 7
		}
		all := w.scope(days, nil)
		one := w.scope(days, w.oneValueEach(t, d, all))
		w.checkVariables(t, d, all)
		w.checkVariables(t, d, one)
		drawn := map[int][]frame{}
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				if _, err := w.run(q, one); err != nil {
					t.Errorf("%s, panel %q, one value of each variable: %v", d.Title, p.Title, err)
				}
				f, err := w.run(q, all)
				if err != nil {
					t.Errorf("%s, panel %q: %v", d.Title, p.Title, err)
				}
				drawn[p.ID] = append(drawn[p.ID], f)
				for _, m := range family.FindAllString(q.Expr, -1) {
					if !names[m] {
						t.Errorf("%s, panel %q: no role has %s", d.Title, p.Title, m)
					}
				}
			}
			shown := slices.ContainsFunc(drawn[p.ID], func(f frame) bool { return !f.empty() })
			if p.Type != "row" && quiet[p.Title] == "" && !shown {
				t.Errorf("%s, panel %q is empty on the sample: %+v", d.Title, p.Title, p.Targets)
			}
		}
		for _, a := range d.Annotations.List {
			for _, s := range []grafanatest.Scope{all, one} {
				f, err := w.run(a.Target, s)
				if err != nil {
					t.Errorf("%s, annotation %s: %v", d.Title, a.Name, err)
				}
				if a.Target.RawSQL != "" && len(s.Values["workspace"]) == 0 && f.empty() {
					t.Errorf("%s, annotation %s marks nothing", d.Title, a.Name)
				}
			}
		}
		w.checkLinks(t, d, drawn)
		draw(t, d, drawn)
	}
}

// rateOver is the shortest time that rates are over. It is longer than what the test takes between its last requests
// and its queries.
const rateOver = 2 * time.Minute

// scope is what queries are filled in with. values are the chosen ones of ClickHouse's variables, none = all.
func (w *world) scope(days int, values map[string][]string) grafanatest.Scope {
	s := grafanatest.Scope{From: w.end.AddDate(0, 0, -days), To: w.end, Step: time.Duration(days) * time.Hour,
		Scrape: rateOver / 4, Values: map[string][]string{"instance": w.targets, "role": {"ingest", "export", "serve"}}}
	maps.Copy(s.Values, values)
	return s
}

// oneValueEach chooses the first value of each variable of ClickHouse, as the ones before allow it.
func (w *world) oneValueEach(t *testing.T, d grafanatest.Dashboard, s grafanatest.Scope) map[string][]string {
	t.Helper()
	values := map[string][]string{"instance": w.targets[:1]}
	for _, v := range d.Templating.List {
		if v.Type != "query" || v.Datasource.Type == "prometheus" {
			continue
		}
		s.Values = maps.Clone(s.Values)
		maps.Copy(s.Values, values)
		found := w.options(t, v, s)
		if len(found) == 0 {
			t.Fatalf("%s: variable %s has no values", d.Title, v.Name)
		}
		values[v.Name] = found[:1]
	}
	return values
}

func (w *world) options(t *testing.T, v grafanatest.Variable, s grafanatest.Scope) (values []string) {
	t.Helper()
	sql, err := s.SQL(v.Query.(string))
	if err != nil {
		t.Fatalf("variable %s: %v", v.Name, err)
	}
	return e2etest.QueryTexts(t, w.site.Conn, sql)
}

func (w *world) checkVariables(t *testing.T, d grafanatest.Dashboard, s grafanatest.Scope) {
	t.Helper()
	for _, v := range d.Templating.List {
		if v.Type == "query" && v.Datasource.Type != "prometheus" && len(w.options(t, v, s)) == 0 {
			t.Errorf("%s: variable %s has no values", d.Title, v.Name)
		}
	}
}

// run runs a query as Grafana does.
func (w *world) run(q grafanatest.Target, s grafanatest.Scope) (f frame, err error) {
	if q.RawSQL != "" {
		sql, err := s.SQL(q.RawSQL)
		if err != nil {
			return f, err
		}
		if f, err = w.query(sql); err != nil {
			return f, fmt.Errorf("%w\n%s", err, sql)
		}
		if q.QueryType == "timeseries" {
			f = series(f)
		}
		return f, nil
	}
	// Prometheus has run for seconds; its graphs show them.
	s.From, s.Step = w.began, time.Second
	expr, err := s.PromQL(q.Expr)
	if err != nil {
		return f, err
	}
	var result []vector
	if q.Instant {
		result, err = w.prometheus.instant(expr, w.end)
	} else {
		result, err = w.prometheus.ranged(expr, w.began, w.end, s.Step)
	}
	if err != nil {
		return f, fmt.Errorf("%w: %s", err, expr)
	}
	for _, v := range result {
		f.Series = append(f.Series, line{legend(q.LegendFormat, v.Metric), v.points()})
	}
	return f, nil
}

// legend names a series as its query says. A series of a table is its labels.
func legend(format string, labels map[string]string) string {
	if format == "" {
		var all []string
		for _, name := range slices.Sorted(maps.Keys(labels)) {
			all = append(all, name+"="+labels[name])
		}
		return strings.Join(all, " ")
	}
	return regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`).ReplaceAllStringFunc(format, func(m string) string {
		return labels[strings.Trim(m, "{} ")]
	})
}

// query returns the rows of a query of ClickHouse, as they go into JSON.
func (w *world) query(sql string) (f frame, err error) {
	rows, err := w.site.Conn.Query(w.ctx, sql)
	if err != nil {
		return f, err
	}
	defer rows.Close()
	f.Columns = rows.Columns()
	for rows.Next() {
		var to []any
		for _, c := range rows.ColumnTypes() {
			to = append(to, reflect.New(c.ScanType()).Interface())
		}
		if err := rows.Scan(to...); err != nil {
			return f, err
		}
		row := make([]any, len(to))
		for i, v := range to {
			value := reflect.ValueOf(v).Elem()
			for value.Kind() == reflect.Pointer && !value.IsNil() {
				value = value.Elem()
			}
			switch x := value.Interface().(type) {
			case time.Time:
				row[i] = x.UTC().Format(time.RFC3339)
			case float64:
				if x == x && x < 1e300 && x > -1e300 {
					row[i] = x
				}
			default:
				if value.Kind() != reflect.Pointer {
					row[i] = x
				}
			}
		}
		f.Rows = append(f.Rows, row)
	}
	return f, rows.Err()
}

// series makes lines of rows: the first column is the time, texts name the line, and each number is a line.
func series(f frame) (s frame) {
	index := map[string]int{}
	for _, row := range f.Rows {
		at, err := time.Parse(time.RFC3339, row[0].(string))
		if err != nil {
			continue
		}
		name := ""
		for _, v := range row[1:] {
			if text, ok := v.(string); ok {
				name += text
			}
		}
		for i, v := range row[1:] {
			if _, ok := v.(string); ok || v == nil {
				continue
			}
			n := name
			if n == "" {
				n = f.Columns[i+1]
			}
			if _, ok := index[n]; !ok {
				index[n] = len(s.Series)
				s.Series = append(s.Series, line{Name: n})
			}
			to := &s.Series[index[n]]
			number := reflect.ValueOf(v).Convert(reflect.TypeFor[float64]()).Float()
			to.Points = append(to.Points, [2]float64{float64(at.Unix()), number})
		}
	}
	return s
}

// checkLinks opens the pages that the dashboard links to. Links of cells are filled in from the first row.
func (w *world) checkLinks(t *testing.T, d grafanatest.Dashboard, drawn map[int][]frame) {
	t.Helper()
	open := func(workspace, path string) {
		if got := w.serve.In(workspace).Get(t, path, "Accept: text/html"); got.Status != http.StatusOK {
			t.Errorf("%s: link %s in workspace %s: status %d: %.300s", d.Title, path, workspace, got.Status, got.Body)
		}
	}
	for _, l := range d.Links {
		if path, ok := strings.CutPrefix(l.URL, "${millrace_url}"); ok {
			open("default", path)
		}
	}
	links := regexp.MustCompile(`"url":\s*"\$\{millrace_url\}([^"]*)"`)
	field := regexp.MustCompile(`\$\{__data\.fields\.(\w+)(?::percentencode)?\}`)
	for _, p := range d.Panels {
		for _, m := range links.FindAllStringSubmatch(string(p.FieldConfig), -1) {
			f := drawn[p.ID][0]
			if len(f.Rows) == 0 {
				t.Errorf("%s, panel %q: no row to follow link %s of", d.Title, p.Title, m[1])
				continue
			}
			cell := func(name string) string {
				i := slices.Index(f.Columns, name)
				if i < 0 {
					return ""
				}
				return fmt.Sprint(f.Rows[0][i])
			}
			path := field.ReplaceAllStringFunc(strings.ReplaceAll(m[1], `\u0026`, "&"), func(v string) string {
				value := cell(field.FindStringSubmatch(v)[1])
				if value == "" {
					t.Errorf("%s, panel %q: a link has an empty column or one that is not there: %s", d.Title, p.Title, v)
				}
				return url.QueryEscape(value)
			})
			workspace := cell("workspace")
			if workspace == "" {
				workspace = "default"
			}
			open(workspace, path)
		}
	}
}

func folder() string { return os.Getenv("MILLRACE_TEST_SCREENSHOTS") }
