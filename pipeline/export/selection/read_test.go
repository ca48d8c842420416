package selection

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

func dial(t testing.TB, dsn *clickhouse.DSN) *ch.Client {
	t.Helper()
	client, err := dsn.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func exec(t testing.TB, dsn *clickhouse.DSN, statements ...string) {
	t.Helper()
	conn, err := dsn.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, s := range statements {
		if err := conn.Exec(t.Context(), s); err != nil {
			t.Fatalf("%.200s: %v", s, err)
		}
	}
}

// insertRuns inserts run-full, which has feedback and a value in every column, and run-bare, which
// has only the required values.
var insertRuns = []string{
	`INSERT INTO runs (* EXCEPT superseded) SETTINGS async_insert = 0 VALUES
	('acme', 'run-full', 'recipe', 'invoices', 'Invoice reader', 'v3', 'req-1', 's-1', 'u-1', 'm-1', 't-1', 'webhook',
		'failed',
	 '2026-11-01 00:00:00.001', '2026-11-01 00:00:02.150', '2026-11-01 00:00:02.151999', 'What "is"\n due?', '12 €',
		'13 €',
	 '{"question":"\\n"}', '{"system":1}', '{"answer":12}', '[{"role":"user"}]', '[{"type":"function"}]', 'timeout', 'no answer',
	 [('f1','in.pdf','s3://b/in','application/pdf',1099511627776,'input'), ('f2','','','',NULL,'output')], 1200, 34,
		0.00042,
	 {'region':'eu','tier':'','żółw':'漢字'}, 'g', 'c', now64(6), 4),
	('acme', 'run-full', 'recipe', 'invoices', 'old', 'old', 'old', 'old', 'old', 'old', 'old', 'old', 'running',
	 '2026-11-01 00:00:00.001', NULL, '2026-11-01 00:00:01', 'old', 'old', 'old', '{}', '{}', '{}', '[]', '[]', 'old', 'old', [], 1, 1, 1, {}, 'old', 'old', now64(6), 2)`,
	`INSERT INTO runs (workspace_id, run_id, source, app_id, status, started_at, updated_at, version) SETTINGS async_insert = 0
	VALUES ('acme', 'run-bare', 'copilot', 'helper', 'running', '1970-01-01 00:00:00', '2199-12-31 23:59:59.999999', 2)`,
	`INSERT INTO feedback (workspace_id, run_id, feedback_id, name, kind, rating, score, comment, tags, corrected_answer, created_by, created_at, updated_at, version) SETTINGS async_insert = 0
	VALUES ('acme', 'run-full', 'a', '', 'human', 'thumbsUp', 1, 'old', ['old'], 'old', 'ann',
		'2026-11-01 00:00:00.5', '2026-11-01', 1),
	('acme', 'run-full', 'b', '', 'human', 'thumbsDown', 0.25, 'wrong sum', ['sum',''], '13 €', '', NULL, '2026-11-02', 3),
	('acme', 'run-full', 'c', 'helpful', 'model', 'thumbsUp', 0.75, '', [], '', 'judge-7', NULL, '2026-11-03', 5)`,
}

const (
	wantFull = `"run_id":"run-full","request_id":"req-1","source":"recipe","app_id":"invoices","app_name":"Invoice reader","app_version":"v3","session_id":"s-1","user_id":"u-1","trigger":"webhook","status":"failed","started_at":"2026-11-01T00:00:00.001Z","ended_at":"2026-11-01T00:00:02.150Z","updated_at":"2026-11-01T00:00:02.151Z","latency_ms":2149,"question":"What \"is\"\n due?","inputs":{"question":"\n"},"system_inputs":{"system":1},"messages":[{"role":"user"}],"tools":[{"type":"function"}],"answer":"12 €","outputs":{"answer":12},"reference":"13 €","error":{"type":"timeout","message":"no answer"},"files":[{"file_id":"f1","name":"in.pdf","uri":"s3://b/in","content_type":"application/pdf","size_bytes":1099511627776,"direction":"input"},{"file_id":"f2","name":null,"uri":null,"content_type":null,"size_bytes":null,"direction":"output"}],"feedback":{"rating":"thumbsDown","score":0.25,"comment":"wrong sum","tags":["sum",""],"corrected_answer":"13 €"},"scores":[{"name":"score","value":0.25,"label":null},{"name":"rating","value":0.0,"label":"thumbsDown"},{"name":"helpful","value":0.75,"label":"thumbsUp"}],"judgements":[],"model":"m-1","usage":{"input_tokens":1200,"output_tokens":34},"cost_usd":0.00042,"metadata":{"region":"eu","tier":"","żółw":"漢字"},"trace_id":"t-1"}`
	wantBare = `"run_id":"run-bare","request_id":null,"source":"copilot","app_id":"helper","app_name":null,"app_version":null,"session_id":null,"user_id":null,"trigger":null,"status":"running","started_at":"1970-01-01T00:00:00.000Z","ended_at":null,"updated_at":"2199-12-31T23:59:59.999Z","latency_ms":null,"question":null,"inputs":null,"system_inputs":null,"messages":null,"tools":null,"answer":null,"outputs":null,"reference":null,"error":null,"files":[],"feedback":null,"scores":[],"judgements":[],"model":null,"usage":null,"cost_usd":null,"metadata":{},"trace_id":null}`
)

// records collects rows as the canonical records of a data set, which have every field, less their
// ids.
type records struct {
	formatter format.RowFormatter
	lines     []string
}

func newRecords(t testing.TB) *records {
	t.Helper()
	f, err := targets.New(format.ExportDataset, record.Canonical, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &records{formatter: f.(format.RowFormatter)}
}

func (r *records) add(row *record.Row) error {
	line, _, err := r.formatter.Append(nil, row)
	_, line2, _ := strings.Cut(string(line), ",")
	r.lines = append(r.lines, line2)
	return err
}

func TestRowsAreReadAsTheyWereInserted(t *testing.T) {
	t.Parallel()
	dsn := clickhousetest.Database(t)
	exec(t, dsn, insertRuns...)
	client := dial(t, dsn)
	for name, from := range map[string]string{
		"one relation": "SELECT " + RowColumns("", "") + " FROM runs_with_feedback",
		"two relations": "SELECT " + RowColumns("r.", "f.") + ` FROM (SELECT * FROM runs FINAL) AS r LEFT JOIN (
			SELECT run_id, feedback_id, feedback_rating, feedback_score, feedback_comment, feedback_tags,
			feedback_corrected_answer, feedback_scores FROM runs_with_feedback) AS f ON r.run_id = f.run_id`,
		"texts for words": "SELECT " + RowColumns("", "") +
			` FROM (SELECT * REPLACE (toString(source) AS source, toString(app_id) AS app_id,
			toString(status) AS status, toString(model) AS model) FROM runs_with_feedback)`,
	} {
		got := newRecords(t)
		// The two rows alternate, so that a value left over from the row before would be found.
		rows, err := ReadRows(t.Context(), client, RowQuery{Query: clickhouse.Query{
			SQL:      from + " ORDER BY row_run_id DESC",
			Settings: append(ReadSettings("a test", time.Minute, 0), ch.SettingInt("max_block_size", 1)),
		}}, got.add)
		if err != nil || rows != 2 {
			t.Fatalf("%s: %d rows, %v", name, rows, err)
		}
		for i, want := range []string{wantFull, wantBare} {
			if got.lines[i] != want {
				t.Errorf("%s: got\n%s\nwant\n%s", name, got.lines[i], want)
			}
		}
	}
}

func TestARowLeavesNothingInTheNext(t *testing.T) {
	t.Parallel()
	dsn := clickhousetest.Database(t)
	exec(t, dsn, insertRuns...)
	got := newRecords(t)
	rows, err := ReadRows(t.Context(), dial(t, dsn), RowQuery{Query: clickhouse.Query{
		SQL: "SELECT " + RowColumns("r.", "r.") +
			` FROM (SELECT * FROM runs_with_feedback AS a CROSS JOIN numbers(3000) AS n) AS r
			ORDER BY cityHash64(r.run_id, r.number)`,
		Settings: ReadSettings("a test", time.Minute, 0),
	}}, got.add)
	if err != nil || rows != 6000 {
		t.Fatalf("%d rows, %v", rows, err)
	}
	full := 0
	for i, line := range got.lines {
		switch line {
		case wantFull:
			full++
		case wantBare:
		default:
			t.Fatalf("row %d is\n%s", i, line)
		}
	}
	if full != 3000 {
		t.Errorf("%d full rows", full)
	}
}

func TestEveryFieldOfTheRowIsRead(t *testing.T) {
	t.Parallel()
	dsn := clickhousetest.Database(t)
	exec(t, dsn, insertRuns...)
	_, err := ReadRows(t.Context(), dial(t, dsn), RowQuery{Query: clickhouse.Query{
		SQL: "SELECT " + RowColumns("", "") + " FROM runs_with_feedback WHERE run_id = 'run-full'",
	}}, func(row *record.Row) error {
		for _, v := range []reflect.Value{reflect.ValueOf(*row), reflect.ValueOf(row.Execution),
			reflect.ValueOf(row.Feedback), reflect.ValueOf(row.Files[0])} {
			for i := range v.NumField() {
				switch name := v.Type().Field(i).Name; name {
				case "Node", "Nodes", "TooLarge", "Comparison", "Group", "Split", "InputGroup", "CorrectionOnNode": // of wide rows
				case "Judgements": // of rows that need them
				default:
					if v.Field(i).IsZero() {
						t.Errorf("%s.%s is not read", v.Type(), name)
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// numbered is a query of n runs with the numbers as ids, in any order. Rest may filter by number,
// or order.
func numbered(n int, rest string) string {
	return fmt.Sprintf(`SELECT %s FROM (
		SELECT r.* REPLACE (toString(number) AS run_id, concat('app-', toString(number)) AS app_id,
			repeat(toString(number %% 10), 200) AS question, hex(SHA512(toString(number))) AS answer)
		FROM numbers(%d) AS n CROSS JOIN (SELECT * FROM runs_with_feedback WHERE run_id = 'run-full') AS r %s)`,
		RowColumns("", ""), n, rest)
}

func TestRowsOfManyBlocksComeInOrder(t *testing.T) {
	t.Parallel()
	dsn := clickhousetest.Database(t)
	exec(t, dsn, insertRuns...)
	client := dial(t, dsn)
	// words with indexes of 8, 16 and 32 bits
	for _, size := range []struct{ block, rows int }{{100, 2000}, {1000, 5000}, {100_000, 70_000}} {
		block, n := size.block, size.rows
		next := 0
		rows, err := ReadRows(t.Context(), client, RowQuery{Query: clickhouse.Query{
			SQL:      numbered(n, "ORDER BY number"),
			Settings: append(ReadSettings("a test", time.Minute, 0), ch.SettingInt("max_block_size", block)),
		}, reader: func() *rowReader {
			r := newRowReader()
			r.room.whole = true // a block of so many rows is large
			return r
		}}, func(row *record.Row) error {
			if id := fmt.Sprint(next); string(row.RunID) != id || string(row.AppID) != "app-"+id || len(row.Question) != 200 ||
				row.Question[7] != id[len(id)-1] {
				return fmt.Errorf("row %d is %s of %s", next, row.RunID, row.AppID)
			}
			next++
			return nil
		})
		if err != nil || rows != n {
			t.Errorf("blocks of %d: %d rows, %v", block, rows, err)
		}
	}
}

func TestAQueryWithoutRowsIsNoError(t *testing.T) {
	t.Parallel()
	dsn := clickhousetest.Database(t)
	rows, err := ReadRows(t.Context(), dial(t, dsn), RowQuery{Query: clickhouse.Query{SQL: numbered(10, "")}},
		func(*record.Row) error {
			return errors.New("called")
		})
	if rows != 0 || err != nil {
		t.Errorf("%d rows, %v", rows, err)
	}
}

func TestReadSettingsLimitTheQuery(t *testing.T) {
	t.Parallel()
	dsn := clickhousetest.Database(t)
	exec(t, dsn, insertRuns...)
	settings := func(limit time.Duration, more ...ch.Setting) []ch.Setting {
		return append(ReadSettings("a test", limit, 0), more...)
	}
	for _, test := range []struct {
		name, sql string
		settings  []ch.Setting
		code      proto.Error
	}{
		{"no write", "INSERT INTO runs (run_id) VALUES ('x')", settings(time.Minute), 164},
		{"no time left", numbered(10, "WHERE sleepEachRow(0.25) = 0"), settings(time.Second), 159},
		{"too many rows to read", numbered(100_000, ""), settings(time.Minute, ch.SettingInt("max_rows_to_read", 1000)), 158},
		{"too many rows in the result", numbered(100_000, ""), settings(time.Minute, ch.SettingInt("max_result_rows", 1000)),
			396},
		{"too much memory", strings.Replace(numbered(1000, ""), "200)", "1000000)", 1),
			settings(time.Minute, ch.SettingInt("max_memory_usage", 100<<20)), 241},
	} {
		rows, err := ReadRows(t.Context(), dial(t, dsn), RowQuery{Query: clickhouse.Query{SQL: test.sql,
			Settings: test.settings}}, func(*record.Row) error { return nil })
		if clickhouse.Code(err) != test.code {
			t.Errorf("%s: %d rows, %v", test.name, rows, err)
		}
	}
}

func TestAColumnOfAnotherTypeIsRefused(t *testing.T) {
	t.Parallel()
	dsn := clickhousetest.Database(t)
	exec(t, dsn, insertRuns...)
	for _, replacement := range []string{
		"toString(feedback_score) AS feedback_score", "toNullable(question) AS question", "toFloat32(cost_usd) AS cost_usd",
		"CAST([], 'Array(Tuple(file_id String, name String))') AS files", "CAST(map(), 'Map(String, String)') AS metadata",
		"toUInt64(usage_input_tokens) AS usage_input_tokens", "CAST([], 'Array(UInt8)') AS feedback_tags",
		"toDateTime(ended_at) AS ended_at",
	} {
		rows, err := ReadRows(t.Context(), dial(t, dsn), RowQuery{Query: clickhouse.Query{
			SQL: "SELECT " + RowColumns("", "") + " FROM (SELECT * REPLACE (" + replacement + ") FROM runs_with_feedback)",
		}}, func(*record.Row) error { return nil })
		if err == nil {
			t.Errorf("%s: read %d rows", replacement, rows)
		}
	}
}

func BenchmarkReadRows(b *testing.B) {
	dsn := clickhousetest.Database(b)
	const n = 30_000 // a window
	exec(b, dsn, fmt.Sprintf(
		`INSERT INTO runs (workspace_id, run_id, source, app_id, app_name, app_version, status, started_at, ended_at, updated_at,
		question, inputs, answer, outputs, reference, model, metadata, version) SETTINGS async_insert = 0
		SELECT 'acme', toString(generateUUIDv4()), 'recipe', 'math', 'Math tutor', concat('v', toString(number %% 4)),
			'succeeded',
		toDateTime64('2026-11-01', 3) + number AS at, at + 2, at + 2, randomPrintableASCII(250),
			concat('{"question":"', hex(randomString(125)), '"}'),
		randomPrintableASCII(250), '{"answer":"360"}', randomPrintableASCII(150), 'm', map('item', toString(number)), 1 FROM numbers(%d)`, n))
	query := RowQuery{Query: clickhouse.Query{
		SQL: "SELECT " + RowColumns("", "") +
			` FROM (SELECT *, 'f' AS feedback_id, 'thumbsUp' AS feedback_rating, toNullable(toFloat64(1)) AS feedback_score,
			'' AS feedback_comment, CAST([], 'Array(String)') AS feedback_tags, '' AS feedback_corrected_answer FROM runs FINAL)
			ORDER BY workspace_id, source, app_id, started_at, run_id`,
		Settings: ReadSettings("a benchmark", time.Minute, 0),
	}}
	client := dial(b, dsn)
	formatter := newRecords(b).formatter
	for _, what := range []string{"read", "read and format"} {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				rows, err := ReadRows(b.Context(), client, query, func(row *record.Row) (err error) {
					if what != "read" {
						buf, _, err = formatter.Append(buf[:0], row)
					}
					return err
				})
				if rows != n || err != nil {
					b.Fatalf("%d rows, %v", rows, err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
