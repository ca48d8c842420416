// Package clickhouse holds the ClickHouse schema: numbered migrations, NNNN_name.sql, applied in
// order by pipeline/clickhouse. A file that has been released never changes; the next change is a
// new file.
//
// The files are text/template templates, so that the same ones serve a single server and a cluster:
//
//	{{on_cluster}}                    "" or ON CLUSTER '…'
//	{{table "runs"}}                  the name of the table that holds the rows: runs, or runs_shard on a cluster
//	{{merge_tree}}                    MergeTree or ReplicatedMergeTree
//	{{replacing_merge_tree "v"}}      ReplacingMergeTree(v) or ReplicatedReplacingMergeTree(…, v)
//	{{distributed "runs" "hash"}}     nothing, or the Distributed table over the shards
//	{{comments_of "runs"}}            clauses of ALTER TABLE that give a view's columns that table's comments
//
// Statements end with a semicolon at the end of a line. Every statement can be repeated.
package clickhouse

import "embed"

// Migrations are the SQL files.
//
//go:embed *.sql
var Migrations embed.FS
