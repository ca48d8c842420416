// Package pipeline is the stream from runs to data sets. It has no code of its own; this is the map.
//
// Some words of the domain. A copilot is a conversational assistant. A recipe is a workflow of nodes
// (prompt, retrieval, tool, code, …), often started by a webhook. Each execution of a copilot or a recipe is
// a run. Each execution of a node inside a run is a node run. A window is a part of an export that one worker
// reads and writes. A snapshot is a selection that was frozen, so that all its windows see the same rows. A
// fragment is one data file of an export.
//
// # The flow
//
//	                   Kafka                                          ClickHouse
//	producers ──▶ millrace.runs ───────▶ ingest ─────────────────▶ runs, nodes, feedback
//	                                       └─▶ millrace.dead-letters        │
//	                                                                        │ the selection: counted,
//	producers ──▶ millrace.export-requests ──▶ plan ◀──────────────────────▶│ or frozen, once
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
// Every stage has the same shape: consume a record, do one thing, produce records. A stage is a package, and
// its name is a verb. One binary runs all of them: `millrace ingest`; `millrace export` (plan, extract, seal
// and track); and `millrace local`, which is everything in one process on embedded services. `millrace serve`
// answers people and programs over HTTP.
//
// # The life of a run
//
// A producer publishes an event to topic runs. [ingest] polls it together with others. [event] takes the
// record apart, whichever of three ways it is written in. [runs] decodes the data with [strictjson], which
// refuses what the contract refuses; a refused record becomes a dead letter. [runstore] inserts a batch as
// columns, one block a table. Only then does ingest commit the offsets. An analyst now reads the row in
// runs_latest.
//
// Somebody requests an export. plan writes the SQL of the selection with [selection]. If the rows fit one
// window, extract reads that very selection. Otherwise plan freezes it as a snapshot: table export_stage
// holds keys and feedback of runs, and table export_stage_rows holds whole rows where they are grouped or
// are node runs. It also freezes the node runs that the target reads of these runs. plan cuts the snapshot
// into windows, on the borders of groups. extract streams the rows of a window in columns. [format] turns
// them into the records of a target, assigns each to a split, and checks it against the rules of its
// reader. [fragment] rolls the records into files, and [bucket] makes each file visible at once.
// [statistics] counts what the columns hold. seal writes the sidecars and then the manifest, which makes
// the files an export. It sends the one completion and drops the snapshot. A process that was paused may
// write into the folder of an export that has ended; the janitor removes such files.
//
// A caller over HTTP meets [auth] first, which names one workspace. Then [api] checks the request and files it
// in Kafka. [live] knows the present state of each export: it reads what the stages have stored in ClickHouse
// and the bucket, and applies the records of the topics that came later. A read waits for the requests that
// were filed before it, so every server knows what was filed with another. [history] reads what the History
// page shows.
//
// # Packages
//
// Pure packages know no Kafka, no ClickHouse and no object store.
//
//	strictjson/     JSON, read in one pass with every refusal of the contract               (pure)
//	jsonscan/       JSON that was checked before, scanned and written without allocating     (pure)
//	runs/           Run, Node, Feedback: types, decoding, checks                             (pure)
//	event/          CloudEvents 1.0 ⇄ Kafka record; dead letters; the topics
//	columns/        every column of runs, nodes and feedback, once: name, type, accessor      (pure)
//	sample/         the seeded generator of plausible runs                                   (pure)
//	chatlog/        logs of chats in OpenAI's format, as run events                          (pure)
//	audit/          the trail: who did what, when and from where
//	budget/         the bytes that a process holds for its work, however wide the rows are    (pure)
//	share/          how much is done at a time, in all and for each workspace                 (pure)
//	suggest/        what somebody may have meant by a word that is not known                  (pure)
//	rights/         what each role, producer and requester may do in Kafka                      (pure)
//	telemetry/      traces of Millrace itself: spans, and the environment variables of OpenTelemetry
//	kafka/          what every consumer and producer shares; publishing run events
//	clickhouse/     connections, settings, error classes, migrations, query parameters
//	ingest/         stage
//	stage/          the consume → work → produce loop of plan, extract and seal
//	export/         Request, Plan, Window, Result, Manifest, Completion: types, checks       (pure)
//	  format/       the contract of targets; how to add one                                  (pure)
//	    record/     what records are made of: documents, messages, texts, columns, ids       (pure)
//	    dataset/ evaluation/ optimization/ tuning/   the targets, one file each              (pure)
//	      tuning/toolschema/   the parameters of tools against the rules of their readers      (pure)
//	    targets/    the list of all targets, and their descriptions                          (pure)
//	  condition/    the filters of a request as SQL, for exports and for lists of runs
//	  selection/    the SQL of a request; snapshots; readers of windows
//	  statistics/   types, nulls, lengths and frequent values of the columns of records      (pure)
//	  card/         the dataset card and the other sidecars                                  (pure)
//	  folder/       the documents of an export in the bucket, which are created once
//	  message/      the records that the export stages send each other
//	  notice/       tells what a stage tries again
//	  dryrun/       what a request would come to
//	  plan/ extract/ seal/ track/   stages; seal/ has the janitor too
//	  flow/         tests of all export stages together
//	  live/         exports as they are now; filing, cancelling, watching
//	  files/        an export that has ended: its records, download, verify, delete
//	history/        runs, node runs and apps, read for people
//	api/            HTTP: the routes, files, and what stands before them
//	  auth/         who calls: tokens, keys, workspaces, scopes
//	  pages/        the handlers of the pages
//	    exportform/ fields of the export form as a request, and what is wrong with them
//	    jsonview/   JSON documents as pages show them                                         (pure)
//	    searchbox/  the search box of the History view: words and filters                     (pure)
//	local/          the embedded Kafka and ClickHouse of `millrace local` and of tests
//	../sinks/runstore    inserts run events into ClickHouse, as columns
//	../sinks/fragment    encoders and their readers; rolling by records and bytes
//	../sinks/bucket      object store on files, S3 and memory: atomic create-only writes, ranges, signed URLs
//	../schemas/          what users rely on: ClickHouse migrations, JSON Schemas, AsyncAPI
//	../dashboards/web/   templates, styles and scripts of the pages
//	../dashboards/prometheus/   what Prometheus and Alertmanager of docker-compose.yml read
//	../dashboards/grafana/   the dashboards for Grafana, and the package that builds them
//	../cmd/millrace/     one file per role holds its picture and its wiring
//	  app/               what commands share: configuration, log, exit codes
//	  client/            commands that talk to a running system
//	  doctor/        checks a deployment, and says what is wrong
//	  demo/ bench/       the demo; measurements
//	  services/          the embedded services of local, demo and bench
//	  e2e/               tests of the binary, a folder a subject: they use only what users may rely on
//
// Imports point downwards only; the linter checks the arrows.
//
// # Invariants
//
// The code cites them by number where it enforces them.
//
//  1. An offset is committed only after its records are in ClickHouse or in the dead-letter topic.
//  2. A run seen many times is one run, whatever else its snapshots say: rows are idempotent, and every read that
//     users see is deduplicated.
//  3. Windows partition the selection: each run is in exactly one window.
//  4. A fragment is visible whole or not at all; its key is never reused by another attempt.
//  5. A cut stream is an error: a window whose query did not end cleanly publishes nothing.
//  6. The manifest is the commit point. What it lists exists, with that size, count and SHA-256, and is never
//     deleted except by an explicit delete. What it does not list is not part of the export.
//  7. A read_committed consumer sees exactly one completion per export, sent after the manifest exists.
//  8. Every buffer is bounded; a backlog never grows memory.
//  9. Every query binds its workspace as a parameter. The only exceptions are two queries about the exports of
//     all workspaces: the janitor lists those that have ended, and track counts those that have not; and one
//     that lists the workspaces, for the switcher of a server without keys. They read nothing else.
//  10. Bad input never stops a stage and is never dropped silently: it becomes a dead letter, a failed
//     completion, or a dropped entry that has a reason and is counted.
//
// # Decisions
//
// 2026-11: rows are idempotent (ReplacingMergeTree by version), and ingest delivers at least once. Insert
// deduplication tokens would save the rows that a crash repeats. But ClickHouse forgets tokens after a while,
// and a batch would have to be cut again exactly as before. We gave them up for a rule that always holds.
//
// 2026-11: a run is its workspace_id and run_id, but the tables are sorted by source, app and started_at, which
// exports and History read by. A snapshot that changes one of them lands beside the old row, where no merge
// finds it. So ingest looks up in a narrow table, after each insert, which of the batch's runs have several
// sort keys, and inserts a row that hides the old one. A table sorted by identity would give that for
// nothing, but each export would read all of it. ReplacingMergeTree's is_deleted would spare readers the
// condition, but an engine cannot be changed while rows are inserted. The price: the keys of all rows once more,
// and a query for each insert. Until it ends, readers may see both rows; an export whose run moves while it is
// read counts that run as vanished.
//
// 2026-11: we have a JSON reader of our own. No library at hand refuses duplicate keys, NUL, lone surrogates
// and excess size and depth, names the place, and keeps documents as sent. We gave up a parser that others
// maintain; a fuzz test compares ours with encoding/json.
//
// 2026-11: an export of one window is exactly what its queries returned. plan counts first, only to choose
// between the direct path and a snapshot. extract reads later, when the rows may have changed, so rows_planned
// is what was read. A snapshot is counted when it is frozen.
//
// 2026-11: for the most recent N rows, up to a window, plan first looks for a time since which more than N
// runs have started. With FINAL, ClickHouse cannot read from the end of a table, so a hundred runs cost three
// reads of all runs of the app. The price: filters that almost nothing passes are searched in growing steps.
//
// 2026-11: reading a window of ungrouped runs takes two queries, one for the keys with their feedback, frozen or
// not, and one for the runs. Both come in the order of the key of their table, and we merge them. A join in
// ClickHouse sorts whole rows, and 30,000 rows of 300 kB do not fit its memory; and to plan it takes longer than
// a small export may. The price: a run that is deleted or moves between the two queries counts as vanished.
//
// 2026-11: ingest decides which runs have the same input. It normalises messages, or question and inputs, in Go
// and stores the result in column input_group. SQL can sort the keys of an object, but not those of objects
// inside it. With the column, comparison, deduplication, pairs and splits need only a window function. The
// price: another rule for what is the same needs all rows ingested again.
//
// 2026-11: there are two groups. The input group is what was asked; comparison and splits use it, because a
// question must not be in two splits, whatever the system prompt. The context group is the input group with
// system prompt and tools; deduplication and pairs use it, because answers under another prompt are another
// lesson. Column context_hash divides an input group into its context groups, so that the order of context
// groups is that of input groups, and most rows of an app have the same hash, which costs next to nothing on
// disk. Values of both columns begin with the version of their rule: rows of an older rule form groups among
// themselves until their events are replayed.
//
// 2026-11: the node runs that some targets need come in a query of their own, in the order of the runs,
// and are attached as they pass. A join would sort runs that carry all their node runs. Those of a large
// selection are frozen beside their runs (2026-12). Before, each window looked for its own among those of
// the whole app, which are in another order: it read 1,380,000 rows of them, in each of the windows of
// 300,000 runs. An evaluation of these runs took 146 s, and takes 19 to 25 now; a part of that is due to
// the size of blocks, see below. The price: they are written once more; and those of a small selection are
// not read at the same instant as their runs.
//
// 2026-11: whether a record ends its export must not depend on when it is handled. Otherwise a process that
// was paused could end an export because of a record, while its successor has committed the offset of that
// record without a completion. So the result of one window among several never ends an export; seal sends
// itself a result that does.
//
// 2026-11: servers share only Kafka, ClickHouse and the bucket, and yet every server knows a request that one
// of them has acknowledged. Each server consumes the three topics from the offsets that plan and track have
// committed. A read that does not find an export, or lists exports, asks Kafka where the topic of requests
// ends, and waits until the server has read that far. The price: such a read costs one question to Kafka,
// which all reads of the same moment share.
//
// 2026-11: what the columns of an export hold is counted while its records are written, from about 10,000 of them,
// spread evenly. Counting every record would cost extract about a quarter more processor time; like this an export of
// 100,000 small runs costs 2 % more. Reading the files again for the page would cost more than either. The price:
// rare values of a large export are missed. The statistics of a window are a file of their own, not part of its
// manifest, because they have values of records, which a delete must reach. seal reads at most 64 of them, and then
// sweeps them.
//
// 2026-11: the key of signed URLs is an object in the bucket, created once. All servers of a bucket share it,
// also across restarts, and nobody has to distribute it. Whoever can read the bucket needs no signed URL
// anyway. The price: the key cannot be kept apart from the data.
//
// 2026-11: extract reads its topic as two consumer groups, one for the windows of large exports and one for
// exports of a single window. With one group, a small export waited for the windows ahead of it in its
// partitions, up to twelve in a process of four slots. The price: each group skips the records of the other.
//
// 2026-11: extract does not know how wide rows are before it reads them. It stops at a block that is too
// large, and reads the window again with a quarter of the rows in a block; other windows of the export
// start with as few, and with more again after each that was read. Averages of the table would not find a
// few wide rows among many small ones, and a column with the size of each row would have to be written for
// all rows. The price: a window with wide rows is begun up to five times. ClickHouse may not use its cache
// of conditions for these queries (2026-12): where it knows a condition, it sends whole granules, however
// few rows a block may have, so that windows of narrow rows too ended with a row in a block.
//
// 2026-11: a package at the root of the module embeds all documents, so that each stands beside what it is
// about and exists once. The price: the root has two Go files.
//
// 2026-11: a request and its cancel may be in different partitions, because clients choose the partitioner.
// So plan may read them in any order, also at the same time in two processes. Each first creates its own
// document in the bucket and then looks for the other's, so that one of the two sees the other. An object in
// waiting-cancels/ for each cancel that came first lets the janitor find those whose request never comes,
// without listing all exports. The price: two more reads of the bucket an export, and a second cancel that
// comes a day after the first, both before their request, is a dead letter.
//
// 2026-11: an object in unfinished/ for each export that was planned and has not ended lets plan and
// serve count the exports of a workspace with one listing. Counting in ClickHouse would lag behind, by the
// more the busier the system is, and Kafka cannot be asked. The price: an object that is created and deleted
// with each export, and a listing before it is planned.
//
// 2026-11: the windows of a workspace use 4 of the 24 partitions of their topic, chosen by hash, and a slot
// takes its partitions in turn. So extraction is isolated: however many windows a workspace has, they hold
// up a quarter of the slots, and a window of another workspace waits for one of theirs at most where the two
// share a slot. The price: no more than four processes work on the windows of one workspace, and a fetch
// returns one batch.
//
// 2026-11: partitions are dealt out to the slots of a stage in turn, not by the balancer that moves the
// fewest, and the windows of an export use their four partitions in turn. Before, chance gave one slot the
// partitions of several, and it worked on their windows alone when the other slots had done theirs: of two
// cores, half of one was idle, and 500,000 runs took 6.3 s in place of 4.9. The price: where a process comes
// or goes, more partitions move, and the windows at work in them begin again.
//
// 2026-11: of three slots or more, the windows of large exports leave one to small exports. Now that large ones
// use their slots evenly, small ones found none free, and waited for the end of a window: 1.2 s in the median
// beside 2,000,000 runs in place of 0.7. Large exports are as fast: two cores are busy with three windows too.
//
// 2026-11: of a join, ClickHouse keeps the side in memory that a query names second, and the server does not choose.
// It chose whole rows where their keys would do. A snapshot of whole rows is one part as far as 1 GiB goes, since each
// window would merge the rows of several.
//
// 2026-11: ungrouped runs are frozen in the order of their table, and plan knows in which part, and at which place of
// it, a window begins. ClickHouse reads a granule for each window, where numbering the rows read all of them. Grouped
// rows, and the shards of a cluster, are numbered as before.
//
// 2026-11: plan has eight consumer groups. Each plans the requests of the workspaces that hash to it, and skips
// the others. Clients choose the partitions of requests, and offsets are committed in order, so in one group
// the requests of a workspace would wait behind those of all others in their partition, each of which has
// 30 s of ClickHouse at most. Now a workspace delays those of its group alone, an eighth. Topic
// export-requests could be copied into one that is keyed by workspace; but servers find what is not planned
// by the offsets of the one topic. The price: each request is read and decoded eight times, and a process plans
// one request of a workspace at a time, beside a large one, see below.
//
// 2026-11: a large selection takes seconds to freeze, and a small request of the same workspace waited: 7.7 s beside
// one for 2,000,000 runs, and 0.3 s since. So a lane of plan hands a large request over to one more consumer group,
// as a copy in the same topic: a release that does not know the group plans the copy as it plans any request, and
// servers find by the offsets of one topic what is not planned. Objects in unfinished/ say whose an export id is
// meanwhile. The price: a hop through Kafka for large exports, plan may write to the topic of requests, and before
// a release without the group is started again, the group must have planned what it was handed.
//
// 2026-11: windows of large exports compute in the background, in threads that the operating system prefers others to.
// Before, a small export shared two cores with three windows and waited for them at each step: 0.5 s in the median, and
// 0.2 s since. The goroutine that writes a window keeps its thread, since a process may lower the priority of a
// thread and not raise it again. Nothing else is in the background: freezing has a limit in time. The price: beside
// something else that wants all processors, such as ingest that has fallen behind, a large export gets a tenth of them.
//
// 2026-11: what a stage tries again is told by a plain producer, beside the transactions of the stage: a
// transaction would tell it when the trouble is over. Such an event has no counts, because the stage that is
// stuck does not know them. The price: readers merge it, and consumers of the topic meet events without counts.
//
// 2026-11: on a cluster, plan, extract and dry runs stand behind a barrier before they read. In each shard the
// first replica that answers catches up with all others (SYSTEM SYNC REPLICA … LIGHTWEIGHT), and the statements
// that follow read it or fail. Ingest writes to the first replica that answers too, so as a rule it has nothing
// to catch up. ClickHouse has no setting for that. With select_sequential_consistency, all inserts would have to
// wait for a quorum, one after another. max_replica_delay_for_distributed_queries counts seconds, and a snapshot
// is read milliseconds after it was written. load_balancing is a preference: a server that cannot connect to the
// first replica reads another one, and says nothing. So a condition that is an error on all servers but the
// chosen ones goes with each statement (additional_table_filters). SYSTEM SYNC REPLICA ON CLUSTER would let a
// replica that lags block all statements of DDL. The price: replicas share out the shards' exports only when
// the first one fails; a process must reach every server; exports wait while Keeper is down; and each window
// takes a connection to each shard and seven short statements.
//
// [auth]: https://pkg.go.dev/github.com/millrace/millrace/pipeline/api/auth
// [live]: https://pkg.go.dev/github.com/millrace/millrace/pipeline/export/live
// [history]: https://pkg.go.dev/github.com/millrace/millrace/pipeline/history
// [ingest]: https://pkg.go.dev/github.com/millrace/millrace/pipeline/ingest
// [event]: https://pkg.go.dev/github.com/millrace/millrace/pipeline/event
// [runs]: https://pkg.go.dev/github.com/millrace/millrace/pipeline/runs
// [strictjson]: https://pkg.go.dev/github.com/millrace/millrace/pipeline/strictjson
// [selection]: https://pkg.go.dev/github.com/millrace/millrace/pipeline/export/selection
// [format]: https://pkg.go.dev/github.com/millrace/millrace/pipeline/export/format
// [api]: https://pkg.go.dev/github.com/millrace/millrace/pipeline/api
// [runstore]: https://pkg.go.dev/github.com/millrace/millrace/sinks/runstore
// [fragment]: https://pkg.go.dev/github.com/millrace/millrace/sinks/fragment
// [bucket]: https://pkg.go.dev/github.com/millrace/millrace/sinks/bucket
package pipeline
