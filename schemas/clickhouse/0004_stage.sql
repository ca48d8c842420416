-- The rows of exports that are larger than one window: plan freezes a selection here, and extract reads it
-- window by window. Each attempt at planning has a stage of its own, which is one partition, so that dropping
-- it costs nothing.
--
-- Of runs that are read in the order of their table, keys and feedback are staged in export_stage; of grouped runs and of
-- node runs, whole rows in export_stage_rows. One table for both would cost the former five times the time to write: its
-- empty columns are written too.

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

CREATE TABLE IF NOT EXISTS {{table "export_stage_rows"}} {{on_cluster}}
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
    feedback_on_node Bool COMMENT 'Whether it is on the node of a node run, and not on the whole run',
    source LowCardinality(String) COMMENT 'copilot or recipe',
    app_id LowCardinality(String) COMMENT 'The id of the copilot or recipe',
    app_name LowCardinality(String) COMMENT 'Its name for people',
    app_version LowCardinality(String) COMMENT 'Its version',
    request_id String COMMENT 'The id of the request that started the run' CODEC(ZSTD(1)),
    session_id String COMMENT 'The conversation the run belongs to' CODEC(ZSTD(1)),
    user_id String COMMENT 'Who asked' CODEC(ZSTD(1)),
    trace_id String COMMENT 'The trace the run belongs to' CODEC(ZSTD(1)),
    trigger LowCardinality(String) COMMENT 'What started the run',
    question String COMMENT 'What was asked' CODEC(ZSTD(1)),
    answer String COMMENT 'What was answered' CODEC(ZSTD(1)),
    reference String COMMENT 'The ground truth, where it is known' CODEC(ZSTD(1)),
    system_inputs String COMMENT 'JSON object: what the system added' CODEC(ZSTD(1)),
    status LowCardinality(String) COMMENT 'Status of the run or node run',
    ended_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When it ended' CODEC(ZSTD(1)),
    updated_at DateTime64(6, 'UTC') COMMENT 'When its snapshot was taken' CODEC(ZSTD(1)),
    inputs String COMMENT 'JSON object: what went in' CODEC(ZSTD(1)),
    outputs String COMMENT 'JSON object: what came out' CODEC(ZSTD(1)),
    messages String COMMENT 'JSON array of chat messages' CODEC(ZSTD(1)),
    tools String COMMENT 'JSON array of tool definitions' CODEC(ZSTD(1)),
    model LowCardinality(String) COMMENT 'The language model',
    error_type LowCardinality(String) COMMENT 'Kind of the error; empty = none',
    error_message String COMMENT 'The error for people; empty = none' CODEC(ZSTD(1)),
    files Array(Tuple(file_id String, name String, uri String, content_type String, size_bytes Nullable(Int64), direction String)) COMMENT 'References to files' CODEC(ZSTD(1)),
    usage_input_tokens Nullable(Int64) COMMENT 'Tokens sent to the model' CODEC(ZSTD(1)),
    usage_output_tokens Nullable(Int64) COMMENT 'Tokens it wrote' CODEC(ZSTD(1)),
    cost_usd Nullable(Float64) COMMENT 'Cost in US dollars' CODEC(ZSTD(1)),
    metadata Map(LowCardinality(String), String) COMMENT 'Labels of the producer' CODEC(ZSTD(1)),
    input_group String COMMENT 'The same for all of the same input' CODEC(ZSTD(1)),
    node_id LowCardinality(String) COMMENT 'The node of a node run, and so on to chunks',
    node_name LowCardinality(String) COMMENT 'Its name for people',
    node_type LowCardinality(String) COMMENT 'llm, retrieval, tool, code, router, ...',
    parent_node_run_id String COMMENT 'The node run that called it; empty = none' CODEC(ZSTD(1)),
    sequence Nullable(Int64) COMMENT 'Position inside the run' CODEC(ZSTD(1)),
    prompt_template String COMMENT 'The prompt with its placeholders' CODEC(ZSTD(1)),
    prompt_variables String COMMENT 'JSON object: the values of the placeholders' CODEC(ZSTD(1)),
    parameters Map(LowCardinality(String), String) COMMENT 'Parameters of the model; each value is a JSON text' CODEC(ZSTD(1)),
    chunks Array(Tuple(chunk_id String, text String, score Nullable(Float64), source_uri String, title String, sent_to_llm Nullable(Bool), used_in_answer Nullable(Bool))) COMMENT 'The passages it found' CODEC(ZSTD(1)),
    run_status LowCardinality(String) COMMENT 'Status of the run around a node run',
    run_input_group String COMMENT 'input_group of the run around a node run' CODEC(ZSTD(1)),
    versions Array(String) COMMENT 'Versions in the group, by their first started_at' CODEC(ZSTD(1)),
    runs_in_group Int64 COMMENT 'Rows of the group' CODEC(ZSTD(1)),
    rank Int64 COMMENT 'Place in the group; 1 is the best' CODEC(ZSTD(1)),
    best_version String COMMENT 'Version of the best row of the group' CODEC(ZSTD(1)),
    has_previous Bool COMMENT 'Whether a version comes before this one in the group',
    previous_version String COMMENT 'That version' CODEC(ZSTD(1)),
    previous_answer String COMMENT 'The newest answer of it; of a node run its outputs' CODEC(ZSTD(1)),
    previous_score Nullable(Float64) COMMENT 'The score of that answer' CODEC(ZSTD(1)),
    staged_at DateTime('UTC') DEFAULT now() COMMENT 'When the row was staged; it is gone a week later at the latest' CODEC(ZSTD(1))
)
ENGINE = {{merge_tree}}
PARTITION BY stage_id
ORDER BY (workspace_id, stage_id, group_key, started_at, run_id, node_run_id)
TTL staged_at + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1
COMMENT 'Selections of exports that are under way, with all that is known of their rows; each is dropped when its export ends';

{{distributed "export_stage_rows" "cityHash64(stage_id)"}};
