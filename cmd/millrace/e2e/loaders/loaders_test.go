package loaders

import (
	"bytes"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/export"
)

// dataSet is an export of the matrix.
type dataSet struct {
	id, purpose, target, format, compression string
}

// dataSets are every canonical target in every format, and targets that have free JSON or are loaded
// by their card.
func dataSets() (all []dataSet) {
	for _, purpose := range []string{"export_dataset", "recipe_evaluation", "node_evaluation", "node_optimization"} {
		for _, format := range []string{"jsonl", "json", "csv", "parquet"} {
			all = append(all, dataSet{purpose + "." + format, purpose, "canonical", format, "none"})
		}
	}
	for _, target := range []string{"langsmith", "langfuse", "mlflow"} {
		all = append(all, dataSet{target, "recipe_evaluation", target, "jsonl", "none"})
	}
	return append(all, dataSet{"trl", "fine_tuning", "trl_prompt_completion", "jsonl", "none"},
		dataSet{"zstd", "export_dataset", "canonical", "jsonl", "zstd"})
}

func (d *dataSet) request() object {
	r := object{"export_id": d.id, "workspace_id": "default", "purpose": d.purpose, "source": "recipe",
		"app_id": "loaders", "target": d.target, "format": d.format, "compression": d.compression, "selection": object{"limit": 1000},
		"fragment": object{"max_records": runsAFragment}}
	switch {
	case strings.HasPrefix(d.purpose, "node_"):
		r["nodes"] = []string{"1.10"}
	case d.purpose == "fine_tuning":
		r["options"] = object{"dedupe": false}
	}
	return r
}

// Every canonical target is written in every format, with texts and numbers that readers like to
// change, and with columns that are null in the first fragment only, in the last only, and always.
// The readers load it by the commands of its card and of its completion, and have the rows, types
// and texts that ClickHouse has.
func TestTheCommandsOfCardsChangeNoValue(t *testing.T) {
	t.Parallel()
	python := e2etest.Python(t, "loaders.py")
	s := e2etest.NewSite(t)
	s.Env.Start(t, "ingest")
	if got := s.Env.Try(t, events(t), "replay", "-"); got.Code != 0 {
		t.Fatalf("exit code %d\n%s", got.Code, got.Stderr)
	}
	e2etest.WaitForCounts(t, s.Conn, time.Minute, map[string]uint64{
		"SELECT count() FROM runs_latest": runsInAll, "SELECT count() FROM nodes_latest": runsInAll,
		"SELECT count() FROM feedback_latest": runsInAll - runsAFragment,
	})
	s.Env.Start(t, "export")
	batch := e2etest.NewBatch(t, s)
	all := dataSets()
	for _, d := range all {
		batch.File(t, d.request())
	}
	ended := batch.Wait(t)
	of := func(id string) *export.Completion {
		c := ended[export.ID{WorkspaceID: "default", ExportID: id}]
		if c.Status != export.StatusSucceeded || c.Records != runsInAll || c.Fragments != runsInAll/runsAFragment {
			t.Fatalf("%s: %s, %d records in %d fragments, dropped %v, %+v", id, c.Status, c.Records, c.Fragments, c.Dropped,
				c.Failure())
		}
		return &c
	}
	wanted := map[string][]object{}
	for _, d := range all {
		if d.format == "jsonl" && d.compression == "none" {
			records := e2etest.RecordsOf(t, of(d.id))
			wanted[d.purpose+d.target] = records
			if d.target == "canonical" {
				isInClickHouse(t, s, d.purpose, records)
				isNullWhereItShould(t, columnsOf(t, of(d.id)), records)
			}
		}
	}
	tasks := map[string][]task{}
	for _, d := range all {
		c := of(d.id)
		if shown := s.Env.Run(t, "exports", "show", d.id); !strings.Contains(shown, c.LoadWith) {
			t.Errorf("%s: exports show does not print %s", d.id, c.LoadWith)
		}
		for reader, code := range commands(t, c) {
			tasks[reader] = append(tasks[reader], task{d, folderOf(t, c), code})
		}
		warnsOfNumbers(t, c)
	}
	tasks["duckdb"] = append(tasks["duckdb"], tasks["duckdb in the card"]...)
	tasks["datasets"] = append(tasks["datasets"], tasks["load_dataset"]...)
	for _, reader := range []string{"duckdb", "pandas", "polars", "pyarrow", "datasets"} {
		if len(tasks[reader]) < len(all) {
			t.Errorf("%s is offered for %d of %d data sets", reader, len(tasks[reader]), len(all))
		}
		t.Run(reader, func(t *testing.T) {
			t.Parallel()
			for i, got := range load(t, python, tasks[reader]) {
				d := tasks[reader][i].dataSet
				compare(t, &d, columnsOf(t, of(d.id)), wanted[d.purpose+d.target], &got)
			}
		})
	}
}

