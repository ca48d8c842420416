package columns_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/columns"
)

// filledByServer are the columns that inserts of events leave out.
var filledByServer = []string{"ingested_at DateTime64(6, 'UTC')", "superseded Bool"}

func TestTheListsAreTheColumnsOfTheMigratedTables(t *testing.T) {
	t.Parallel()
	conn, err := clickhousetest.Database(t).Open()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for table, want := range map[string][]string{
		"runs": described(columns.Runs), "nodes": described(columns.Nodes), "feedback": described(columns.Feedback),
	} {
		var got []string
		rows, err := conn.Query(t.Context(), "SELECT concat(name, ' ', type) FROM system.columns "+
			"WHERE database = currentDatabase() AND table = '"+table+"' ORDER BY position")
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var column string
			if err := rows.Scan(&column); err != nil {
				t.Fatal(err)
			}
			got = append(got, column)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		rows.Close()
		got = slices.DeleteFunc(got, func(c string) bool { return slices.Contains(filledByServer, c) })
		if !slices.Equal(got, want) {
			t.Errorf("table %s has the columns\n%q, the list has\n%q", table, got, want)
		}
	}
}

// described returns the name and type of each column.
func described[R any](list []columns.Column[R]) (lines []string) {
	for _, c := range list {
		lines = append(lines, fmt.Sprint(c.Name, " ", c.Type))
	}
	return lines
}
