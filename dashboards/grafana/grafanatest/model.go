// Package grafanatest reads the dashboards as Grafana does: their panels, and their queries with
// variables and macros filled in. Tests run the queries with it, where there is no Grafana.
package grafanatest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Dashboard is what tests need of a dashboard.
type Dashboard struct {
	UID, Title, Description, Refresh string
	SchemaVersion                    int
	Tags                             []string
	Time                             struct{ From, To string }
	Links                            []Link
	Panels                           []Panel
	Templating                       struct{ List []Variable }
	Annotations                      struct{ List []Annotation }
}

// Link is a link of a dashboard or panel.
type Link struct {
	Title, Type, URL      string
	IncludeVars, KeepTime bool
	TargetBlank           bool
}

// Panel is a panel. A row has no targets.
type Panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Datasource               Source
	Targets                  []Target
	FieldConfig              json.RawMessage
	Options                  json.RawMessage
}

// Source refers to a data source.
type Source struct{ Type, UID string }

// Target is a query of Prometheus (Expr) or of ClickHouse (RawSQL).
type Target struct {
	RefID                 string
	Datasource            Source
	Expr, LegendFormat    string
	Instant, Range        bool
	EditorType, QueryType string
	RawSQL                string
}

// Variable is a variable of a dashboard.
type Variable struct {
	Name, Label, Type string
	Datasource        Source
	Query             any // a text, or an object
	Current           struct{ Value any }
	Multi, IncludeAll bool
	Refresh           int
}

// Annotation marks events on the graphs.
type Annotation struct {
	Name       string
	Datasource Source
	Target     Target
}

// Load reads the dashboards in a folder.
func Load(t testing.TB, dir string) (list []Dashboard) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards in %s: %v", dir, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var d Dashboard
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		list = append(list, d)
	}
	return list
}
