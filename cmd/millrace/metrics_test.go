package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/event"
)

// newRole returns the operators' endpoints of a role that is wired and does not run.
func newRole(t *testing.T, role string) *ops {
	t.Helper()
	cfg, err := app.Load([]string{"MILLRACE_BUCKET_URL=mem://", "MILLRACE_HTTP_ADDR=127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	a := &app.App{Config: cfg, Stdout: io.Discard, Stderr: io.Discard, Log: slog.New(slog.DiscardHandler)}
	o, err := newOps(a, role)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		o.listener.Close()
		o.readiness.close()
	})
	switch role {
	case "ingest":
		if _, err = newIngestStage(a, o); err == nil {
			err = o.readiness.watch(a, o, nil, event.TopicRuns)
		}
	case "export":
		_, err = newExportStages(t.Context(), a, o)
	case "serve":
		var s *server
		if s, err = newServer(t.Context(), a, o); err == nil {
			t.Cleanup(s.close)
		}
	}
	if err != nil {
		t.Fatalf("role %s: %v", role, err)
	}
	return o
}

// family is what the document says about a metric.
type family struct {
	name, kind, help string
	labels           []string
	values           map[string][]string // of the labels, as far as they are known at start
	roles            []string
}

var descriptor = regexp.MustCompile(
	`^Desc\{fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"), unit: ".*?", constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)

// families returns the metrics of Millrace, sorted, as the registries of the roles describe them.
func families(t *testing.T) []*family {
	t.Helper()
	all := map[string]*family{}
	for _, role := range []string{"ingest", "export", "serve"} {
		registry := newRole(t, role).registry
		descriptors := make(chan *prometheus.Desc)
		go func() {
			registry.Describe(descriptors)
			close(descriptors)
		}()
		for d := range descriptors {
			m := descriptor.FindStringSubmatch(d.String())
			if m == nil {
				t.Fatalf("not a descriptor: %s", d)
			}
			var name, help string
			if _, err := fmt.Sscanf(m[1]+" "+m[2], "%q %q", &name, &help); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(name, "millrace_") {
				continue
			}
			f := all[name]
			if f == nil {
				f = &family{name: name, kind: "gauge", help: help, values: map[string][]string{}}
				if strings.HasSuffix(name, "_total") {
					f.kind = "counter"
				}
				all[name] = f
			}
			if !slices.Contains(f.roles, role) {
				f.roles = append(f.roles, role)
			}
			for _, l := range regexp.MustCompile(`(\w+)="([^"]*)"`).FindAllStringSubmatch(m[3], -1) {
				f.add(l[1], l[2])
			}
			for _, label := range strings.FieldsFunc(m[4], func(r rune) bool { return r == ',' }) {
				f.add(label)
			}
		}
		gathered, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range gathered {
			f := all[g.GetName()]
			if f == nil {
				continue
			}
			if g.GetType() == dto.MetricType_HISTOGRAM {
				f.kind = "histogram"
			}
			for _, m := range g.GetMetric() {
				for _, l := range m.GetLabel() {
					f.add(l.GetName(), l.GetValue())
				}
			}
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b *family) int { return cmp.Compare(a.name, b.name) })
}

// add adds a label, and values of it.
func (f *family) add(label string, values ...string) {
	if !slices.Contains(f.labels, label) {
		f.labels = append(f.labels, label)
		slices.Sort(f.labels)
	}
	for _, v := range values {
		if !slices.Contains(f.values[label], v) {
			f.values[label] = append(f.values[label], v)
			slices.Sort(f.values[label])
		}
	}
}

// Values that are long lists stand in a table of their own. Those of other labels are not fixed, or
// stand elsewhere.
const fewValues = 7

var (
	longLists = []string{"code", "error_code", "query", "reason", "what"}
	unlisted  = []string{"version", "revision", "go_version", "role", "route", "method", "purpose", "target", "format",
		"client", "field"}
)

func TestGoldenMetricsDocument(t *testing.T) {
	t.Parallel()
	const path = "../../dashboards/METRICS.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	table := "\n| metric | type | roles | labels | meaning |\n|---|---|---|---|---|\n"
	long := map[string][]string{}
	for _, f := range families(t) {
		if !strings.HasSuffix(f.help, ".") && !strings.HasPrefix(f.name, "millrace_kafka_") {
			t.Errorf("the help of %s is no sentence: %q", f.name, f.help)
		}
		var labels []string
		for _, l := range f.labels {
			label := "`" + l + "`"
			switch values := f.values[l]; {
			case slices.Contains(unlisted, l), len(values) == 0, f.name == "millrace_http_request_seconds":
			case slices.Contains(longLists, l):
				long[l] = append(long[l], values...)
			case len(values) > fewValues:
				t.Errorf("%s: label %s has %d values", f.name, l, len(values))
			default:
				label += ": " + strings.Join(values, ", ")
			}
			labels = append(labels, label)
		}
		table += fmt.Sprintf("| `%s` | %s | %s | %s | %s |\n", f.name, f.kind, strings.Join(f.roles, ", "),
			strings.Join(labels, "; "), strings.TrimSuffix(f.help, ".")+".")
	}
	lists := "\n| label | values |\n|---|---|\n"
	for _, l := range longLists {
		long[l] = slices.DeleteFunc(long[l], func(v string) bool { return v == "" })
		slices.Sort(long[l])
		lists += fmt.Sprintf("| `%s` | %s |\n", l, strings.Join(slices.Compact(long[l]), ", "))
	}
	want := replace(t, replace(t, string(text), "metrics", table+"\n"), "values", lists+"\n")
	if flag.Lookup("update").Value.String() == "true" { // of package clickhousetest

		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(text) != want {
		t.Error("the tables of dashboards/METRICS.md are out of date: run `make golden`")
	}
}

// replace replaces what stands between the markers of a generated part.
func replace(t *testing.T, text, name, part string) string {
	t.Helper()
	before, rest, ok1 := strings.Cut(text, "<!-- "+name+": generated by `make golden` -->\n")
	_, after, ok2 := strings.Cut(rest, "<!-- end -->")
	if !ok1 || !ok2 {
		t.Fatalf("dashboards/METRICS.md lacks the markers of part %s", name)
	}
	return before + "<!-- " + name + ": generated by `make golden` -->\n" + part + "<!-- end -->" + after
}
