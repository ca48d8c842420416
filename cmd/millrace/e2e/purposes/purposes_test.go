package purposes

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

// nodesOf are nodes of the apps of the real data, an llm node first.
var nodesOf = map[e2etest.RealApp][]string{e2etest.MathTutor: {"solve", "extract_answer"},
	e2etest.Airline: {"assistant", "get_user_details"}}

// All of both real data sets through every purpose and target, the small one in every format and the
// large one in one of them, and half of it for two targets of three (all of all with `make soak`): every row is used or dropped under a reason that is
// documented, every record is what the target's schema says, and the files open in readers that are
// not ours.
func TestAllRealRunsGoThroughEveryPurposeTargetAndFormat(t *testing.T) {
	t.Parallel()
	files := map[e2etest.RealApp]string{e2etest.MathTutor: e2etest.Shared(t, e2etest.MathTutor.File),
		e2etest.Airline: e2etest.Shared(t, e2etest.Airline.File)}
	s := newRealSite(t, files)
	batch := e2etest.NewBatch(t, s)
	combinations := e2etest.Combinations(t, s.Env)
	asked, limits := map[string]e2etest.Combination{}, map[string]int64{}
	for app := range files {
		for i, p := range combinations {
			formats := p.Formats
			if app == e2etest.MathTutor { // each format comes up with another target
				formats = e2etest.Scale([]string{formats[i%len(formats)]}, formats)
			}
			for _, format := range formats {
				for _, nodes := range [][]string{nil, nodesOf[app]} {
					needs := p.Purpose == "node_evaluation" || p.Purpose == "node_optimization"
					if needs != (nodes != nil) && p.Purpose != "fine_tuning" {
						continue
					}
					id := fmt.Sprintf("%s.%s.%s.%s.%d", app.ID, p.Purpose, p.Target, format, len(nodes))
					fields := object{"purpose": p.Purpose, "target": p.Target, "format": format}
					if nodes != nil {
						fields["nodes"] = nodes
					}
					asked[id] = p
					limit := all
					if app == e2etest.MathTutor && i%3 > 0 {
						limit = e2etest.Scale(halfOfMath, all)
					}
					limits[id] = limit
					askForAll(t, batch, app, id, limit, fields)
				}
			}
		}
	}
	if len(asked) < 100 {
		t.Errorf("only %d exports", len(asked))
	}
	rows := map[e2etest.RealApp]map[bool]int64{e2etest.MathTutor: {false: 5276, true: 10_552},
		e2etest.Airline: {false: 200, true: 2574}}
	for id, c := range batch.Wait(t) {
		p := asked[id.ExportID]
		app := e2etest.MathTutor
		if c.AppID == e2etest.Airline.ID {
			app = e2etest.Airline
		}
		planned := min(limits[id.ExportID]*int64(max(1, len(c.Nodes))), rows[app][len(c.Nodes) > 0])
		dropped := int64(0)
		for reason, n := range c.Dropped {
			dropped += n
			if p.Dropped[reason] == "" && reason != "duplicate_input" && reason != "group_too_large" &&
				reason != "record_too_large" {
				t.Errorf("%s: %d rows are dropped as %s, which millrace formats does not explain", id.ExportID, n, reason)
			}
		}
		if c.Status != export.StatusSucceeded || c.RowsPlanned != planned || c.RowsUsed+dropped != planned {
			t.Errorf("%s: %s, %d rows used and %v dropped of %d, want %d: %+v", id.ExportID, c.Status, c.RowsUsed, c.Dropped,
				c.RowsPlanned, planned, c.Failure())
			continue
		}
		if c.Records == 0 && !mayBeEmpty(app, &c) {
			t.Errorf("%s: no records, dropped %v", id.ExportID, c.Dropped)
		}
		if c.LoadWith == "" && c.Records > 0 {
			t.Errorf("%s: nothing to load it with", id.ExportID)
		}
		checkFiles(t, s, &c)
		checkSidecars(t, &c)
	}
}

