package export

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/sample"
)

// receiver is a collector of OpenTelemetry.
type receiver struct {
	url   string
	mu    sync.Mutex
	spans []*trace.Span
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	c := &receiver{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var sent collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &sent)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, resource := range sent.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				c.spans = append(c.spans, scope.Spans...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

func (c *receiver) of(accept func(*trace.Span) bool) (list []*trace.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if accept(s) {
			list = append(list, s)
		}
	}
	return list
}

// inTrace returns the names of the spans of a trace, sorted.
func (c *receiver) inTrace(id string) (names []string) {
	for _, s := range c.of(func(s *trace.Span) bool { return hex.EncodeToString(s.TraceId) == id }) {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return names
}

// tree draws a trace: each span under its parent, or under none where that one is of a caller or was lost.
func (c *receiver) tree(id string) string {
	spans := c.of(func(s *trace.Span) bool { return hex.EncodeToString(s.TraceId) == id })
	slices.SortFunc(spans, func(a, b *trace.Span) int { return cmp.Compare(a.StartTimeUnixNano, b.StartTimeUnixNano) })
	known := map[string]bool{}
	for _, s := range spans {
		known[string(s.SpanId)] = true
	}
	var text strings.Builder
	var draw func(parent, indent string)
	draw = func(parent, indent string) {
		for _, s := range spans {
			of := string(s.ParentSpanId)
			if !known[of] {
				of = ""
			}
			if of != parent {
				continue
			}
			took := time.Duration(s.EndTimeUnixNano - s.StartTimeUnixNano).Round(100 * time.Microsecond)
			fmt.Fprintf(&text, "%s%s %s", indent, s.Name, took)
			if window := attribute(s.Attributes, "millrace.window"); window != "" {
				fmt.Fprintf(&text, " window %s", window)
			}
			if s.Status.GetMessage() != "" {
				fmt.Fprintf(&text, ": %s", s.Status.Message)
			}
			text.WriteByte('\n')
			draw(string(s.SpanId), indent+"  ")
		}
	}
	draw("", "  ")
	return text.String()
}

func attribute(attributes []*common.KeyValue, name string) string {
	for _, a := range attributes {
		if a.Key == name {
			if text := a.Value.GetStringValue(); text != "" {
				return text
			}
			return fmt.Sprint(a.Value.GetIntValue())
		}
	}
	return ""
}

// windowsOf returns the traces of an export's windows that are linked to its trace, by window.
func (c *receiver) windowsOf(export, id string) map[string][]string {
	windows := map[string][]string{}
	for _, s := range c.of(func(s *trace.Span) bool {
		return strings.HasPrefix(s.Name, "extract") && attribute(s.Attributes, "millrace.export_id") == export &&
			len(s.ParentSpanId) == 0 && len(s.Links) == 1 && hex.EncodeToString(s.Links[0].TraceId) == id
	}) {
		window := attribute(s.Attributes, "millrace.window")
		windows[window] = append(windows[window], hex.EncodeToString(s.TraceId))
	}
	return windows
}

// One trace goes from the request to the completion, across processes of which one is killed. Each window has a trace of
// its own, with its queries and its operations on the bucket.
func TestAnExportIsOneTraceAndEachWindowHasItsOwn(t *testing.T) {
	t.Parallel()
	const runs = 400
	s, spans := e2etest.NewSite(t), newReceiver(t)
	cfg := sample.Config{Seed: 5, Runs: runs, Start: time.Now().Add(-48 * time.Hour).Truncate(time.Second)}
	s.Env.Start(t, "ingest")
	s.Env.Run(t, "replay", e2etest.SampleFile(t, cfg))
	e2etest.WaitForCounts(t, s.Conn, time.Minute, e2etest.SampleRows(cfg))
	env := append(slices.Clone(s.Env), "OTEL_EXPORTER_OTLP_ENDPOINT="+spans.url, "OTEL_BSP_SCHEDULE_DELAY=20",
		"EXPORT_WINDOW_RECORDS=6", "EXPORT_CONCURRENCY=1", "HTTP_ADDR=127.0.0.1:0")
	killed := env.Start(t, "export")
	server := e2etest.Endpoint{URL: e2etest.WaitReady(t, env.Start(t, "serve"))}

	const id, caller = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	app := strings.Fields(e2etest.QueryTexts(t, s.Conn, "SELECT concat(source, ' ', app_id) AS app FROM runs "+
		"GROUP BY app ORDER BY count() DESC LIMIT 1")[0])
	export := server.In("default").With("traceparent: 00-"+id+"-"+caller+"-01").File(t, object{
		"purpose": "export_dataset", "source": app[0], "app_id": app[1], "name": "traced",
		"selection": object{"limit": runs}, "fragment": object{"max_records": 1},
	})
	about := "default/" + export
	e2etest.Eventually(t, time.Minute, func() string {
		if len(spans.windowsOf(about, id)) == 0 {
			return "no span of a window"
		}
		return ""
	})
	killed.Kill()
	env.Start(t, "export")
	server.In("default").WaitFor(t, export, "succeeded")
	var names []string
	e2etest.Eventually(t, time.Minute, func() string {
		if names = spans.inTrace(id); !slices.Contains(names, "complete export") {
			return fmt.Sprint(names)
		}
		return ""
	})
	for _, name := range []string{"file export", "plan", "clickhouse freeze", "bucket create"} {
		if !slices.Contains(names, name) {
			t.Errorf("no %q among the spans of the export: %v", name, names)
		}
	}
	if i := slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, "extract") }); i >= 0 {
		t.Errorf("%s is in the trace of the export", names[i])
	}
	planned := len(e2etest.ListFiles(t, filepath.Join(s.ExportFolder(t, "default", export), "windows")))
	found := spans.windowsOf(about, id)
	// The process that was killed may have taken its last spans with it.
	if least := planned - 3; planned < 10 || len(found) < least {
		t.Errorf("traces of %d windows of %d", len(found), planned)
	}
	t.Logf("the trace of an export of %d windows:\n%s", planned, spans.tree(id))
	lacking := map[string][]string{}
	for window, traces := range found {
		if len(traces) > 1 || window == "0" { // where there are two, the process of the first was killed
			for _, own := range traces {
				t.Logf("a trace of window %s:\n%s", window, spans.tree(own))
			}
		}
		names := spans.inTrace(traces[0])
		for _, name := range []string{"clickhouse snapshot_rows", "bucket upload", "bucket create"} {
			if !slices.Contains(names, name) && len(traces) == 1 {
				lacking[window] = append(lacking[window], name)
			}
		}
	}
	// Where the process was killed behind its work, the other one found that it was done.
	if len(lacking) > 1 {
		t.Errorf("windows lack spans of their work: %v", lacking)
	}
}
