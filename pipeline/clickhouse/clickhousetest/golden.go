package clickhousetest

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/clickhouse"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Golden is a file of generated queries, so that each can be read whole.
type Golden struct {
	names   []string
	queries []clickhouse.Query
}

// Add adds a query under a name. A query without text does not exist, and is left out.
func (g *Golden) Add(name string, q clickhouse.Query) {
	if q.SQL != "" {
		g.names, g.queries = append(g.names, name), append(g.queries, q)
	}
}

// Text returns the file: each query below its name and parameters.
func (g *Golden) Text() []byte {
	var b bytes.Buffer
	for i, q := range g.queries {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "-- %s\n", g.names[i])
		for _, name := range slices.Sorted(maps.Keys(q.Parameters)) {
			fmt.Fprintf(&b, "-- %s = %s\n", name, q.Parameters[name])
		}
		b.WriteString(q.SQL + ";\n")
	}
	return b.Bytes()
}

// CompareGoldens holds queries against testdata/NAME.sql, and fails for a file without queries.
// With the flag -update it writes the files instead: see `make golden`.
func CompareGoldens(t *testing.T, goldens map[string]*Golden) {
	t.Helper()
	for name, g := range goldens {
		path := filepath.Join("testdata", name+".sql")
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, g.Text(), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if want, err := os.ReadFile(path); err != nil || !bytes.Equal(g.Text(), want) {
			t.Errorf("%s differs from the queries of today, %v: look at them with `make golden` and git diff", path, err)
		}
	}
	found, err := filepath.Glob("testdata/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		if name := strings.TrimSuffix(filepath.Base(path), ".sql"); goldens[name] == nil {
			if *update {
				os.Remove(path)
				continue
			}
			t.Errorf("nothing generates the queries of %s: delete it", path)
		}
	}
}

// RunGoldens runs each query once, on tables without rows. With -short it skips the test.
func RunGoldens(t *testing.T, goldens map[string]*Golden) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: hundreds of queries are work for ClickHouse only")
	}
	conn, err := Database(t).Open()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for name, g := range goldens {
		for i, q := range g.queries {
			if err := run(t, conn, q); err != nil {
				t.Errorf("%s, %s: %v", name, g.names[i], err)
			}
		}
	}
}

const goldenMemory = 1 << 30 // bytes

func run(t *testing.T, conn driver.Conn, q clickhouse.Query) error {
	if strings.HasPrefix(q.SQL, "INSERT") {
		q.Settings = clickhouse.InsertSettings("test", time.Minute, goldenMemory)
		return conn.Exec(q.Context(t.Context()), q.SQL)
	}
	q.Settings = append(clickhouse.ReadSettings("test", time.Minute, goldenMemory), ch.SettingInt("max_threads", 1))
	rows, err := conn.Query(q.Context(t.Context()), q.SQL)
	if err != nil {
		return err
	}
	for rows.Next() { // there are none: the tables are empty
	}
	return rows.Close()
}