// checkSidecars holds what stands beside the records against them: the lineage has a line for each
// row that was used, and the readers that need a description find one, all listed in the manifest.
func checkSidecars(t *testing.T, c *export.Completion) {
	t.Helper()
	var m export.Manifest
	e2etest.Decode(t, e2etest.ReadObject(t, c, export.ManifestName), &m)
	kinds := map[export.FileKind]int64{}
	for _, f := range m.Files {
		kinds[f.Kind] += max(1, f.Records)
	}
	wanted := map[export.FileKind]int64{export.Card: 1, export.Other: 1} // the statistics of columns
	if c.Purpose == "fine_tuning" {
		wanted[export.Lineage] = c.RowsUsed
	}
	if c.Target == "sharegpt" || c.Target == "dspy" {
		wanted[export.Other]++
	}
	if c.Records == 0 {
		wanted = map[export.FileKind]int64{}
	}
	wanted[export.Data] = c.Records
	for kind, n := range wanted {
		if kinds[kind] != n {
			t.Errorf("%s: %d of %s, want %d", c.ExportID, kinds[kind], kind, n)
		}
	}
	if c.Records == 0 {
		return
	}
	switch c.Target {
	case "dspy":
		var doc struct {
			Inputs  []string `json:"input_keys"`
			Outputs []string `json:"output_keys"`
		}
		e2etest.Decode(t, e2etest.ReadObject(t, c, "__meta__/dspy.json"), &doc)
		records := e2etest.RecordsOf(t, c)
		for _, key := range append(doc.Inputs, doc.Outputs...) {
			if !slices.ContainsFunc(records, func(r object) bool { return r[key] != nil }) {
				t.Errorf("%s: dspy.json names %s, which no record has", c.ExportID, key)
			}
		}
		if len(doc.Inputs) == 0 || len(doc.Outputs) != 1 {
			t.Errorf("%s: dspy.json says %+v", c.ExportID, doc)
		}
	case "sharegpt":
		var doc map[string]struct {
			File    string            `json:"file_name"`
			Columns map[string]string `json:"columns"`
			Tags    map[string]string `json:"tags"`
		}
		e2etest.Decode(t, e2etest.ReadObject(t, c, "__meta__/dataset_info.json"), &doc)
		first := e2etest.RecordsOf(t, c)[0]
		turns := first[doc["train"].Columns["messages"]].([]any)
		if from := turns[0].(object)[doc["train"].Tags["role_tag"]]; from != doc["train"].Tags["user_tag"] &&
			from != doc["train"].Tags["observation_tag"] {
			t.Errorf("%s: the first turn is from %v, dataset_info.json says %+v", c.ExportID, from, doc["train"])
		}
		if named := doc["train-00000-00000"].File; len(e2etest.ReadObject(t, c, "__meta__/"+named)) == 0 ||
			doc["train"].File != "../train.jsonl" {
			t.Errorf("%s: dataset_info.json names %s and %s", c.ExportID, named, doc["train"].File)
		}
	}
}

// mayBeEmpty knows what cannot be made of the real data: it has no chunks, corrected answers or
// references in places.
func mayBeEmpty(app e2etest.RealApp, c *export.Completion) bool {
	switch c.Target {
	case "bedrock_rag":
		return true // no passages anywhere
	case "bedrock_distillation":
		return true // no system message in math, and many turns in airline
	case "openai_dpo", "trl_dpo", "gemini_preference", "karini_csv", "inspect", "bedrock_apo", "ragas", "promptfoo",
		"dspy":
		return app == e2etest.Airline
	case "trl_kto", "bedrock_conversation":
		return false
	}
	return false
}

func newRealSite(t *testing.T, files map[e2etest.RealApp]string) *e2etest.Site {
	t.Helper()
	s := e2etest.NewSite(t)
	s.Env.Start(t, "ingest")
	s.Env.Run(t, "replay", files[e2etest.MathTutor], files[e2etest.Airline])
	e2etest.WaitForCounts(t, s.Conn, 2*time.Minute, map[string]uint64{
		"SELECT count() FROM runs_with_feedback WHERE feedback_id != '' AND status != 'running'": 5476,
		"SELECT count() FROM nodes_latest": 14_170,
	})
	append(s.Env, "EXPORT_WINDOW_RECORDS=2000").Start(t, "export") // so that math is staged, and airline is not
	return s
}

// Limits of exports: all that an app has, and half of the runs of math, which are more than a window.
const all, halfOfMath int64 = 100_000, 2638

// askForAll asks for so many of the newest rows of an app, as these fields say.
func askForAll(t *testing.T, b *e2etest.Batch, app e2etest.RealApp, id string, limit int64, fields object) {
	t.Helper()
	r := app.Request(id, 0, object{"limit": limit}, nil)
	delete(r, "fragment")
	maps.Copy(r, fields)
	b.File(t, r)
}

// succeeded returns the completion of an export of acme's, which must have succeeded.
func succeeded(t *testing.T, ended map[export.ID]export.Completion, id string) *export.Completion {
	t.Helper()
	c := ended[export.ID{WorkspaceID: "acme", ExportID: id}]
	if c.Status != export.StatusSucceeded {
		t.Fatalf("%s: %s %+v", id, c.Status, c.Failure())
	}
	return &c
}

