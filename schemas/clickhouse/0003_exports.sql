-- What became of each export: stage track appends every progress and completion event.

CREATE TABLE IF NOT EXISTS {{table "export_events"}} {{on_cluster}}
(
    workspace_id LowCardinality(String) COMMENT 'Workspace; with export_id the identity of the export',
    export_id String COMMENT 'Export; with workspace_id its identity' CODEC(ZSTD(1)),
    name String COMMENT 'Name for people' CODEC(ZSTD(1)),
    purpose LowCardinality(String) COMMENT 'export_dataset, recipe_evaluation, node_evaluation, node_optimization or fine_tuning',
    source LowCardinality(String) COMMENT 'copilot or recipe',
    app_id LowCardinality(String) COMMENT 'The id of the copilot or recipe',
    nodes Array(String) COMMENT 'The nodes of a node purpose' CODEC(ZSTD(1)),
    target LowCardinality(String) COMMENT 'The tool whose shape the records have',
    format LowCardinality(String) COMMENT 'jsonl, json, csv or parquet',
    requested_by String COMMENT 'Who asked for it' CODEC(ZSTD(1)),
    requested_at DateTime64(3, 'UTC') COMMENT 'When it was asked for' CODEC(ZSTD(1)),
    status LowCardinality(String) COMMENT 'accepted, running, succeeded, failed or cancelled',
    percent_done Float64 COMMENT '0 to 100, never falling' CODEC(ZSTD(1)),
    rows_done UInt64 COMMENT 'Source rows of the windows done' CODEC(ZSTD(1)),
    rows_planned UInt64 COMMENT 'Source rows selected' CODEC(ZSTD(1)),
    rows_used UInt64 COMMENT 'Source rows that are in the files; 0 before the end' CODEC(ZSTD(1)),
    vanished UInt64 COMMENT 'Source rows that were deleted before they were read' CODEC(ZSTD(1)),
    records UInt64 COMMENT 'Records written' CODEC(ZSTD(1)),
    windows_done UInt64 COMMENT 'Windows done' CODEC(ZSTD(1)),
    windows_planned UInt64 COMMENT 'Windows of the plan' CODEC(ZSTD(1)),
    fragments UInt64 COMMENT 'Data files written' CODEC(ZSTD(1)),
    bytes UInt64 COMMENT 'Their size in bytes' CODEC(ZSTD(1)),
    dropped Map(LowCardinality(String), UInt64) COMMENT 'Source rows left out so far, by reason' CODEC(ZSTD(1)),
    manifest_uri String COMMENT 'Where manifest.json is; empty before the end' CODEC(ZSTD(1)),
    manifest_sha256 String COMMENT 'Its SHA-256, hexadecimal' CODEC(ZSTD(1)),
    watermark Nullable(DateTime64(6, 'UTC')) COMMENT 'The from of the next incremental export' CODEC(ZSTD(1)),
    load_with String COMMENT 'A command that loads the files' CODEC(ZSTD(1)),
    warnings String COMMENT 'JSON array of {code, message}; empty before the end' CODEC(ZSTD(1)),
    error_code LowCardinality(String) COMMENT 'Why it failed; empty = it did not',
    error_message String COMMENT 'Why it failed, for people' CODEC(ZSTD(1)),
    error_retryable Bool COMMENT 'Whether asking again may succeed',
    error_pointer String COMMENT 'JSON pointer of the field of the request that is wrong' CODEC(ZSTD(1)),
    accepted_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When it was planned' CODEC(ZSTD(1)),
    completed_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When it ended; NULL before' CODEC(ZSTD(1)),
    at DateTime64(6, 'UTC') COMMENT 'When this event happened' CODEC(ZSTD(1)),
    ingested_at DateTime64(6, 'UTC') DEFAULT now64(6) COMMENT 'When ClickHouse stored this row, by its own clock' CODEC(ZSTD(1))
)
ENGINE = {{merge_tree}}
PARTITION BY toYYYYMM(requested_at)
ORDER BY (workspace_id, export_id, at)
COMMENT 'Progress and completion events of exports, appended; read exports';

{{distributed "export_events" "cityHash64(workspace_id, export_id)"}};

CREATE VIEW IF NOT EXISTS exports {{on_cluster}} AS
SELECT * EXCEPT (at, ingested_at), at AS updated_at
FROM export_events
ORDER BY completed_at IS NULL, percent_done DESC, rows_done DESC, at DESC
LIMIT 1 BY workspace_id, export_id
COMMENT 'Exports, one row each: how it ended, or else how far it is';

ALTER TABLE exports {{on_cluster}} {{comments_of "export_events"}},
COMMENT COLUMN updated_at 'When its newest event happened';
