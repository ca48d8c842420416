package fragment_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/local/localtest"
	"github.com/millrace/millrace/sinks/fragment"
)

// node runs a script of .ci/npm and returns the rows that it prints. Without the packages the test
// is skipped, or fails if CI=true.
func node(t *testing.T, script string, args ...string) (rows []map[string]any) {
	t.Helper()
	dir, err := filepath.Abs("../../.ci/npm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "@duckdb")); err != nil {
		missing(t, "no DuckDB and hyparquet: run npm ci --prefix .ci/npm, as make test does")
	}
	cmd := exec.Command("node", append([]string{filepath.Join(dir, script)}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", script, args, err, stderr.Bytes())
	}
	return decodeLines(t, out)
}

func missing(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

func decodeLines(t *testing.T, text []byte) (rows []map[string]any) {
	t.Helper()
	for line := range bytes.Lines(text) {
		var row map[string]any
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatalf("%v in %.200s", err, line)
		}
		rows = append(rows, row)
	}
	return rows
}

func TestHyparquetReadsEveryValueOfParquet(t *testing.T) {
	t.Parallel()
	for _, set := range fragment.Suite(t) {
		for _, compression := range []string{fragment.Uncompressed, fragment.Gzip, fragment.Zstd} {
			t.Run(set.Name+"/"+compression, func(t *testing.T) {
				t.Parallel()
				path := write(t, fragment.Parquet, compression, set)
				rows := node(t, "hyparquet.mjs", path)
				if len(rows) != len(set.Records) {
					t.Fatalf("%d rows of %d", len(rows), len(set.Records))
				}
				for i, record := range set.Records {
					var want map[string]any
					if err := json.Unmarshal(record, &want); err != nil {
						t.Fatal(err)
					}
					if !reflect.DeepEqual(rows[i], want) {
						t.Fatalf("row %d is\n%.900v, want\n%.900v", i, rows[i], want)
					}
				}
			})
		}
	}
}

// sums are the values on which all readers must agree, as expressions for both DuckDB and
// ClickHouse.
const sums = `count(*) AS n, count(DISTINCT run_id) AS ids,
	sum(CAST(latency_ms AS BIGINT)) AS latency, sum(CAST(cost_usd AS DOUBLE)) AS cost,
	sum(length(question)) AS letters, count(request_id) AS requests, count(session_id) AS sessions,
	CAST(min(started_at) AS VARCHAR) AS first, CAST(max(started_at) AS VARCHAR) AS last`

func TestDuckDBAndClickHouseAgreeOnCountsAndSums(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("readers are other programs: it runs without -short")
	}
	set := fragment.Runs(t, 12_000)
	want := expected(t, set.Records)
	for _, format := range []string{fragment.JSONL, fragment.JSON, fragment.CSV, fragment.Parquet} {
		for _, compression := range []string{fragment.Uncompressed, fragment.Gzip, fragment.Zstd} {
			path := write(t, format, compression, set)
			t.Run("DuckDB/"+format+"/"+compression, func(t *testing.T) {
				t.Parallel()
				reader := map[string]string{"jsonl": "read_json('%s', sample_size = -1)",
					"json": "read_json('%s', sample_size = -1)",
					"csv":  "read_csv('%s', all_varchar = true)", "parquet": "read_parquet('%s')"}[format]
				rows := node(t, "duckdb", "-c", "SELECT "+sums+" FROM "+fmt.Sprintf(reader, path))
				same(t, format, rows, want)
			})
			t.Run("ClickHouse/"+format+"/"+compression, func(t *testing.T) {
				t.Parallel()
				name := map[string]string{"jsonl": "JSONEachRow", "json": "JSONEachRow", "csv": "CSVWithNames",
					"parquet": "Parquet"}[format]
				same(t, format, clickhouse(t, "SELECT "+strings.ReplaceAll(sums, "length(", "lengthUTF8(")+" FROM file('"+
					localtest.ClickHouse(t).File(t, path)+"', '"+name+"') FORMAT JSONEachRow"), want)
			})
		}
	}
}

// same compares sums.
func same(t *testing.T, format string, rows []map[string]any, want map[string]string) {
	t.Helper()
	if len(rows) != 1 {
		t.Fatalf("%d rows", len(rows))
	}
	for name, value := range want {
		got := fmt.Sprint(rows[0][name])
		switch name {
		case "cost":
			got = fmt.Sprintf("%.4f", rows[0][name])
		case "first", "last":
			got = plainTime(got)
		case "requests", "sessions":
			if format == fragment.CSV {
				continue // not every reader reads an empty cell as null
			}
		}
		if got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
}

// plainTime returns a time as all readers write it: without T, zone and trailing zeros.
func plainTime(s string) string {
	return strings.TrimRight(strings.TrimSuffix(strings.NewReplacer("T", " ", "Z", "").Replace(s), "+00"), "0.")
}

// clickhouse runs a query on the embedded server.
func clickhouse(t *testing.T, query string) []map[string]any {
	t.Helper()
	server := localtest.ClickHouse(t)
	resp, err := http.Post(server.HTTPURL+"/?"+url.Values{"output_format_json_quote_64bit_integers": {
		"1"}}.Encode(), "text/plain", strings.NewReader(query))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", resp.Status, body, err)
	}
	return decodeLines(t, body)
}

// expected computes the sums with encoding/json.
func expected(t *testing.T, records [][]byte) map[string]string {
	t.Helper()
	ids := map[string]bool{}
	var latency, letters, requests, sessions int
	var cost float64
	first, last := "9999", ""
	for _, record := range records {
		var r struct {
			RunID     string  `json:"run_id"`
			RequestID *string `json:"request_id"`
			SessionID *string `json:"session_id"`
			LatencyMS int     `json:"latency_ms"`
			CostUSD   float64 `json:"cost_usd"`
			Question  string  `json:"question"`
			StartedAt string  `json:"started_at"`
		}
		if err := json.Unmarshal(record, &r); err != nil {
			t.Fatal(err)
		}
		ids[r.RunID] = true
		latency += r.LatencyMS
		letters += len([]rune(r.Question))
		cost += r.CostUSD
		first, last = min(first, r.StartedAt), max(last, r.StartedAt)
		if r.RequestID != nil {
			requests++
		}
		if r.SessionID != nil {
			sessions++
		}
	}
	return map[string]string{"n": fmt.Sprint(len(records)), "ids": fmt.Sprint(len(ids)), "latency": fmt.Sprint(latency),
		"cost":    fmt.Sprintf("%.4f", cost),
		"letters": fmt.Sprint(letters), "requests": fmt.Sprint(requests), "sessions": fmt.Sprint(sessions),
		"first": plainTime(first), "last": plainTime(last)}
}

// write writes a fragment to a new file.
func write(t *testing.T, format, compression string, set fragment.Set) string {
	t.Helper()
	e, err := fragment.NewEncoder(format, compression, set.Settings)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "fragment."+e.Extension())
	if err := os.WriteFile(path, fragment.Encode(t, e, set.Records), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
