-- newest run
-- app = app
-- k = 100
-- source = recipe
-- workspace = acme
SELECT toString(if(count() = {k:UInt64}, min(toUnixTimestamp64Milli(started_at)), 0)) FROM (
    SELECT started_at FROM runs WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} ORDER BY started_at DESC LIMIT {k:UInt64}
);

-- found runs
-- app = app
-- run_ids = run-1
-- source = recipe
-- workspace = acme
SELECT DISTINCT run_id FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (splitByChar(',', {run_ids:String}));

-- server time
SELECT toString(toUnixTimestamp64Micro(now64(6)));

-- newest node run
-- app = app
-- k = 100
-- nodes = draft,solve
-- source = recipe
-- workspace = acme
SELECT toString(if(count() = {k:UInt64}, min(toUnixTimestamp64Milli(started_at)), 0)) FROM (
    SELECT started_at FROM nodes WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND node_id IN (splitByChar(',', {nodes:String})) ORDER BY started_at DESC LIMIT {k:UInt64}
);

-- keys of a limit since a time
-- app = app
-- from = 1772323200000
-- limit = 1000
-- source = recipe
-- to = 7258118400000
-- workspace = acme
SELECT
toUnixTimestamp64Milli(started_at) AS row_started_at,
run_id AS row_run_id,
feedback_id != '' AS row_has_feedback,
CAST(feedback_rating, 'LowCardinality(String)') AS row_feedback_rating,
feedback_score AS row_feedback_score,
feedback_comment AS row_feedback_comment,
feedback_tags AS row_feedback_tags,
feedback_corrected_answer AS row_feedback_corrected_answer,
feedback_scores AS row_feedback_scores
FROM (SELECT s.started_at AS started_at, s.run_id AS run_id, f.feedback_id AS feedback_id, f.feedback_rating AS feedback_rating, f.feedback_score AS feedback_score, f.feedback_comment AS feedback_comment, f.feedback_tags AS feedback_tags, f.feedback_corrected_answer AS feedback_corrected_answer, f.feedback_scores AS feedback_scores
FROM (SELECT started_at, run_id, ingested_at FROM runs AS s FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')
ORDER BY s.started_at DESC, s.run_id DESC LIMIT {limit:UInt64}) AS s
LEFT ANY JOIN (SELECT run_id,
tupleElement(tupleElement(judged, 'judgement'), 'feedback_id')[1] AS feedback_id,
arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'rating')) AS feedback_rating,
arrayFirst((v, n) -> n = '' AND isNotNull(v), tupleElement(tupleElement(judged, 'judgement'), 'score'), tupleElement(tupleElement(judged, 'judgement'), 'name')) AS feedback_score,
arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'comment')) AS feedback_comment,
arrayFirst(v -> notEmpty(v), tupleElement(tupleElement(judged, 'judgement'), 'tags')) AS feedback_tags,
arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'corrected_answer')) AS feedback_corrected_answer,
arrayReverseSort(arrayFilter((j, n, v) -> n != '' AND isNotNull(v),
    arrayZip(tupleElement(judged, 'version'), tupleElement(tupleElement(judged, 'judgement'), 'feedback_id'),
    tupleElement(tupleElement(judged, 'judgement'), 'name'), tupleElement(tupleElement(judged, 'judgement'), 'score'), tupleElement(tupleElement(judged, 'judgement'), 'rating')),
    tupleElement(tupleElement(judged, 'judgement'), 'name'), tupleElement(tupleElement(judged, 'judgement'), 'score'))) AS feedback_named,
CAST(arrayMap(j -> (j.3, j.4, j.5), arrayFilter((j, i) -> i = 1, feedback_named,
    arrayEnumerateUniq(feedback_named.3))), 'Array(Tuple(name String, value Nullable(Float64), label String))') AS feedback_scores,
