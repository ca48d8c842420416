package dataset_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/dataset"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/sinks/fragment"
)

var withNodes = map[string]any{"with_nodes": true}

func TestWithNodesNestsTheNodeRuns(t *testing.T) {
	t.Parallel()
	row := formattest.FullRow()
	node := *formattest.NodeRow(nil).Node
	node.ParentNodeRunID, node.Tools, node.Files, node.Metadata = []byte("n-0"), []byte(`[{"type":"function"}]`),
		[]record.File{{FileID: []byte("f")}}, []record.Pair{{Key: []byte("k"), Value: []byte("v")}}
	row.Nodes = []record.Node{node, *formattest.BareNodeRow().Node}
	full := `{"node_run_id":"n-1","node_id":"extract","node_name":"Extract","node_type":"llm","parent_node_run_id":"n-0","sequence":3,"app_version":"v3",` +
		`"status":"failed","started_at":"2026-11-01T00:00:00.001Z","ended_at":"2026-11-01T00:00:02.150Z","updated_at":"2026-11-01T00:00:02.151Z","latency_ms":2149,` +
		`"inputs":{"question":"What is due?"},"outputs":{"answer":"12 €","n":1.50},"prompt":{"template":"In {{language}}: {{question}}",` +
		`"variables":{"language":"en","question":"What is due?"}},"messages":[{"role":"user","content":"In en: What is due?"},{"role":"assistant","content":"12 €"}],` +
		`"tools":[{"type":"function"}],"model":"m-1","parameters":{"temperature":0.20,"stop":["\n"]},` +
		`"chunks":[{"chunk_id":"c-1","text":"Sum: 12 €","score":1.0,"source_uri":"s3://b/1","title":"One","sent_to_llm":true,"used_in_answer":false},` +
		`{"chunk_id":"c-2","text":null,"score":null,"source_uri":null,"title":null,"sent_to_llm":null,"used_in_answer":null}],` +
		`"error":{"type":"timeout","message":"the model did not answer"},` +
		`"files":[{"file_id":"f","name":null,"uri":null,"content_type":null,"size_bytes":null,"direction":null}],` +
		`"usage":{"input_tokens":1200,"output_tokens":34},"cost_usd":0.00042,"metadata":{"k":"v"}}`
	bare := `{"node_run_id":"n-0","node_id":"extract","node_name":null,"node_type":null,"parent_node_run_id":null,"sequence":null,"app_version":null,` +
		`"status":"running","started_at":"1970-01-01T00:00:00.000Z","ended_at":null,"updated_at":"2199-12-31T23:59:59.999Z","latency_ms":null,` +
		`"inputs":null,"outputs":null,"prompt":null,"messages":null,"tools":null,"model":null,"parameters":{},"chunks":[],"error":null,"files":[],"usage":null,` +
		`"cost_usd":null,"metadata":{}}`
	f := formattest.NewRowFormatter(t, format.ExportDataset, record.Canonical, withNodes)
	plain, _, _ := newCanonical(t).Append(nil, row)
	want := string(plain[:len(plain)-1]) + `,"nodes":[` + full + "," + bare + "]}"
	if record, _, err := f.Append(nil, row); err != nil || string(record) != want {
		t.Errorf("%s\nwant %s; %v", record, want, err)
	}
	row.Nodes = nil
	if record, _, err := f.Append(nil, row); err != nil || string(record) != string(plain[:len(plain)-1])+`,"nodes":[]}` {
		t.Errorf("%s, %v", record, err)
	}
	row.Nodes = []record.Node{{NodeRunID: []byte("n"), NodeID: []byte("a"), PromptVariables: []byte("{\n}")}}
	if record, _, err := f.Append(nil, row); err != nil || !bytes.Contains(record,
		[]byte(`"prompt":{"template":null,"variables":{ }}`)) {
		t.Errorf("%s, %v", record, err)
	}
}

func TestNodesAreAColumnOnlyWhereTheyAreAskedFor(t *testing.T) {
	t.Parallel()
	columns := func(names ...any) map[string]any { return map[string]any{"columns": names} }
	with := func(options map[string]any, value any) map[string]any { options["with_nodes"] = value; return options }
	for _, test := range []struct {
		name    string
		options map[string]any
		nodes   bool
		wrong   []string // in the error
	}{
		{"no options", nil, false, nil},
		{"with_nodes", withNodes, true, nil},
		{"with_nodes false", with(map[string]any{}, false), false, nil},
		{"with_nodes that is a text", with(map[string]any{}, "yes"), false, []string{`"with_nodes" must be true or false`}},
		{"columns that have it", with(columns("nodes", "run_id"), true), true, nil},
		{"columns that leave it out", with(columns("run_id"), true), false, nil},
		{"columns that have it, without the option", columns("nodes", "run_id"), false, []string{`"columns"`, `"nodes"`,
			`"with_nodes": true`}},
		{"columns that have it, with the option false", with(columns("nodes"), false), false, []string{`"with_nodes": true`}},
		{"an unknown column", with(columns("nodez"), true), false, []string{`"nodez"`, "trace_id, nodes"}},
	} {
		f, err := targets.New(format.ExportDataset, record.Canonical, test.options)
		if (err != nil) != (test.wrong != nil) {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		for _, part := range test.wrong {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v does not say %s", test.name, err, part)
			}
		}
		if err != nil {
			continue
		}
		last := f.Columns()[len(f.Columns())-1]
		if (last.Name == "nodes") != test.nodes || (f.Needs().Nodes == record.AllNodes) != test.nodes {
			t.Errorf("%s: last column %s, needs %+v", test.name, last.Name, f.Needs())
		}
	}
}

func TestNodesAreReadBackFromEveryFormat(t *testing.T) {
	t.Parallel()
	records := formattest.StreamHistory(t, format.ExportDataset, record.Canonical, withNodes,
		formattest.SampleHistory(t, 1000)).Records
	columns := formattest.NewRowFormatter(t, format.ExportDataset, record.Canonical, withNodes).Columns()
	formattest.CheckColumns(t, format.ExportDataset, &dataset.Canonical, withNodes, columns, records)
}

func TestNodesInCSVAreJSON(t *testing.T) {
	t.Parallel()
	records := formattest.StreamHistory(t, format.ExportDataset, record.Canonical, withNodes,
		formattest.SampleHistory(t, 100)).Records
	e, err := targets.NewEncoder(format.ExportDataset, record.Canonical, fragment.CSV, fragment.Uncompressed, withNodes,
		nil)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := e.Open(&file); err != nil {
		t.Fatal(err)
	}
	for _, record := range records {
		if err := e.Append(record); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := csv.NewReader(&file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := slices.Index(rows[0], "nodes")
	if at != len(rows[0])-1 || len(rows) != len(records)+1 {
		t.Fatalf("%d rows, header %v", len(rows), rows[0])
	}
	for i, record := range records {
		var want struct{ Nodes json.RawMessage }
		if err := json.Unmarshal(record, &want); err != nil {
			t.Fatal(err)
		}
		if rows[i+1][at] != string(want.Nodes) {
			t.Fatalf("%.300s, want %.300s", rows[i+1][at], want.Nodes)
		}
	}
}

func TestNodesAllocateNothing(t *testing.T) {
	f := formattest.NewRowFormatter(t, format.ExportDataset, record.Canonical, withNodes)
	row := insightsRow(nil)
	buf := make([]byte, 0, 1<<16)
	if n := testing.AllocsPerRun(100, func() { _, _, _ = f.Append(buf[:0], row) }); n != 0 {
		t.Errorf("%v allocations a record", n)
	}
}
