// Package pipeline is the stream from runs to data sets. It has no code of its own; this is the map.
//
// Two words of the domain. A copilot is a conversational assistant. A recipe is a workflow of nodes
// (prompt, retrieval, tool, code, …), often started by a webhook. Each execution of either is a run; each
// node's execution inside it is a node run.
//
// # The flow
//
//	                   Kafka                                          ClickHouse
//	producers ──▶ millrace.runs ───────▶ ingest ─────────────────▶ runs, nodes, feedback
//	                                       └─▶ millrace.dead-letters        │
//	                                                                        │ the selection: counted,
//	producers ──▶ millrace.export-requests ──▶ plan ◀──────────────────────▶│ or staged, once
//	CLI, HTTP                                   │                           │
//	                 ┌── the first windows ─────┤ cancel, refusal, empty    │ rows of one window, streamed
//	                 ▼                          │                           │
//	    millrace.export-windows ──▶ extract ◀───┼───────────────────────────┘
//	                 ▲                 │  ╲     │   format → encode → fragments ──▶ object store
//	 the next window │                 ▼        ▼
//	                 │        millrace.export-results ──▶ seal ── manifest.json ──▶ object store
//	                 └──────────────────────────────────────┤
//	                           ┌────────────────────────────┤
//	                           ▼                            ▼
//	                millrace.export-progress     millrace.export-completions ──▶ whoever asked
//	                           └─────────────┬──────────────┘
//	                                         ▼
//	                                       track ──▶ ClickHouse export_events ──▶ exports view, HTTP, pages, CLI
//
// Every stage has the same shape: consume, do one thing, produce. A stage is a package; its name is the
// verb. One binary runs any of them: `millrace ingest`, `millrace export` (plan, extract, seal, track), beside them `millrace serve` (HTTP and pages), and
// `millrace local`, which is everything in one process on embedded services.
//
// # The life of a run
//
// A producer publishes an event to topic runs. [ingest] polls it with others, and takes the record apart
// with [event], whichever of three ways it is written in. [runs] decodes the data with [strictjson], which
// refuses what the contract refuses; such a record becomes a dead letter. [runstore] inserts a batch as
// columns, one block a table. Only then are offsets committed. An analyst reads the row in runs_latest.
//
// When somebody asks for an export, plan writes the SQL of the selection ([clickhouse]). If its rows fit one
// window, extract reads that very selection; otherwise plan freezes it, keys and feedback of runs in table
// export_stage, whole rows of what is grouped or about nodes in export_stage_rows, and cuts the stage into windows, on the borders of groups.
// extract streams a window's rows in columns, format turns them into the records of a target, each in its split and
// held against the rules of its reader, fragment rolls records into files, and bucket makes the files visible, whole.
// seal writes the sidecars and the manifest, which is what makes them an export, sends the one completion, and drops the stage. What
// comes into the folder of an export after its end, from a process that was paused, the janitor removes.
//
// Who asks by HTTP meets [auth] first, which names one workspace, and then api, which checks the request and files it in Kafka. How the export
// is, [live] knows: it consumes the topics of requests, progress and completions, from where the stages have put them into ClickHouse and the bucket, and lays what
// they tell over what is there. A read waits for the requests that were filed before it, so that every server knows what was filed with
// another. What the History page shows, [history] reads.
//
// # Files
//
//	strictjson/    JSON, read in one pass with every refusal of the contract            (pure)
//	event/         CloudEvents 1.0 ⇄ Kafka record; dead letters; the topics
//	runs/          Run, Node, Feedback: types, decoding, checks                         (pure)
//	sample/        the seeded generator of plausible runs                               (pure)
//	chatlog/       logs of chats in OpenAI's shape, as run events                       (pure)
//	ingest/        stage
//	export/        Request, Plan, Window, Result, Manifest, Completion: types, checks   (pure)
//	  format/        one file per target; its guide says how to add one                 (pure)
//	  folder/        an export's create-only documents in the bucket
//	  dataset/       an export that has ended: its records, download, verify, delete
//	  message/       the records that the export stages send each other
//	  plan/ extract/ seal/ track/   stages; seal/ has the janitor too
//	stage/         the consume → work → produce loop that plan, extract and seal share
//	clickhouse/    connections, migrations, selection SQL, window reader, error classes
//	produce/       the door of those who publish run events: CLI and HTTP
//	api/           HTTP: the routes, files, what stands before them
//	  auth/        who calls: tokens, keys, workspaces, scopes
//	  live/        exports as they are now: topics over ClickHouse and bucket
//	  history/     runs, node runs and apps, read for people
//	  pages/       the handlers of the pages
//	local/         the embedded Kafka and ClickHouse of `millrace local` and of tests
//	../sinks/runstore    columnar inserts into ClickHouse
//	../sinks/fragment    encoders and their readers; rolling by records and bytes
//	../sinks/bucket      object store on file, S3 and memory: atomic create-only writes, listing, ranges, signed URLs
//	../schemas/          what users rely on: ClickHouse migrations, JSON Schemas, AsyncAPI
//	../dashboards/web/   templates, styles and scripts of the pages
//	../cmd/millrace/     one file per role holds its picture and its wiring; config.go
//
// Imports point downwards only; the linter checks the arrows.
//
// # Invariants
//
// They are cited by number where they are enforced.
//
//  1. An offset is committed only after its records are in ClickHouse or in the dead-letter topic.
//  2. A run seen many times is one run: rows are idempotent, and every read that users see is deduplicated.
//  3. Windows partition the selection: no run in two, none between them.
//  4. A fragment is visible whole or not at all; its key is never reused by another attempt.
//  5. A cut stream is an error: a window whose query did not end cleanly publishes nothing.
//  6. The manifest is the commit point. What it lists exists, with that size, count and SHA-256, and is never
//     deleted but by an explicit delete; what it does not list is not part of the export.
//  7. Exactly one completion per export for a read_committed consumer, sent after the manifest exists.
//  8. Every buffer is bounded; backlog never grows memory.
//  9. No query runs without its workspace bound as a parameter. The janitor's alone does: it lists which exports
//     have ended, of all workspaces, and reads nothing else.
//  10. Bad input never stops a stage and is never dropped silently: dead letter, failed completion, or a
//     counted, reasoned dropped entry.
//
// # Decisions
//
// 2026-11: rows are made idempotent (ReplacingMergeTree by version) and ingest is at least once. Insert
// deduplication tokens would save the rows that a crash repeats, but their window forgets, and a batch
// has to be cut again exactly as before; given up for a rule that always holds.
//
// 2026-11: our own JSON reader. No library at hand refuses duplicate keys, NUL, lone surrogates and
// the limits of size and depth, names the place, and keeps documents as sent. What was given up is a parser
// that others maintain; its fuzz test holds it against encoding/json.
//
// 2026-11: an export of one window is exactly what its one query returned. The direct path counts first, to
// choose the path, and reads later; rows_planned is what was read, since the selection moves in between. What
// is staged is counted where it is frozen.
//
// 2026-11: of the most recent N, up to a window, plan first finds a time since which more than N have started. With
// FINAL, ClickHouse cannot read from a table's end, so that a hundred runs cost a look at all of the app's, three
// times over. What was given up: filters that almost nothing passes are now looked for in growing steps.
//
// 2026-11: a window of a stage is two queries, the staged keys with their feedback and the runs, both in the
// order of their table's key, merged here. A join in ClickHouse sorts whole rows behind it, and 30,000 rows of
// 300 kB do not fit its memory.
//
// 2026-11: which runs have the same input is decided at ingest, in column input_group, by normalising question and
// inputs in Go. SQL can sort the keys of an object, but not of those inside of it; and a window function over a
// column is all that comparison, deduplication, pairs and splits then need. What was given up: another rule of what
// is the same needs the rows ingested anew.
//
// 2026-11: the node runs that some targets need come in a query of their own, in the order of the runs, and are
// given to them as they pass. A join would sort runs that carry all their node runs; what was given up is that the
// two queries do not see the table at the same instant.
//
// 2026-11: whether a record ends its export must not depend on when it is handled, or a process that was
// paused could end an export in the name of a record whose offset its successor has committed without a
// completion. So the result of one window of several never ends one; seal sends itself a result that does.
//
// 2026-11: servers share nothing but Kafka, ClickHouse and the bucket, and yet a request that one has acknowledged is there with all. Each server consumes
// the three topics from the offsets that plan and track have committed, and a read that does not find an export, or lists them, asks Kafka where
// the topic of requests ends, and waits until it has come there. What was given up: such a read costs a question to Kafka, which all that come at the same time share.
//
// 2026-11: the key of signed URLs is an object in the bucket, created once. All servers of a bucket have the same, across restarts, and nobody has to hand it out; who reads
// the bucket needs no signed URL. What was given up: it cannot be kept apart from the data.
//
// 2026-11: extract reads its topic as two consumer groups, one for the windows of large exports, one for
// exports that are one window. With one, a small export waited for the windows ahead of it in its
// partitions, up to twelve in a process of four slots. The price is that each group passes over the other's records.
//
// [auth]: https://pkg.go.dev/github.com/millrace/millrace/pipeline/api/auth
// [live]: https://pkg.go.dev/github.com/millrace/millrace/pipeline/export/live
// [history]: https://pkg.go.dev/github.com/millrace/millrace/pipeline/history
// [ingest]: https://pkg.go.dev/github.com/millrace/millrace/pipeline/ingest
// [event]: https://pkg.go.dev/github.com/millrace/millrace/pipeline/event
// [runs]: https://pkg.go.dev/github.com/millrace/millrace/pipeline/runs
// [strictjson]: https://pkg.go.dev/github.com/millrace/millrace/pipeline/strictjson
// [runstore]: https://pkg.go.dev/github.com/millrace/millrace/sinks/runstore
// [clickhouse]: https://pkg.go.dev/github.com/millrace/millrace/pipeline/clickhouse
package pipeline
