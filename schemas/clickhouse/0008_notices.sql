-- What exports that have not ended wait for: a cancel that was asked for, and what a stage tries again.

CREATE TABLE IF NOT EXISTS {{table "export_notices"}} {{on_cluster}}
(
    workspace_id LowCardinality(String) COMMENT 'Workspace; with export_id the identity of the export',
    export_id String COMMENT 'Export; with workspace_id its identity' CODEC(ZSTD(1)),
    cancelling Bool COMMENT 'Somebody asked to cancel it, and it has not ended yet' CODEC(ZSTD(1)),
    retrying_stage LowCardinality(String) COMMENT 'The stage that tries again: plan, extract or seal; empty = none does',
    retrying_code LowCardinality(String) COMMENT 'Why, as in error_code',
    retrying_message String COMMENT 'Why, for people' CODEC(ZSTD(1)),
    retrying_since DateTime64(3, 'UTC') COMMENT 'When the first attempt began' CODEC(ZSTD(1)),
    retrying_attempts UInt64 COMMENT 'Attempts that failed since then' CODEC(ZSTD(1)),
    at DateTime64(6, 'UTC') COMMENT 'When this was told' CODEC(ZSTD(1)),
    ingested_at DateTime64(6, 'UTC') DEFAULT now64(6) COMMENT 'When ClickHouse stored this row, by its own clock' CODEC(ZSTD(1))
)
ENGINE = {{merge_tree}}
ORDER BY (workspace_id, export_id, at)
TTL toDateTime(ingested_at) + INTERVAL 30 DAY
COMMENT 'Cancels and retries of exports, appended; read exports';

{{distributed "export_notices" "cityHash64(workspace_id, export_id)"}};

CREATE OR REPLACE VIEW exports {{on_cluster}} AS
SELECT events.*, toBool(completed_at IS NULL AND was_cancelled) AS cancelling,
    if(completed_at IS NULL AND retry.6 >= now64(6) - INTERVAL 60 SECOND, retry.1, '') AS retrying_stage,
    if(retrying_stage != '', retry.2, '') AS retrying_code,
    if(retrying_stage != '', retry.3, '') AS retrying_message,
    if(retrying_stage != '', retry.4, NULL) AS retrying_since,
    if(retrying_stage != '', retry.5, 0) AS retrying_attempts
FROM
(
    SELECT * EXCEPT (at, ingested_at), at AS updated_at
    FROM export_events
    ORDER BY completed_at IS NULL, percent_done DESC, rows_done DESC, at DESC
    LIMIT 1 BY workspace_id, export_id
) AS events
LEFT JOIN
(
    SELECT workspace_id, export_id, max(cancelling) AS was_cancelled,
        argMaxIf((retrying_stage, retrying_code, retrying_message, retrying_since, retrying_attempts, at), at, retrying_stage != '') AS retry
    FROM export_notices
    GROUP BY workspace_id, export_id
) AS notices USING (workspace_id, export_id)
COMMENT 'Exports, one row each: how it ended, or else how far it is';

ALTER TABLE exports {{on_cluster}} {{comments_of "export_notices"}};

ALTER TABLE exports {{on_cluster}} {{comments_of "export_events"}},
COMMENT COLUMN updated_at 'When its newest event happened';