arrayMax(tupleElement(judged, 'ingested_at')) AS feedback_ingested_at
FROM (SELECT run_id, CAST(arrayReverseSort(groupArray((kind = 'human', version, tuple(feedback_id, toString(name), toString(rating), score, comment, tags, corrected_answer), ingested_at))), 'Array(Tuple(human UInt8, version UInt64, judgement Tuple(feedback_id String, name String, rating String, score Nullable(Float64), comment String, tags Array(String), corrected_answer String), ingested_at DateTime64(6, \'UTC\')))') AS judged
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')) GROUP BY run_id)) AS f ON s.run_id = f.run_id)
ORDER BY started_at, run_id;

-- runs of a limit since a time
-- app = app
-- from = 1772323200000
-- source = recipe
-- to = 7258118400000
-- workspace = acme
SELECT
CAST(workspace_id, 'LowCardinality(String)') AS row_workspace_id,
run_id AS row_run_id,
request_id AS row_request_id,
CAST(source, 'LowCardinality(String)') AS row_source,
CAST(app_id, 'LowCardinality(String)') AS row_app_id,
CAST(app_name, 'LowCardinality(String)') AS row_app_name,
session_id AS row_session_id,
user_id AS row_user_id,
CAST(trigger, 'LowCardinality(String)') AS row_trigger,
question AS row_question,
answer AS row_answer,
reference AS row_reference,
trace_id AS row_trace_id,
CAST(app_version, 'LowCardinality(String)') AS row_app_version,
CAST(status, 'LowCardinality(String)') AS row_status,
toUnixTimestamp64Milli(started_at) AS row_started_at,
toUnixTimestamp64Milli(ended_at) AS row_ended_at,
toUnixTimestamp64Milli(updated_at) AS row_updated_at,
inputs AS row_inputs,
outputs AS row_outputs,
messages AS row_messages,
tools AS row_tools,
CAST(model, 'LowCardinality(String)') AS row_model,
CAST(error_type, 'LowCardinality(String)') AS row_error_type,
error_message AS row_error_message,
files AS row_files,
usage_input_tokens AS row_usage_input_tokens,
usage_output_tokens AS row_usage_output_tokens,
cost_usd AS row_cost_usd,
metadata AS row_metadata,
system_inputs AS row_system_inputs
FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')
ORDER BY started_at, run_id;

-- oldest run
-- app = app
-- from = 1772323200000
-- n = 1000
-- source = recipe
-- to = 7258118400000
-- workspace = acme
SELECT toString(if(count() = {n:UInt64}, min(toUnixTimestamp64Milli(started_at)), 0)) FROM (SELECT s.started_at AS started_at FROM (SELECT started_at, run_id, ingested_at FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')) AS s
ORDER BY s.started_at DESC LIMIT {n:UInt64});

-- variables
-- app = app
-- limit = 1000
-- nodes = draft,solve
-- source = recipe
-- workspace = acme
SELECT DISTINCT arrayJoin(arrayPushFront(arrayMap(k -> concat('v', k), JSONExtractKeys(variables)), concat('t', type))) AS name
FROM (SELECT s.prompt_variables AS variables, s.node_type AS type FROM (SELECT started_at, run_id, ingested_at, prompt_variables, node_type, node_run_id, node_id, metadata FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND node_id IN (splitByChar(',', {nodes:String}))) AS s
ORDER BY s.started_at DESC, s.run_id DESC, s.node_run_id DESC LIMIT {limit:UInt64} BY s.node_id)
ORDER BY name LIMIT 1000;

-- newest runs
-- app = app
-- limit = 11
-- source = recipe
-- workspace = acme
SELECT run_id FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY run_id ORDER BY max(started_at) DESC LIMIT {limit:UInt64};

-- known nodes
-- app = app
-- asked = 6472616674,736f6c7665
-- limit = 12
-- source = recipe
-- workspace = acme
SELECT CAST(node_id, 'String') AS name FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (node_id, started_at) IN (
    SELECT node_id AS name, max(started_at) FROM nodes WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64}
) GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known nodes, all
-- app = app
-- asked = 6472616674,736f6c7665
-- limit = 12
-- source = recipe
-- workspace = acme
SELECT CAST(node_id, 'String') AS name FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known versions
-- app = app
-- asked = 7631,7632
-- limit = 12
-- source = recipe
-- workspace = acme
SELECT CAST(app_version, 'String') AS name FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (app_version, started_at) IN (
    SELECT app_version AS name, max(started_at) FROM nodes WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64}
) GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known versions, all
-- app = app
-- asked = 7631,7632
-- limit = 12
-- source = recipe
-- workspace = acme
SELECT CAST(app_version, 'String') AS name FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known models
-- app = app
-- asked = 6d
-- limit = 11
-- source = recipe
-- workspace = acme
SELECT CAST(model, 'String') AS name FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (model, started_at) IN (
    SELECT model AS name, max(started_at) FROM nodes WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64}
) GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known models, all
-- app = app
-- asked = 6d
-- limit = 11
-- source = recipe
-- workspace = acme
SELECT CAST(model, 'String') AS name FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known triggers
-- app = app
-- asked = 63686174
-- limit = 11
-- source = recipe
-- workspace = acme
SELECT CAST(trigger, 'String') AS name FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (trigger, started_at) IN (
    SELECT trigger AS name, max(started_at) FROM runs WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64}
) GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known triggers, all
-- app = app
-- asked = 63686174
-- limit = 11
-- source = recipe
-- workspace = acme
SELECT CAST(trigger, 'String') AS name FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known sessions
-- app = app
-- asked = 612073657373696f6e
-- limit = 11
-- source = recipe
-- workspace = acme
SELECT CAST(session_id, 'String') AS name FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (session_id, started_at) IN (
    SELECT session_id AS name, max(started_at) FROM runs WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64}
) GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known sessions, all
-- app = app
-- asked = 612073657373696f6e
-- limit = 11
-- source = recipe
-- workspace = acme
SELECT CAST(session_id, 'String') AS name FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known users
-- app = app
-- asked = 612075736572
-- limit = 11
-- source = recipe
-- workspace = acme
SELECT CAST(user_id, 'String') AS name FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (user_id, started_at) IN (
    SELECT user_id AS name, max(started_at) FROM runs WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64}
) GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known users, all
-- app = app
-- asked = 612075736572
-- limit = 11
-- source = recipe
-- workspace = acme
SELECT CAST(user_id, 'String') AS name FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known apps
-- asked = 72656369706520617070
-- limit = 11
-- workspace = acme
SELECT CAST(concat(source, ' ', app_id), 'String') AS name FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND (concat(source, ' ', app_id), started_at) IN (
    SELECT concat(source, ' ', app_id) AS name, max(started_at) FROM runs WHERE NOT superseded AND workspace_id = {workspace:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64}
) GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known apps, all
-- asked = 72656369706520617070
-- limit = 11
-- workspace = acme
SELECT CAST(concat(source, ' ', app_id), 'String') AS name FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};