// checkFiles holds an export's files against its manifest, its target's schema and other readers.
func checkFiles(t *testing.T, s *e2etest.Site, c *export.Completion) {
	t.Helper()
	if got := s.Env.Try(t, "", "exports", "verify", c.ExportID, "--workspace", c.WorkspaceID); got.Code != 0 {
		t.Errorf("%s: %s%s", c.ExportID, got.Stdout, got.Stderr)
	}
	var m export.Manifest
	if err := json.Unmarshal(e2etest.ReadObject(t, c, export.ManifestName), &m); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, f := range m.Files {
		if f.Kind != export.Data {
			continue
		}
		body := e2etest.ReadObject(t, c, f.Key)
		uri, err := url.Parse(c.ManifestURI)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, filepath.Join(filepath.Dir(uri.Path), filepath.FromSlash(f.Key)))
		switch c.Format {
		case export.JSONL:
			checkLines(t, c, body)
		case export.JSON:
			var records []json.RawMessage
			if err := json.Unmarshal(body, &records); err != nil || int64(len(records)) != f.Records {
				t.Errorf("%s: %s has %d records, %v", c.ExportID, f.Key, len(records), err)
			}
			for i, record := range records {
				if !checkRecord(t, c, i, record) {
					break
				}
			}
		case export.CSV:
			checkCSV(t, c, body, f.Records)
		}
	}
	if c.Format == export.Parquet && len(paths) > 0 {
		list := "['" + strings.Join(paths, "','") + "']"
		if n := duckDB(t, "SELECT count(*) AS n FROM read_parquet("+list+")"); n != c.Records {
			t.Errorf("%s: DuckDB reads %d of %d records of Parquet", c.ExportID, n, c.Records)
		}
		total := uint64(0)
		for _, path := range paths {
			total += e2etest.Count(t, s.Conn, "SELECT count() FROM file('"+
				localtest.ClickHouse(t).File(t, path)+"', 'Parquet')")
		}
		if int64(total) != c.Records {
			t.Errorf("%s: ClickHouse reads %d of %d records of Parquet", c.ExportID, total, c.Records)
		}
	}
}

// checkLines holds each line against the JSON Schema of its target, which was written from its
// reader's rules.
func checkLines(t *testing.T, c *export.Completion, body []byte) {
	t.Helper()
	for i, line := range bytes.Split(bytes.TrimSuffix(body, []byte("\n")), []byte("\n")) {
		if !checkRecord(t, c, i, line) {
			return
		}
	}
}

func checkRecord(t *testing.T, c *export.Completion, i int, record []byte) bool {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(record))
	if schema := targetSchema(t, c.Purpose, c.Target); err == nil && schema != nil {
		err = schema.Validate(doc)
	}
	if err != nil {
		t.Errorf("%s: record %d: %v\n%.600s", c.ExportID, i+1, err, record)
	}
	return err == nil
}

// targetSchemas are functions by purpose and target, each of which looks for its file once. For each
// file that a test looks at, `go test` writes and later checks a line.
var targetSchemas sync.Map

// targetSchema is the JSON Schema of a target's records; those of two purposes are held against the
// events instead, and have none.
func targetSchema(t *testing.T, purpose, target string) *jsonschema.Schema {
	t.Helper()
	read, _ := targetSchemas.LoadOrStore(purpose+"/"+target, sync.OnceValues(func() (*jsonschema.Schema, error) {
		return readTargetSchema(e2etest.Root(t), purpose, target)
	}))
	schema, err := read.(func() (*jsonschema.Schema, error))()
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func readTargetSchema(root, purpose, target string) (*jsonschema.Schema, error) {
	dir := filepath.Join(root, "pipeline", "export", "format", "*", "testdata", "schemas")
	for _, name := range []string{purpose + "_" + target, "both_" + target} {
		found, err := filepath.Glob(filepath.Join(dir, name+".schema.json"))
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			compiler := jsonschema.NewCompiler()
			compiler.AssertFormat()
			return compiler.Compile(found[0])
		}
	}
	if target != export.Canonical {
		return nil, fmt.Errorf("%s/%s has no schema in %s", purpose, target, dir)
	}
	return nil, nil
}

func checkCSV(t *testing.T, c *export.Completion, body []byte, records int64) {
	t.Helper()
	r := csv.NewReader(bytes.NewReader(body))
	header, err := r.Read()
	if err != nil || len(header) != len(slices.Compact(slices.Sorted(slices.Values(header)))) {
		t.Errorf("%s: header %q, %v", c.ExportID, header, err)
		return
	}
	for n := int64(0); ; n++ {
		if _, err := r.Read(); errors.Is(err, io.EOF) {
			if n != records {
				t.Errorf("%s: %d records of CSV, want %d", c.ExportID, n, records)
			}
			return
		} else if err != nil {
			t.Errorf("%s: %v", c.ExportID, err)
			return
		}
	}
}

// duckDB runs a query with the column n.
func duckDB(t *testing.T, query string) int64 {
	t.Helper()
	var row struct{ N string }
	e2etest.Decode(t, readerTool(t, "npm/duckdb", "-c", query), &row)
	n, err := strconv.ParseInt(row.N, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