// task is a data set and the code that loads it.
type task struct {
	dataSet
	dir, code string
}

// loaded is what a reader has loaded.
type loaded struct {
	Columns map[string]string
	Rows    []object
	Error   string
}

// load runs tasks in one process.
func load(t *testing.T, python func(*testing.T, string, ...string) []byte, tasks []task) []loaded {
	t.Helper()
	var in strings.Builder
	for _, task := range tasks {
		in.WriteString(e2etest.JSONText(t, object{"dir": task.dir, "code": task.code}) + "\n")
	}
	var all []loaded
	for line := range bytes.Lines(python(t, in.String())) {
		o := e2etest.ParseObject(t, string(line))
		var l loaded
		l.Error, _ = o["error"].(string)
		rows, _ := o["rows"].([]any)
		for _, row := range rows {
			l.Rows = append(l.Rows, row.(object))
		}
		l.Columns = map[string]string{}
		columns, _ := o["columns"].(object)
		for name, kind := range columns {
			l.Columns[name] = kind.(string)
		}
		all = append(all, l)
	}
	if len(all) != len(tasks) {
		t.Fatalf("%d answers to %d tasks", len(all), len(tasks))
	}
	return all
}

func folderOf(t *testing.T, c *export.Completion) string {
	t.Helper()
	uri, err := url.Parse(c.ManifestURI)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(uri.Path)
}

var duckBlock = regexp.MustCompile("(?s)```sh\n(duckdb .*?)\n```")

var pythonBlock = regexp.MustCompile("(?ms)^```python\n(.*?)^```")

// commands returns Python that does what the printed commands do, by reader. A block of Python of
// the card goes on with what the first block has loaded, unless it is complete.
func commands(t *testing.T, c *export.Completion) map[string]string {
	t.Helper()
	card := string(e2etest.ReadObject(t, c, export.CardName))
	code := map[string]string{}
	if strings.HasPrefix(c.LoadWith, "duckdb") {
		code["duckdb"] = sqlOf(t, c.LoadWith)
	}
	inCard := duckBlock.FindStringSubmatch(card)
	if inCard == nil {
		t.Fatalf("%s: no command of DuckDB in\n%s", c.ExportID, card)
	}
	code["duckdb in the card"] = sqlOf(t, inCard[1])
	if strings.HasPrefix(c.Target, "trl_") { // it loads the folder by its card
		code["load_dataset"] = "import os\nfrom datasets import load_dataset\ndata = load_dataset(os.getcwd())\n"
	}
	first := ""
	for _, block := range pythonBlock.FindAllStringSubmatch(card, -1) {
		text := block[1]
		switch {
		case first == "":
			first = text
			code["pyarrow"] = text + "data = train\n"
			continue
		case !strings.Contains(text, "load_dataset"):
			text = first + text
		}
		for _, reader := range []string{"pandas", "polars", "datasets"} {
			if strings.Contains(block[1], "import "+reader) || strings.Contains(block[1], "from "+reader) {
				code[reader] = text
			}
		}
	}
	return code
}

