-- The run events of topic runs: one table each for runs, node runs and feedback.
--
-- Every event is a snapshot. ReplacingMergeTree(version) keeps the greatest version of an identity, so
-- that a record consumed twice or late changes nothing (invariant 2); version is updated_at in
-- microseconds x 2, plus 1 for a final status. Read the views of 0002, which are deduplicated.
--
-- Codecs: ZSTD(1) for text, chosen by measurement (see the README, "What a run costs on disk").

CREATE TABLE IF NOT EXISTS {{table "runs"}} {{on_cluster}}
(
    workspace_id LowCardinality(String) COMMENT 'Workspace; with run_id the identity of the run',
    run_id String COMMENT 'Run; with workspace_id the identity of the run' CODEC(ZSTD(1)),
    source LowCardinality(String) COMMENT 'copilot or recipe',
    app_id LowCardinality(String) COMMENT 'The id of the copilot or recipe',
    app_name LowCardinality(String) COMMENT 'Its name for people',
    app_version LowCardinality(String) COMMENT 'Its version',
    request_id String COMMENT 'The id of the request that started the run' CODEC(ZSTD(1)),
    session_id String COMMENT 'The conversation the run belongs to' CODEC(ZSTD(1)),
    user_id String COMMENT 'Who asked' CODEC(ZSTD(1)),
    model LowCardinality(String) COMMENT 'The language model',
    trace_id String COMMENT 'The trace the run belongs to' CODEC(ZSTD(1)),
    trigger LowCardinality(String) COMMENT 'What started the run: chat, webhook, api, schedule, ...',
    status LowCardinality(String) COMMENT 'running, succeeded, failed or cancelled',
    started_at DateTime64(3, 'UTC') COMMENT 'When the run started; immutable' CODEC(Delta, ZSTD(1)),
    ended_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When it ended; NULL while it runs' CODEC(Delta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') COMMENT 'When this snapshot was taken' CODEC(Delta, ZSTD(1)),
    question String COMMENT 'What was asked' CODEC(ZSTD(1)),
    answer String COMMENT 'What was answered' CODEC(ZSTD(1)),
    reference String COMMENT 'The ground truth, where it is known' CODEC(ZSTD(1)),
    inputs String COMMENT 'JSON object: what the user provided, as sent; empty = absent' CODEC(ZSTD(1)),
    system_inputs String COMMENT 'JSON object: what the system added, as sent; empty = absent' CODEC(ZSTD(1)),
    outputs String COMMENT 'JSON object: what came out, as sent; empty = absent' CODEC(ZSTD(1)),
    messages String COMMENT 'JSON array of chat messages in OpenAI shape, as sent; empty = absent' CODEC(ZSTD(1)),
    tools String COMMENT 'JSON array of tool definitions in OpenAI shape, as sent; empty = absent' CODEC(ZSTD(1)),
    error_type LowCardinality(String) COMMENT 'Kind of the error; empty = none',
    error_message String COMMENT 'The error for people; empty = none' CODEC(ZSTD(1)),
    files Array(Tuple(file_id String, name String, uri String, content_type String, size_bytes Nullable(Int64), direction String)) COMMENT 'References to the files that went in and came out; direction is input or output' CODEC(ZSTD(1)),
    usage_input_tokens Nullable(Int64) COMMENT 'Tokens sent to the model' CODEC(ZSTD(1)),
    usage_output_tokens Nullable(Int64) COMMENT 'Tokens it wrote' CODEC(ZSTD(1)),
    cost_usd Nullable(Float64) COMMENT 'Cost in US dollars' CODEC(ZSTD(1)),
    metadata Map(LowCardinality(String), String) COMMENT 'Labels of the producer' CODEC(ZSTD(1)),
    input_group String COMMENT 'The same for all runs of the same question and inputs, white space and order of keys aside' CODEC(ZSTD(1)),
    ingested_at DateTime64(6, 'UTC') DEFAULT now64(6) COMMENT 'When ClickHouse stored this row, by its own clock' CODEC(Delta, ZSTD(1)),
    version UInt64 COMMENT 'Order of the snapshots of a run: updated_at in microseconds x 2, plus 1 for a final status' CODEC(Delta, ZSTD(1)),
    INDEX run_id_bloom run_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX request_id_bloom request_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX session_id_bloom session_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = {{replacing_merge_tree "version"}}
PARTITION BY toYYYYMM(started_at)
ORDER BY (workspace_id, source, app_id, started_at, run_id)
COMMENT 'Snapshots of runs; read runs_latest';

{{distributed "runs" "cityHash64(workspace_id, run_id)"}};

