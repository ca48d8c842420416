package runstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/columns"
)

// A run is one run, whatever the other columns of the table's sort key say. ClickHouse replaces rows of the
// same sort key only. So after each insert, the store looks which rows of these runs have other sort keys,
// and hides all but the newest: it inserts a row with superseded = true at each other key. Node runs too.
//
// A materialized view writes the sort key of each row into a narrow table, within the insert of the row. So
// each process writes its keys before it looks, and of two processes that store the same run at once, at
// least one sees both keys. What it does is decided by all keys and versions, so that the order of inserts
// does not matter, nor does it when they are repeated.
type identity struct {
	table   string   // of the rows
	keys    string   // table of their sort keys
	columns []string // of the identity
	key     []string // the rest of the sort key
}

var (
	runIdentity = &identity{"runs", "run_keys", []string{"workspace_id", "run_id"},
		[]string{"source", "app_id", "started_at"}}
	nodeIdentity = &identity{"nodes", "node_keys", []string{"workspace_id", "run_id", "node_run_id"},
		[]string{"source", "app_id", "node_id", "started_at"}}
)

// batchTable is the name of the temporary table that has the identities of a batch.
const batchTable = "batch"

// hide returns the statement that hides the superseded rows of the identities in batchTable.
//
// The newest row of an identity has the greatest version, and among equals the greatest key. A row that
// hides has a version below that of the newest row, so that a row which becomes the newest later is not
// hidden at its key, whenever it is inserted; and at least the version of the rows that it hides. Where the
// two are equal it has to be inserted later than they, which this statement is; so it is repeated with them.
func (i *identity) hide() string {
	id, key := strings.Join(i.columns, ", "), strings.Join(i.key, ", ")
	several := make([]string, len(i.key))
	for n, c := range i.key {
		several[n] = "min(" + c + ") != max(" + c + ")"
	}
	return "INSERT INTO " + i.table + " (" + id + ", " + key + ", version, superseded)\n" +
		"SELECT " + id + ", " + key + ", greatest(newest.1, stored + 1) - 1, true\nFROM\n(\n" +
		"    SELECT " + id + ", " + key + ",\n" +
		"        maxIf(version, NOT superseded) AS stored, maxIf(version, superseded) AS hidden,\n" +
		"        max((stored, " + key + ")) OVER (PARTITION BY " + id + ") AS newest\n" +
		"    FROM " + i.keys + "\n    WHERE (" + id + ") IN\n    (\n" +
		"        SELECT " + id + " FROM " + i.keys + " WHERE (" + id + ") IN (SELECT " + id + " FROM " + batchTable + ")\n" +
		"        GROUP BY " + id + " HAVING " + strings.Join(several, " OR ") + "\n" +
		"    )\n    GROUP BY " + id + ", " + key + "\n)\n" +
		"WHERE newest != (stored, " + key + ") AND hidden <= stored"
}

// hideSettings are the settings of hide. The tables of rows and keys have the same shards. A shard that executes
// the whole statement would do so on any of its replicas.
var hideSettings = append(settings[:len(settings):len(settings)],
	ch.Setting{Key: "distributed_product_mode", Value: "local"},
	ch.SettingInt("parallel_distributed_insert_select", 0))

// hideSuperseded leaves only the newest snapshot of each of these rows visible, whatever its sort key.
// After an error it is safe to insert the rows and to hide again.
func (t *table[R]) hideSuperseded(ctx context.Context, rows []*R) error {
	if len(rows) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()
	if err := t.connect(ctx); err != nil {
		return err
	}
	query := ch.Query{Body: t.identity.hide(), ExternalTable: batchTable, Settings: hideSettings}
	for _, name := range t.identity.columns {
		column, value := new(proto.ColStr), columns.Text(t.columns, name)
		for _, row := range rows {
			column.Append(value(row))
		}
		query.ExternalData = append(query.ExternalData, proto.InputColumn{Name: name, Data: column})
	}
	err := t.dsn.Timer().Time(queryHide, func() error { return clickhouse.Do(ctx, t.client, query) })
	if err == nil {
		return nil
	}
	t.disconnect()
	if clickhouse.Classify(err) == clickhouse.Row { // no row of the batch is to blame
		err = fmt.Errorf("%w: drop the constraint on the table that refuses them: %w", clickhouse.ErrSchema, err)
	}
	return fmt.Errorf("insert rows into %s that hide superseded ones: %w", t.name, err)
}
