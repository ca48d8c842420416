-- The trail: who did what, to which export or run, from where, and with which outcome. It has no contents of runs or
-- exports. An event that is stored again is the same row.

CREATE TABLE IF NOT EXISTS {{table "audit"}} {{on_cluster}}
(
    workspace_id LowCardinality(String) COMMENT 'Workspace; empty = of a call whose caller is not known',
    export_id String COMMENT 'The export it is about; empty = none' CODEC(ZSTD(1)),
    at DateTime64(6, 'UTC') COMMENT 'When it happened' CODEC(Delta, ZSTD(1)),
    id String COMMENT 'The id of the event' CODEC(ZSTD(1)),
    action LowCardinality(String) COMMENT 'filed, cancelled, deleted, ended, viewed, downloaded, signed_in, signed_out or refused',
    outcome LowCardinality(String) COMMENT 'ok, or how else it went: a status, an error code, signed_url',
    subject String COMMENT 'Who: the subject of the token, or the name that a request gave; empty = not known' CODEC(ZSTD(1)),
    on_behalf_of String COMMENT 'For whom, as the request said; nobody verified it' CODEC(ZSTD(1)),
    run_id String COMMENT 'The run it is about; empty = none' CODEC(ZSTD(1)),
    file String COMMENT 'The file of the export, by its key; empty = all of them, or none' CODEC(ZSTD(1)),
    operation LowCardinality(String) COMMENT 'The operation of the HTTP API, or the page',
    address String COMMENT 'From where: an address of the network, or topic/partition/offset' CODEC(ZSTD(1)),
    via LowCardinality(String) COMMENT 'Who tells: serve, plan or seal',
    count UInt64 COMMENT 'How often it happened; refusals of one address are told once a minute' CODEC(ZSTD(1)),
    ingested_at DateTime64(6, 'UTC') DEFAULT now64(6) COMMENT 'When ClickHouse stored this row, by its own clock' CODEC(Delta, ZSTD(1))
)
ENGINE = {{replacing_merge_tree ""}}
PARTITION BY toYYYYMM(at)
ORDER BY (workspace_id, export_id, at, id)
COMMENT 'The trail: who did what, when and from where; read it with FINAL';

{{distributed "audit" "cityHash64(workspace_id, export_id)"}};

ALTER TABLE {{table "export_events"}} {{on_cluster}}
ADD COLUMN IF NOT EXISTS on_behalf_of String COMMENT 'For whom it was asked, as the request said' CODEC(ZSTD(1)) AFTER requested_by;
{{if on_cluster}}
ALTER TABLE export_events {{on_cluster}}
ADD COLUMN IF NOT EXISTS on_behalf_of String COMMENT 'For whom it was asked, as the request said' AFTER requested_by;
{{end}}
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
COMMENT COLUMN updated_at 'When its newest event happened',
COMMENT COLUMN on_behalf_of 'For whom it was asked, as the request said';