// sqlOf returns Python that runs the SQL of a command `duckdb -c`, as the shell passes it on.
func sqlOf(t *testing.T, command string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `duckdb() { [ "$1" = -c ] && printf %s "$2"; }; `+command).Output()
	if err != nil || len(out) == 0 {
		t.Fatalf("%s: %v", command, err)
	}
	return "import duckdb\ndata = duckdb.connect().sql(" + e2etest.JSONText(t, string(out)) + ")\n"
}

// warnsOfNumbers checks that the completion counts the records with numbers that 64 bits do not hold,
// and names runs.
func warnsOfNumbers(t *testing.T, c *export.Completion) {
	t.Helper()
	at := slices.IndexFunc(c.Warnings, func(w export.Warning) bool { return w.Code == "number_beyond_64_bits" })
	if c.Purpose == "fine_tuning" { // its records are texts
		if at >= 0 {
			t.Errorf("%s: %+v", c.ExportID, c.Warnings[at])
		}
		return
	}
	if at < 0 || c.Warnings[at].Count != runsInAll || !slices.Equal(c.Warnings[at].RunIDs, ids[:]) ||
		!strings.Contains(c.Warnings[at].Message, "(run 0017, 17, 1e400 and others)") {
		t.Errorf("%s: warnings %+v", c.ExportID, c.Warnings)
	}
}

// isInClickHouse compares texts and documents of records with the tables.
func isInClickHouse(t *testing.T, s *e2etest.Site, purpose string, records []object) {
	t.Helper()
	names, table := []string{"app_version", "model"}, "nodes_latest"
	switch purpose {
	case "export_dataset":
		names, table = append(names, "question", "answer", "user_id", "session_id", "trace_id", "reference", "app_name",
			"inputs", "outputs", "messages", "system_inputs"), "runs_latest"
	case "recipe_evaluation":
		names, table = []string{"app_version", "session_id", "trace_id", "system_inputs"}, "runs_latest"
	case "node_evaluation":
		names = []string{"app_version", "prompt_template", "inputs", "outputs"}
	case "node_optimization":
		names = []string{"model", "prompt_template", "messages"}
	}
	for _, name := range append(names, "run_id") {
		stored := e2etest.QueryTexts(t, s.Conn, "SELECT "+name+" FROM "+table+" ORDER BY started_at")
		for i, text := range stored {
			got := records[i][name]
			if written, ok := got.(string); got == nil && text == "" || ok && written == text {
				continue
			}
			if text == "" || sameJSONText(got, text) != "" {
				t.Errorf("%s: row %d, %s is %v, and %q in ClickHouse", purpose, i, name, got, text)
			}
		}
		if len(stored) != len(records) {
			t.Errorf("%s: %d records of %d rows", purpose, len(records), len(stored))
		}
	}
}

// isNullWhereItShould checks that the data set has columns which are null in the first fragment
// only, in the last only, and always.
func isNullWhereItShould(t *testing.T, columns []*column, records []object) {
	t.Helper()
	found := map[string]int{}
	for _, c := range columns {
		var nulls []bool
		for _, r := range records {
			nulls = append(nulls, r[c.name] == nil)
		}
		first, last := nulls[:runsAFragment], nulls[runsInAll-runsAFragment:]
		switch {
		case !slices.Contains(nulls, false):
			found["always"]++
		case !slices.Contains(first, false) && !slices.Contains(nulls[runsAFragment:], true):
			found["in the first"]++
		case !slices.Contains(last, false) && !slices.Contains(nulls[:runsInAll-runsAFragment], true):
			found["in the last"]++
		}
	}
	if found["in the first"] < 2 || found["in the last"] < 2 || found["always"] == 0 {
		t.Errorf("columns that are null: %v", fmt.Sprint(found))
	}
}
