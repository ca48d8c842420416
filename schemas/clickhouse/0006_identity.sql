-- A run has one identity, (workspace_id, run_id), and a node run (workspace_id, run_id, node_run_id),
-- whatever the other columns of the sort key say. Tables run_keys and node_keys have every sort key that
-- an identity was stored with. Where it has several, ingest stores a row with superseded = true at each
-- key but that of the newest snapshot: it replaces the older snapshots there, and readers leave it out.
--
-- Materialized views fill the tables of keys, within the insert of the rows. A key has its row of the greatest
-- version, and another of its greatest superseded version.

ALTER TABLE {{table "runs"}} {{on_cluster}}
ADD COLUMN IF NOT EXISTS superseded Bool COMMENT 'Whether the newest snapshot of the run has another sort key; true = this row only hides older ones';
{{if on_cluster}}
ALTER TABLE runs {{on_cluster}}
ADD COLUMN IF NOT EXISTS superseded Bool COMMENT 'Whether the newest snapshot of the run has another sort key; true = this row only hides older ones';
{{end}}
ALTER TABLE {{table "nodes"}} {{on_cluster}}
ADD COLUMN IF NOT EXISTS superseded Bool COMMENT 'Whether the newest snapshot of the node run has another sort key; true = this row only hides older ones';
{{if on_cluster}}
ALTER TABLE nodes {{on_cluster}}
ADD COLUMN IF NOT EXISTS superseded Bool COMMENT 'Whether the newest snapshot of the node run has another sort key; true = this row only hides older ones';
{{end}}
CREATE TABLE IF NOT EXISTS {{table "run_keys"}} {{on_cluster}}
(
    workspace_id LowCardinality(String) COMMENT 'Workspace; with run_id the identity of the run',
    run_id String COMMENT 'Run; with workspace_id its identity' CODEC(ZSTD(1)),
    source LowCardinality(String) COMMENT 'source of a row of the run',
    app_id LowCardinality(String) COMMENT 'app_id of that row',
    started_at DateTime64(3, 'UTC') COMMENT 'started_at of that row' CODEC(Delta, ZSTD(1)),
    superseded Bool COMMENT 'superseded of that row',
    version UInt64 COMMENT 'The greatest version of such rows' CODEC(Delta, ZSTD(1))
)
ENGINE = {{replacing_merge_tree "version"}}
ORDER BY (workspace_id, run_id, source, app_id, started_at, superseded)
SETTINGS index_granularity = 512
COMMENT 'The sort keys that the rows of each run were stored with';

{{distributed "run_keys" "cityHash64(workspace_id, run_id)"}};

CREATE TABLE IF NOT EXISTS {{table "node_keys"}} {{on_cluster}}
(
    workspace_id LowCardinality(String) COMMENT 'Workspace; with run_id and node_run_id the identity of the node run',
    run_id String COMMENT 'The run it is part of' CODEC(ZSTD(1)),
    node_run_id String COMMENT 'Node run; with workspace_id and run_id its identity' CODEC(ZSTD(1)),
    source LowCardinality(String) COMMENT 'source of a row of the node run',
    app_id LowCardinality(String) COMMENT 'app_id of that row',
    node_id LowCardinality(String) COMMENT 'node_id of that row',
    started_at DateTime64(3, 'UTC') COMMENT 'started_at of that row' CODEC(Delta, ZSTD(1)),
    superseded Bool COMMENT 'superseded of that row',
    version UInt64 COMMENT 'The greatest version of such rows' CODEC(Delta, ZSTD(1))
)
ENGINE = {{replacing_merge_tree "version"}}
ORDER BY (workspace_id, run_id, node_run_id, source, app_id, node_id, started_at, superseded)
SETTINGS index_granularity = 512
COMMENT 'The sort keys that the rows of each node run were stored with';

{{distributed "node_keys" "cityHash64(workspace_id, run_id)"}};

CREATE MATERIALIZED VIEW IF NOT EXISTS run_keys_filled {{on_cluster}} TO {{table "run_keys"}} AS
SELECT workspace_id, run_id, source, app_id, started_at, superseded, version
FROM {{table "runs"}}
COMMENT 'Fills run_keys';

ALTER TABLE run_keys_filled {{on_cluster}} {{comments_of "run_keys"}};

CREATE MATERIALIZED VIEW IF NOT EXISTS node_keys_filled {{on_cluster}} TO {{table "node_keys"}} AS
SELECT workspace_id, run_id, node_run_id, source, app_id, node_id, started_at, superseded, version
FROM {{table "nodes"}}
COMMENT 'Fills node_keys';

ALTER TABLE node_keys_filled {{on_cluster}} {{comments_of "node_keys"}};

-- The keys of the rows that were there before, and then the rows that hide superseded ones. On a cluster they go
-- through the Distributed tables.

INSERT INTO run_keys (workspace_id, run_id, source, app_id, started_at, superseded, version)
SELECT workspace_id, run_id, source, app_id, started_at, superseded, version
FROM runs
SETTINGS distributed_foreground_insert = 1;

INSERT INTO node_keys (workspace_id, run_id, node_run_id, source, app_id, node_id, started_at, superseded, version)
SELECT workspace_id, run_id, node_run_id, source, app_id, node_id, started_at, superseded, version
FROM nodes
SETTINGS distributed_foreground_insert = 1;

