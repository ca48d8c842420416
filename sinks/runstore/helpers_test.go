package runstore_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/local/localtest"
	"github.com/millrace/millrace/pipeline/runs"
	schema "github.com/millrace/millrace/schemas/clickhouse"
	"github.com/millrace/millrace/sinks/runstore"
)

// database is the test's own database, migrated.
type database struct {
	name   string
	server *localtest.Server
}

func newDatabase(t *testing.T) database {
	t.Helper()
	server := localtest.ClickHouse(t)
	d := database{server.Database(t), server}
	if _, err := clickhouse.Migrate(t.Context(), d.dsn(t, server.NativeAddr), schema.Migrations, "",
		slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return d
}

// dsn is the database at an address, which may be a proxy's.
func (d database) dsn(t *testing.T, addr string) *clickhouse.DSN {
	t.Helper()
	dsn, err := clickhouse.ParseDSN(d.server.DSNAt(addr, d.name))
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

// store returns a store of the database at an address.
func (d database) store(t *testing.T, addr string) *runstore.Store {
	t.Helper()
	s := runstore.New(d.dsn(t, addr))
	t.Cleanup(s.Close)
	return s
}

// query runs a statement and returns its rows as JSON objects; numbers stay as they are written.
func (d database) query(t *testing.T, statement string) []map[string]any {
	t.Helper()
	settings := url.Values{
		"database": {d.name}, "default_format": {"JSONEachRow"}, "wait_end_of_query": {"1"},
		"output_format_json_quote_64bit_integers": {"0"}, "output_format_json_quote_denormals": {"1"},
		"output_format_json_named_tuples_as_objects": {"1"},
	}
	resp, err := http.Post(d.server.HTTPURL+"/?"+settings.Encode(), "text/plain", strings.NewReader(statement))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s: %s", statement, body)
	}
	var rows []map[string]any
	for decoder := json.NewDecoder(resp.Body); ; {
		decoder.UseNumber()
		var row map[string]any
		if err := decoder.Decode(&row); err == io.EOF {
			return rows
		} else if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
}

// one returns the only value of a query.
func (d database) one(t *testing.T, statement string) string {
	t.Helper()
	rows := d.query(t, statement)
	if len(rows) != 1 || len(rows[0]) != 1 {
		t.Fatalf("%s: %v", statement, rows)
	}
	for _, v := range rows[0] {
		return fmt.Sprint(v)
	}
	return ""
}

// wantRow compares a row with a JSON object.
func wantRow(t *testing.T, got map[string]any, want string) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(want))
	decoder.UseNumber()
	var fields map[string]any
	if err := decoder.Decode(&fields); err != nil {
		t.Fatal(err)
	}
	for name, value := range got {
		if name == "ingested_at" {
			continue
		}
		if wanted, ok := fields[name]; !ok {
			t.Errorf("column %s is not in the test", name)
		} else if !reflect.DeepEqual(value, wanted) {
			t.Errorf("%s is %#v, want %#v", name, value, wanted)
		}
		delete(fields, name)
	}
	for name := range fields {
		t.Errorf("there is no column %s", name)
	}
}

// wantAll fails the test unless an insert stored every row.
func wantAll(t *testing.T, refused []runstore.Refused, err error) {
	t.Helper()
	if err != nil || len(refused) > 0 {
		t.Fatalf("refused %v, %v", refused, err)
	}
}

var start = time.Date(2026, 1, 31, 10, 0, 0, 123_000_000, time.UTC)

// leastRun returns a run with only the fields that the contract requires.
func leastRun(id string) *runs.Run {
	return &runs.Run{WorkspaceID: "acme", RunID: id, Source: "recipe", AppID: "a1", Status: "running", StartedAt: start,
		UpdatedAt: start}
}

func leastNode(id string) *runs.Node {
	return &runs.Node{
		WorkspaceID: "acme", RunID: "r1", NodeRunID: id, Source: "recipe", AppID: "a1", NodeID: "solve", Status: "running",
		StartedAt: start, UpdatedAt: start,
	}
}

func leastFeedback(id string) *runs.Feedback {
	return &runs.Feedback{WorkspaceID: "acme", RunID: "r1", FeedbackID: id, Kind: "human", Rating: "thumbsUp",
		UpdatedAt: start}
}

func ptr[T any](v T) *T { return &v }