CREATE TABLE IF NOT EXISTS {{table "nodes"}} {{on_cluster}}
(
    workspace_id LowCardinality(String) COMMENT 'Workspace; with run_id and node_run_id the identity of the node run',
    run_id String COMMENT 'The run it is part of' CODEC(ZSTD(1)),
    node_run_id String COMMENT 'Node run; with workspace_id and run_id its identity' CODEC(ZSTD(1)),
    source LowCardinality(String) COMMENT 'copilot or recipe',
    app_id LowCardinality(String) COMMENT 'The id of the copilot or recipe',
    app_version LowCardinality(String) COMMENT 'Its version',
    node_id LowCardinality(String) COMMENT 'The id of the node in its recipe or copilot',
    node_name LowCardinality(String) COMMENT 'Its name for people',
    node_type LowCardinality(String) COMMENT 'llm, retrieval, tool, code, router, ...',
    parent_node_run_id String COMMENT 'The node run that called this one; empty = none' CODEC(ZSTD(1)),
    sequence Nullable(Int64) COMMENT 'Position inside the run' CODEC(ZSTD(1)),
    status LowCardinality(String) COMMENT 'running, succeeded, failed or cancelled',
    started_at DateTime64(3, 'UTC') COMMENT 'When the node run started; immutable' CODEC(Delta, ZSTD(1)),
    ended_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When it ended; NULL while it runs' CODEC(Delta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') COMMENT 'When this snapshot was taken' CODEC(Delta, ZSTD(1)),
    inputs String COMMENT 'JSON object: what went in, as sent; empty = absent' CODEC(ZSTD(1)),
    outputs String COMMENT 'JSON object: what came out, as sent; empty = absent' CODEC(ZSTD(1)),
    prompt_template String COMMENT 'The prompt with its placeholders' CODEC(ZSTD(1)),
    prompt_variables String COMMENT 'JSON object: the values of the placeholders, as sent; empty = absent' CODEC(ZSTD(1)),
    messages String COMMENT 'JSON array of chat messages in OpenAI shape, as sent; empty = absent' CODEC(ZSTD(1)),
    tools String COMMENT 'JSON array of tool definitions in OpenAI shape, as sent; empty = absent' CODEC(ZSTD(1)),
    model LowCardinality(String) COMMENT 'The language model',
    parameters Map(LowCardinality(String), String) COMMENT 'Parameters of the model; each value is a JSON text' CODEC(ZSTD(1)),
    chunks Array(Tuple(chunk_id String, text String, score Nullable(Float64), source_uri String, title String, sent_to_llm Nullable(Bool), used_in_answer Nullable(Bool))) COMMENT 'The passages a retrieval node found' CODEC(ZSTD(1)),
    error_type LowCardinality(String) COMMENT 'Kind of the error; empty = none',
    error_message String COMMENT 'The error for people; empty = none' CODEC(ZSTD(1)),
    files Array(Tuple(file_id String, name String, uri String, content_type String, size_bytes Nullable(Int64), direction String)) COMMENT 'References to the files that went in and came out; direction is input or output' CODEC(ZSTD(1)),
    usage_input_tokens Nullable(Int64) COMMENT 'Tokens sent to the model' CODEC(ZSTD(1)),
    usage_output_tokens Nullable(Int64) COMMENT 'Tokens it wrote' CODEC(ZSTD(1)),
    cost_usd Nullable(Float64) COMMENT 'Cost in US dollars' CODEC(ZSTD(1)),
    metadata Map(LowCardinality(String), String) COMMENT 'Labels of the producer' CODEC(ZSTD(1)),
    input_group String COMMENT 'The same for all runs of the node with the same inputs, white space and order of keys aside' CODEC(ZSTD(1)),
    ingested_at DateTime64(6, 'UTC') DEFAULT now64(6) COMMENT 'When ClickHouse stored this row, by its own clock' CODEC(Delta, ZSTD(1)),
    version UInt64 COMMENT 'Order of the snapshots of a node run: updated_at in microseconds x 2, plus 1 for a final status' CODEC(Delta, ZSTD(1)),
    INDEX run_id_bloom run_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = {{replacing_merge_tree "version"}}
PARTITION BY toYYYYMM(started_at)
ORDER BY (workspace_id, source, app_id, node_id, started_at, run_id, node_run_id)
COMMENT 'Snapshots of node runs; read nodes_latest';

{{distributed "nodes" "cityHash64(workspace_id, run_id)"}};

CREATE TABLE IF NOT EXISTS {{table "feedback"}} {{on_cluster}}
(
    workspace_id LowCardinality(String) COMMENT 'Workspace; with run_id and feedback_id the identity of the feedback',
    run_id String COMMENT 'The run it is about' CODEC(ZSTD(1)),
    feedback_id String COMMENT 'Feedback; with workspace_id and run_id its identity' CODEC(ZSTD(1)),
    rating LowCardinality(String) COMMENT 'thumbsUp, thumbsDown, or empty where only a score was given',
    score Nullable(Float64) COMMENT 'Score; NULL where only a rating was given' CODEC(ZSTD(1)),
    comment String COMMENT 'What the judge wrote' CODEC(ZSTD(1)),
    tags Array(String) COMMENT 'Labels of the judge' CODEC(ZSTD(1)),
    corrected_answer String COMMENT 'The answer as it should have been; empty = none' CODEC(ZSTD(1)),
    node_id LowCardinality(String) COMMENT 'The node it is about; empty = the whole run',
    created_by String COMMENT 'Who judged' CODEC(ZSTD(1)),
    created_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When it was given' CODEC(Delta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') COMMENT 'When this snapshot was taken' CODEC(Delta, ZSTD(1)),
    ingested_at DateTime64(6, 'UTC') DEFAULT now64(6) COMMENT 'When ClickHouse stored this row, by its own clock' CODEC(Delta, ZSTD(1)),
    version UInt64 COMMENT 'Order of the snapshots of a feedback: updated_at in microseconds x 2, plus 1' CODEC(Delta, ZSTD(1))
)
ENGINE = {{replacing_merge_tree "version"}}
ORDER BY (workspace_id, run_id, feedback_id)
COMMENT 'Snapshots of feedback; read feedback_latest';

{{distributed "feedback" "cityHash64(workspace_id, run_id)"}};
