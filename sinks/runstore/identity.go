package runstore

import (
	"context"
	"fmt"
	"slices"
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

// moved returns the query for those identities in batchTable that were stored with several sort keys. They are
// few, as a rule none, and the query takes half the time of the statement that hides.
func (i *identity) moved() string {
	id := strings.Join(i.columns, ", ")
	texts := make([]string, len(i.columns))
	for n, c := range i.columns {
		texts[n] = "CAST(" + c + ", 'String')"
	}
	key := "cityHash64(" + strings.Join(i.key, ", ") + ")" // compared faster than the columns
	return "SELECT " + strings.Join(texts, ", ") + " FROM " + i.keys + "\nWHERE (" + id + ") IN (SELECT " + id + " FROM " +
		batchTable + ")\nGROUP BY " + id + " HAVING min(" + key + ") != max(" + key + ")"
}

// hide returns the statement that hides the superseded rows of the identities in batchTable.
//
// The newest row of an identity has the greatest version, and among equals the greatest key. A row that
// hides has a version below that of the newest row, so that a row which becomes the newest later is not
// hidden at its key, whenever it is inserted; and at least the version of the rows that it hides. Where the
// two are equal it has to be inserted later than they, which this statement is; so it is repeated with them.
func (i *identity) hide() string {
	id, key := strings.Join(i.columns, ", "), strings.Join(i.key, ", ")
	return "INSERT INTO " + i.table + " (" + id + ", " + key + ", version, superseded)\n" +
		"SELECT " + id + ", " + key + ", greatest(newest.1, stored + 1) - 1, true\nFROM\n(\n" +
		"    SELECT " + id + ", " + key + ",\n" +
		"        maxIf(version, NOT superseded) AS stored, maxIf(version, superseded) AS hidden,\n" +
		"        max((stored, " + key + ")) OVER (PARTITION BY " + id + ") AS newest\n" +
		"    FROM " + i.keys + "\n    WHERE (" + id + ") IN (SELECT " + id + " FROM " + batchTable + ")\n" +
		"    GROUP BY " + id + ", " + key + "\n)\n" +
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
	batch := make([]*proto.ColStr, len(t.identity.columns))
	for n, name := range t.identity.columns {
		value := columns.Text(t.columns, name)
		for batch[n] = new(proto.ColStr); batch[n].Rows() < len(rows); {
			batch[n].Append(value(rows[batch[n].Rows()]))
		}
	}
	err := t.dsn.Timer().Time(ctx, queryHide, func() error {
		moved, err := t.moved(ctx, batch)
		if err != nil || moved[0].Rows() == 0 {
			return err
		}
		if t.onMoved != nil {
			t.onMoved(moved[0].Rows())
		}
		query := t.identity.query(t.identity.hide(), moved)
		query.Settings = slices.Concat(query.Settings, t.quorum)
		return clickhouse.Do(ctx, t.client, query)
	})
	if err == nil {
		return nil
	}
	t.disconnect()
	if clickhouse.Classify(err) == clickhouse.Row { // no row of the batch is to blame
		err = fmt.Errorf("%w: drop the constraint on the table that refuses them: %w", clickhouse.ErrSchema, err)
	}
	return fmt.Errorf("insert rows into %s that hide superseded ones: %w", t.name, err)
}

// moved returns the identities of a batch that were stored with several sort keys.
func (t *table[R]) moved(ctx context.Context, batch []*proto.ColStr) ([]*proto.ColStr, error) {
	query := t.identity.query(t.identity.moved(), batch)
	// A batch of ids that are in order is in few granules: threads would cost more than they read.
	query.Settings = append(hideSettings[:len(hideSettings):len(hideSettings)], ch.SettingInt("max_threads", 1))
	moved, block, result := make([]*proto.ColStr, len(batch)), make([]*proto.ColStr, len(batch)), proto.Results{}
	for n := range batch {
		moved[n], block[n] = new(proto.ColStr), new(proto.ColStr)
		result = append(result, proto.ResultColumn{Data: block[n]})
	}
	query.Result = result
	query.OnResult = func(context.Context, proto.Block) error {
		for n, texts := range block {
			for row := range texts.Rows() {
				moved[n].Append(texts.Row(row))
			}
		}
		return nil
	}
	return moved, clickhouse.Do(ctx, t.client, query)
}

// query returns a query with identities in batchTable.
func (i *identity) query(body string, batch []*proto.ColStr) ch.Query {
	query := ch.Query{Body: body, ExternalTable: batchTable, Settings: hideSettings}
	for n, name := range i.columns {
		query.ExternalData = append(query.ExternalData, proto.InputColumn{Name: name, Data: batch[n]})
	}
	return query
}