INSERT INTO runs (workspace_id, run_id, source, app_id, started_at, version, superseded)
SELECT workspace_id, run_id, source, app_id, started_at, greatest(newest.1, stored + 1) - 1, true
FROM
(
    SELECT workspace_id, run_id, source, app_id, started_at,
        maxIf(version, NOT superseded) AS stored, maxIf(version, superseded) AS hidden,
        max((stored, source, app_id, started_at)) OVER (PARTITION BY workspace_id, run_id) AS newest
    FROM run_keys
    WHERE (workspace_id, run_id) IN
    (
        SELECT workspace_id, run_id FROM run_keys GROUP BY workspace_id, run_id
        HAVING min(source) != max(source) OR min(app_id) != max(app_id) OR min(started_at) != max(started_at)
    )
    GROUP BY workspace_id, run_id, source, app_id, started_at
)
WHERE newest != (stored, source, app_id, started_at) AND hidden <= stored
SETTINGS max_partitions_per_insert_block = 0, optimize_aggregation_in_order = 1, distributed_foreground_insert = 1,
    distributed_product_mode = 'local';

INSERT INTO nodes (workspace_id, run_id, node_run_id, source, app_id, node_id, started_at, version, superseded)
SELECT workspace_id, run_id, node_run_id, source, app_id, node_id, started_at, greatest(newest.1, stored + 1) - 1, true
FROM
(
    SELECT workspace_id, run_id, node_run_id, source, app_id, node_id, started_at,
        maxIf(version, NOT superseded) AS stored, maxIf(version, superseded) AS hidden,
        max((stored, source, app_id, node_id, started_at)) OVER (PARTITION BY workspace_id, run_id, node_run_id) AS newest
    FROM node_keys
    WHERE (workspace_id, run_id, node_run_id) IN
    (
        SELECT workspace_id, run_id, node_run_id FROM node_keys GROUP BY workspace_id, run_id, node_run_id
        HAVING min(source) != max(source) OR min(app_id) != max(app_id) OR min(node_id) != max(node_id) OR min(started_at) != max(started_at)
    )
    GROUP BY workspace_id, run_id, node_run_id, source, app_id, node_id, started_at
)
WHERE newest != (stored, source, app_id, node_id, started_at) AND hidden <= stored
SETTINGS max_partitions_per_insert_block = 0, optimize_aggregation_in_order = 1, distributed_foreground_insert = 1,
    distributed_product_mode = 'local';

-- The views leave out superseded rows.

CREATE OR REPLACE VIEW runs_latest {{on_cluster}} AS
SELECT * EXCEPT superseded FROM runs FINAL
WHERE NOT superseded
COMMENT 'Runs, the newest snapshot of each';

ALTER TABLE runs_latest {{on_cluster}} {{comments_of "runs"}},
COMMENT COLUMN input_group 'The same for all runs that were asked the same: by messages, or by question and inputs',
COMMENT COLUMN context_hash 'The same for all runs of the same system prompt and tools; with input_group the context group';

CREATE OR REPLACE VIEW nodes_latest {{on_cluster}} AS
SELECT * EXCEPT superseded FROM nodes FINAL
WHERE NOT superseded
COMMENT 'Node runs, the newest snapshot of each';

ALTER TABLE nodes_latest {{on_cluster}} {{comments_of "nodes"}},
COMMENT COLUMN input_group 'The same for all runs of the node that were asked the same: by inputs, variables or messages',
COMMENT COLUMN context_hash 'The same for all runs of the node that were given the same messages, template, variables and tools; with input_group the context group';

CREATE OR REPLACE VIEW runs_with_feedback {{on_cluster}} AS
SELECT
    r.*,
    f.feedback_id AS feedback_id,
    f.rating AS feedback_rating,
    f.score AS feedback_score,
    f.comment AS feedback_comment,
    f.tags AS feedback_tags,
    f.corrected_answer AS feedback_corrected_answer
FROM (SELECT * EXCEPT superseded FROM runs FINAL WHERE NOT superseded) AS r
LEFT JOIN
(
    SELECT workspace_id, run_id, feedback_id, toString(rating) AS rating, score, comment, tags, corrected_answer
    FROM feedback FINAL
    WHERE node_id = ''
    ORDER BY workspace_id, run_id, version DESC, feedback_id DESC
    LIMIT 1 BY workspace_id, run_id
) AS f ON r.workspace_id = f.workspace_id AND r.run_id = f.run_id
COMMENT 'Runs, the newest snapshot of each, with the newest feedback on the whole run; joins on every read, so not for dashboards';

ALTER TABLE runs_with_feedback {{on_cluster}} {{comments_of "runs"}},
COMMENT COLUMN input_group 'The same for all runs that were asked the same: by messages, or by question and inputs',
COMMENT COLUMN context_hash 'The same for all runs of the same system prompt and tools; with input_group the context group',
COMMENT COLUMN feedback_id 'The newest feedback on the whole run; empty = there is none',
COMMENT COLUMN feedback_rating 'Its rating: thumbsUp, thumbsDown, or empty',
COMMENT COLUMN feedback_score 'Its score; NULL where only a rating was given',
COMMENT COLUMN feedback_comment 'What its judge wrote',
COMMENT COLUMN feedback_tags 'Its labels',
COMMENT COLUMN feedback_corrected_answer 'The answer as it should have been; empty = none';
