-- The rows of exports that are larger than one window: plan freezes a selection here, and extract reads it
-- window by window. Each attempt at planning has a stage of its own, which is one partition, so that dropping
-- it costs nothing.

CREATE TABLE IF NOT EXISTS {{table "export_stage"}} {{on_cluster}}
(
    workspace_id LowCardinality(String) COMMENT 'Workspace of the export',
    stage_id String COMMENT 'Stage; plan.json of the export names it, and no other reads it' CODEC(ZSTD(1)),
    group_key String COMMENT 'What windows are not cut inside of; empty where rows have no groups' CODEC(ZSTD(1)),
    started_at DateTime64(3, 'UTC') COMMENT 'When the run or node run started' CODEC(Delta, ZSTD(1)),
    run_id String COMMENT 'Run' CODEC(ZSTD(1)),
    node_run_id String COMMENT 'Node run; empty where the rows are runs' CODEC(ZSTD(1)),
    feedback_id String COMMENT 'The newest feedback on the whole run; empty = there was none' CODEC(ZSTD(1)),
    feedback_rating LowCardinality(String) COMMENT 'Its rating: thumbsUp, thumbsDown, or empty',
    feedback_score Nullable(Float64) COMMENT 'Its score; NULL where only a rating was given' CODEC(ZSTD(1)),
    feedback_comment String COMMENT 'What its judge wrote' CODEC(ZSTD(1)),
    feedback_tags Array(String) COMMENT 'Its labels' CODEC(ZSTD(1)),
    feedback_corrected_answer String COMMENT 'The answer as it should have been; empty = none' CODEC(ZSTD(1)),
    staged_at DateTime('UTC') DEFAULT now() COMMENT 'When the row was staged; it is gone a week later at the latest' CODEC(ZSTD(1))
)
ENGINE = {{merge_tree}}
PARTITION BY stage_id
ORDER BY (workspace_id, stage_id, group_key, started_at, run_id, node_run_id)
TTL staged_at + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1
COMMENT 'Selections of exports that are under way; each is dropped when its export ends';

{{distributed "export_stage" "cityHash64(stage_id)"}};
