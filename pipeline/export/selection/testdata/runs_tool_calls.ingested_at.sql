-- keys
-- app = app
-- from = 1772323200000000
-- source = recipe
-- to = 1775001600000000
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
FROM (SELECT started_at, run_id, ingested_at FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (started_at, run_id) IN (SELECT started_at, run_id FROM run_keys WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC'))))) AS s
LEFT ANY JOIN (SELECT one.run_id AS run_id,
if(several.run_id = '', one.feedback_id, several.feedback_id) AS feedback_id,
if(several.run_id = '', one.feedback_rating, several.feedback_rating) AS feedback_rating,
if(several.run_id = '', one.feedback_score, several.feedback_score) AS feedback_score,
if(several.run_id = '', one.feedback_comment, several.feedback_comment) AS feedback_comment,
if(several.run_id = '', one.feedback_tags, several.feedback_tags) AS feedback_tags,
if(several.run_id = '', one.feedback_corrected_answer, several.feedback_corrected_answer) AS feedback_corrected_answer,
if(several.run_id = '', one.feedback_scores, several.feedback_scores) AS feedback_scores,
if(several.run_id = '', one.feedback_ingested_at, several.feedback_ingested_at) AS feedback_ingested_at
FROM (SELECT run_id, feedback_id, toString(rating) AS feedback_rating, if(name = '', score, NULL) AS feedback_score, comment AS feedback_comment, tags AS feedback_tags, corrected_answer AS feedback_corrected_answer, CAST(if(name != '' AND isNotNull(score), [(toString(name), score, toString(rating))], []), 'Array(Tuple(name String, value Nullable(Float64), label String))') AS feedback_scores, ingested_at AS feedback_ingested_at
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (started_at, run_id) IN (SELECT started_at, run_id FROM run_keys WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))))) AS one
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
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM (SELECT run_id, count() OVER (PARTITION BY run_id) AS judgements
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (started_at, run_id) IN (SELECT started_at, run_id FROM run_keys WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))))) WHERE judgements > 1) GROUP BY run_id)) AS several ON one.run_id = several.run_id) AS f ON s.run_id = f.run_id
LEFT JOIN (SELECT run_id, max(ingested_at) AS ingested_at FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (started_at, run_id, node_run_id) IN (SELECT started_at, run_id, node_run_id FROM node_keys WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))) AND (notEmpty(chunks) OR node_type = 'tool') GROUP BY run_id) AS n ON s.run_id = n.run_id
WHERE greatest(s.ingested_at, f.feedback_ingested_at, n.ingested_at) >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND greatest(s.ingested_at, f.feedback_ingested_at, n.ingested_at) < fromUnixTimestamp64Micro({to:Int64}, 'UTC'))
ORDER BY started_at, run_id;

-- runs
-- app = app
-- from = 1772323200000000
-- source = recipe
-- to = 1775001600000000
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
FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (started_at, run_id) IN (SELECT started_at, run_id FROM run_keys WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))) AND (started_at, run_id) IN (SELECT s.started_at AS started_at, s.run_id AS run_id FROM (SELECT started_at, run_id, ingested_at FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (started_at, run_id) IN (SELECT started_at, run_id FROM run_keys WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC'))))) AS s
LEFT ANY JOIN (SELECT one.run_id AS run_id,
if(several.run_id = '', one.feedback_id, several.feedback_id) AS feedback_id,
if(several.run_id = '', one.feedback_rating, several.feedback_rating) AS feedback_rating,
if(several.run_id = '', one.feedback_score, several.feedback_score) AS feedback_score,
if(several.run_id = '', one.feedback_comment, several.feedback_comment) AS feedback_comment,
if(several.run_id = '', one.feedback_tags, several.feedback_tags) AS feedback_tags,
if(several.run_id = '', one.feedback_corrected_answer, several.feedback_corrected_answer) AS feedback_corrected_answer,
if(several.run_id = '', one.feedback_scores, several.feedback_scores) AS feedback_scores,
if(several.run_id = '', one.feedback_ingested_at, several.feedback_ingested_at) AS feedback_ingested_at
FROM (SELECT run_id, feedback_id, toString(rating) AS feedback_rating, if(name = '', score, NULL) AS feedback_score, comment AS feedback_comment, tags AS feedback_tags, corrected_answer AS feedback_corrected_answer, CAST(if(name != '' AND isNotNull(score), [(toString(name), score, toString(rating))], []), 'Array(Tuple(name String, value Nullable(Float64), label String))') AS feedback_scores, ingested_at AS feedback_ingested_at
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))) AS one
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
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM (SELECT run_id, count() OVER (PARTITION BY run_id) AS judgements
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))) WHERE judgements > 1) GROUP BY run_id)) AS several ON one.run_id = several.run_id) AS f ON s.run_id = f.run_id
LEFT JOIN (SELECT run_id, max(ingested_at) AS ingested_at FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (started_at, run_id, node_run_id) IN (SELECT started_at, run_id, node_run_id FROM node_keys WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))) AND (notEmpty(chunks) OR node_type = 'tool') GROUP BY run_id) AS n ON s.run_id = n.run_id
WHERE greatest(s.ingested_at, f.feedback_ingested_at, n.ingested_at) >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND greatest(s.ingested_at, f.feedback_ingested_at, n.ingested_at) < fromUnixTimestamp64Micro({to:Int64}, 'UTC'))
ORDER BY started_at, run_id;

-- node runs
-- app = app
-- from = 1772323200000000
-- source = recipe
-- to = 1775001600000000
-- workspace = acme
SELECT
k.group_key AS row_group_key,
toUnixTimestamp64Milli(k.started_at) AS row_run_started_at,
k.run_id AS row_run_id,
n.node_run_id AS row_node_run_id,
CAST(n.node_id, 'LowCardinality(String)') AS row_node_id,
CAST(n.node_name, 'LowCardinality(String)') AS row_node_name,
CAST(n.node_type, 'LowCardinality(String)') AS row_node_type,
n.parent_node_run_id AS row_parent_node_run_id,
n.sequence AS row_sequence,
n.prompt_template AS row_prompt_template,
n.prompt_variables AS row_prompt_variables,
n.parameters AS row_parameters,
n.chunks AS row_chunks,
CAST(n.app_version, 'LowCardinality(String)') AS row_app_version,
CAST(n.status, 'LowCardinality(String)') AS row_status,
toUnixTimestamp64Milli(n.started_at) AS row_started_at,
toUnixTimestamp64Milli(n.ended_at) AS row_ended_at,
toUnixTimestamp64Milli(n.updated_at) AS row_updated_at,
n.inputs AS row_inputs,
n.outputs AS row_outputs,
n.messages AS row_messages,
n.tools AS row_tools,
CAST(n.model, 'LowCardinality(String)') AS row_model,
CAST(n.error_type, 'LowCardinality(String)') AS row_error_type,
n.error_message AS row_error_message,
n.files AS row_files,
n.usage_input_tokens AS row_usage_input_tokens,
n.usage_output_tokens AS row_usage_output_tokens,
n.cost_usd AS row_cost_usd,
n.metadata AS row_metadata
FROM (SELECT * FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (node_id, started_at, run_id) IN (SELECT node_id, started_at, run_id FROM node_keys WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM (SELECT '' AS group_key, started_at, run_id FROM (SELECT s.started_at AS started_at, s.run_id AS run_id FROM (SELECT started_at, run_id, ingested_at FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (started_at, run_id) IN (SELECT started_at, run_id FROM run_keys WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC'))))) AS s
LEFT ANY JOIN (SELECT one.run_id AS run_id,
if(several.run_id = '', one.feedback_id, several.feedback_id) AS feedback_id,
if(several.run_id = '', one.feedback_rating, several.feedback_rating) AS feedback_rating,
if(several.run_id = '', one.feedback_score, several.feedback_score) AS feedback_score,
if(several.run_id = '', one.feedback_comment, several.feedback_comment) AS feedback_comment,
if(several.run_id = '', one.feedback_tags, several.feedback_tags) AS feedback_tags,
if(several.run_id = '', one.feedback_corrected_answer, several.feedback_corrected_answer) AS feedback_corrected_answer,
if(several.run_id = '', one.feedback_scores, several.feedback_scores) AS feedback_scores,
if(several.run_id = '', one.feedback_ingested_at, several.feedback_ingested_at) AS feedback_ingested_at
FROM (SELECT run_id, feedback_id, toString(rating) AS feedback_rating, if(name = '', score, NULL) AS feedback_score, comment AS feedback_comment, tags AS feedback_tags, corrected_answer AS feedback_corrected_answer, CAST(if(name != '' AND isNotNull(score), [(toString(name), score, toString(rating))], []), 'Array(Tuple(name String, value Nullable(Float64), label String))') AS feedback_scores, ingested_at AS feedback_ingested_at
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))) AS one
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
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM (SELECT run_id, count() OVER (PARTITION BY run_id) AS judgements
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))) WHERE judgements > 1) GROUP BY run_id)) AS several ON one.run_id = several.run_id) AS f ON s.run_id = f.run_id
LEFT JOIN (SELECT run_id, max(ingested_at) AS ingested_at FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (started_at, run_id, node_run_id) IN (SELECT started_at, run_id, node_run_id FROM node_keys WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))) AND (notEmpty(chunks) OR node_type = 'tool') GROUP BY run_id) AS n ON s.run_id = n.run_id
WHERE greatest(s.ingested_at, f.feedback_ingested_at, n.ingested_at) >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND greatest(s.ingested_at, f.feedback_ingested_at, n.ingested_at) < fromUnixTimestamp64Micro({to:Int64}, 'UTC'))))) AND (notEmpty(chunks) OR node_type = 'tool')) AS n
INNER JOIN (SELECT group_key, started_at, run_id FROM (SELECT '' AS group_key, started_at, run_id FROM (SELECT s.started_at AS started_at, s.run_id AS run_id FROM (SELECT started_at, run_id, ingested_at FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (started_at, run_id) IN (SELECT started_at, run_id FROM run_keys WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC'))))) AS s
LEFT ANY JOIN (SELECT one.run_id AS run_id,
if(several.run_id = '', one.feedback_id, several.feedback_id) AS feedback_id,
if(several.run_id = '', one.feedback_rating, several.feedback_rating) AS feedback_rating,
if(several.run_id = '', one.feedback_score, several.feedback_score) AS feedback_score,
if(several.run_id = '', one.feedback_comment, several.feedback_comment) AS feedback_comment,
if(several.run_id = '', one.feedback_tags, several.feedback_tags) AS feedback_tags,
if(several.run_id = '', one.feedback_corrected_answer, several.feedback_corrected_answer) AS feedback_corrected_answer,
if(several.run_id = '', one.feedback_scores, several.feedback_scores) AS feedback_scores,
if(several.run_id = '', one.feedback_ingested_at, several.feedback_ingested_at) AS feedback_ingested_at
FROM (SELECT run_id, feedback_id, toString(rating) AS feedback_rating, if(name = '', score, NULL) AS feedback_score, comment AS feedback_comment, tags AS feedback_tags, corrected_answer AS feedback_corrected_answer, CAST(if(name != '' AND isNotNull(score), [(toString(name), score, toString(rating))], []), 'Array(Tuple(name String, value Nullable(Float64), label String))') AS feedback_scores, ingested_at AS feedback_ingested_at
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))) AS one
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
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM (SELECT run_id, count() OVER (PARTITION BY run_id) AS judgements
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))) WHERE judgements > 1) GROUP BY run_id)) AS several ON one.run_id = several.run_id) AS f ON s.run_id = f.run_id
LEFT JOIN (SELECT run_id, max(ingested_at) AS ingested_at FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (started_at, run_id, node_run_id) IN (SELECT started_at, run_id, node_run_id FROM node_keys WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))) AND (notEmpty(chunks) OR node_type = 'tool') GROUP BY run_id) AS n ON s.run_id = n.run_id
WHERE greatest(s.ingested_at, f.feedback_ingested_at, n.ingested_at) >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND greatest(s.ingested_at, f.feedback_ingested_at, n.ingested_at) < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))) AS k ON n.run_id = k.run_id
ORDER BY k.group_key, k.started_at, k.run_id;

-- count
-- app = app
-- bound = 5000
-- from = 1772323200000000
-- source = recipe
-- to = 1775001600000000
-- workspace = acme
SELECT toString(count()) FROM (SELECT 1 FROM (SELECT started_at, run_id, ingested_at FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (started_at, run_id) IN (SELECT started_at, run_id FROM run_keys WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC'))))) AS s
LEFT ANY JOIN (SELECT one.run_id AS run_id,
if(several.run_id = '', one.feedback_id, several.feedback_id) AS feedback_id,
if(several.run_id = '', one.feedback_rating, several.feedback_rating) AS feedback_rating,
if(several.run_id = '', one.feedback_score, several.feedback_score) AS feedback_score,
if(several.run_id = '', one.feedback_comment, several.feedback_comment) AS feedback_comment,
if(several.run_id = '', one.feedback_tags, several.feedback_tags) AS feedback_tags,
if(several.run_id = '', one.feedback_corrected_answer, several.feedback_corrected_answer) AS feedback_corrected_answer,
if(several.run_id = '', one.feedback_scores, several.feedback_scores) AS feedback_scores,
if(several.run_id = '', one.feedback_ingested_at, several.feedback_ingested_at) AS feedback_ingested_at
FROM (SELECT run_id, feedback_id, toString(rating) AS feedback_rating, if(name = '', score, NULL) AS feedback_score, comment AS feedback_comment, tags AS feedback_tags, corrected_answer AS feedback_corrected_answer, CAST(if(name != '' AND isNotNull(score), [(toString(name), score, toString(rating))], []), 'Array(Tuple(name String, value Nullable(Float64), label String))') AS feedback_scores, ingested_at AS feedback_ingested_at
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))) AS one
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
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM (SELECT run_id, count() OVER (PARTITION BY run_id) AS judgements
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))) WHERE judgements > 1) GROUP BY run_id)) AS several ON one.run_id = several.run_id) AS f ON s.run_id = f.run_id
LEFT JOIN (SELECT run_id, max(ingested_at) AS ingested_at FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (started_at, run_id, node_run_id) IN (SELECT started_at, run_id, node_run_id FROM node_keys WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))) AND (notEmpty(chunks) OR node_type = 'tool') GROUP BY run_id) AS n ON s.run_id = n.run_id
WHERE greatest(s.ingested_at, f.feedback_ingested_at, n.ingested_at) >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND greatest(s.ingested_at, f.feedback_ingested_at, n.ingested_at) < fromUnixTimestamp64Micro({to:Int64}, 'UTC')
LIMIT {bound:UInt64});

-- insert snapshot
-- app = app
-- from = 1772323200000000
-- snapshot = snapshot-1
-- source = recipe
-- to = 1775001600000000
-- workspace = acme
INSERT INTO export_stage (workspace_id, stage_id, started_at, run_id, feedback_id, feedback_rating, feedback_score, feedback_comment, feedback_tags, feedback_corrected_answer, feedback_scores)
SELECT {workspace:String}, {snapshot:String}, s.started_at, s.run_id, f.feedback_id AS feedback_id, f.feedback_rating AS feedback_rating, f.feedback_score AS feedback_score, f.feedback_comment AS feedback_comment, f.feedback_tags AS feedback_tags, f.feedback_corrected_answer AS feedback_corrected_answer, f.feedback_scores AS feedback_scores
FROM (SELECT started_at, run_id, ingested_at FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (started_at, run_id) IN (SELECT started_at, run_id FROM run_keys WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))) ORDER BY started_at, run_id) AS s
LEFT ANY JOIN (SELECT one.run_id AS run_id,
if(several.run_id = '', one.feedback_id, several.feedback_id) AS feedback_id,
if(several.run_id = '', one.feedback_rating, several.feedback_rating) AS feedback_rating,
if(several.run_id = '', one.feedback_score, several.feedback_score) AS feedback_score,
if(several.run_id = '', one.feedback_comment, several.feedback_comment) AS feedback_comment,
if(several.run_id = '', one.feedback_tags, several.feedback_tags) AS feedback_tags,
if(several.run_id = '', one.feedback_corrected_answer, several.feedback_corrected_answer) AS feedback_corrected_answer,
if(several.run_id = '', one.feedback_scores, several.feedback_scores) AS feedback_scores,
if(several.run_id = '', one.feedback_ingested_at, several.feedback_ingested_at) AS feedback_ingested_at
FROM (SELECT run_id, feedback_id, toString(rating) AS feedback_rating, if(name = '', score, NULL) AS feedback_score, comment AS feedback_comment, tags AS feedback_tags, corrected_answer AS feedback_corrected_answer, CAST(if(name != '' AND isNotNull(score), [(toString(name), score, toString(rating))], []), 'Array(Tuple(name String, value Nullable(Float64), label String))') AS feedback_scores, ingested_at AS feedback_ingested_at
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (started_at, run_id) IN (SELECT started_at, run_id FROM run_keys WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))))) AS one
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
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM (SELECT run_id, count() OVER (PARTITION BY run_id) AS judgements
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (started_at, run_id) IN (SELECT started_at, run_id FROM run_keys WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))))) WHERE judgements > 1) GROUP BY run_id)) AS several ON one.run_id = several.run_id) AS f ON s.run_id = f.run_id
LEFT JOIN (SELECT run_id, max(ingested_at) AS ingested_at FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (started_at, run_id, node_run_id) IN (SELECT started_at, run_id, node_run_id FROM node_keys WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))) AND (notEmpty(chunks) OR node_type = 'tool') GROUP BY run_id) AS n ON s.run_id = n.run_id
WHERE greatest(s.ingested_at, f.feedback_ingested_at, n.ingested_at) >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND greatest(s.ingested_at, f.feedback_ingested_at, n.ingested_at) < fromUnixTimestamp64Micro({to:Int64}, 'UTC')
SETTINGS join_algorithm = 'hash';

-- insert large snapshot
-- app = app
-- from = 1772323200000000
-- snapshot = snapshot-1
-- source = recipe
-- to = 1775001600000000
-- workspace = acme
INSERT INTO export_stage (workspace_id, stage_id, started_at, run_id, feedback_id, feedback_rating, feedback_score, feedback_comment, feedback_tags, feedback_corrected_answer, feedback_scores)
SELECT {workspace:String}, {snapshot:String}, s.started_at, s.run_id, f.feedback_id AS feedback_id, f.feedback_rating AS feedback_rating, f.feedback_score AS feedback_score, f.feedback_comment AS feedback_comment, f.feedback_tags AS feedback_tags, f.feedback_corrected_answer AS feedback_corrected_answer, f.feedback_scores AS feedback_scores
FROM (SELECT started_at, run_id, ingested_at FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (started_at, run_id) IN (SELECT started_at, run_id FROM run_keys WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))) ORDER BY started_at, run_id) AS s
LEFT ANY JOIN (SELECT one.run_id AS run_id,
if(several.run_id = '', one.feedback_id, several.feedback_id) AS feedback_id,
if(several.run_id = '', one.feedback_rating, several.feedback_rating) AS feedback_rating,
if(several.run_id = '', one.feedback_score, several.feedback_score) AS feedback_score,
if(several.run_id = '', one.feedback_comment, several.feedback_comment) AS feedback_comment,
if(several.run_id = '', one.feedback_tags, several.feedback_tags) AS feedback_tags,
if(several.run_id = '', one.feedback_corrected_answer, several.feedback_corrected_answer) AS feedback_corrected_answer,
if(several.run_id = '', one.feedback_scores, several.feedback_scores) AS feedback_scores,
if(several.run_id = '', one.feedback_ingested_at, several.feedback_ingested_at) AS feedback_ingested_at
FROM (SELECT run_id, feedback_id, toString(rating) AS feedback_rating, if(name = '', score, NULL) AS feedback_score, comment AS feedback_comment, tags AS feedback_tags, corrected_answer AS feedback_corrected_answer, CAST(if(name != '' AND isNotNull(score), [(toString(name), score, toString(rating))], []), 'Array(Tuple(name String, value Nullable(Float64), label String))') AS feedback_scores, ingested_at AS feedback_ingested_at
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))) AS one
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
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM (SELECT run_id, count() OVER (PARTITION BY run_id) AS judgements
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))) WHERE judgements > 1) GROUP BY run_id)) AS several ON one.run_id = several.run_id) AS f ON s.run_id = f.run_id
LEFT JOIN (SELECT run_id, max(ingested_at) AS ingested_at FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (started_at, run_id, node_run_id) IN (SELECT started_at, run_id, node_run_id FROM node_keys WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM feedback WHERE workspace_id = {workspace:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC') UNION ALL SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND ingested_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND ingested_at < fromUnixTimestamp64Micro({to:Int64}, 'UTC')))) AND (notEmpty(chunks) OR node_type = 'tool') GROUP BY run_id) AS n ON s.run_id = n.run_id
WHERE greatest(s.ingested_at, f.feedback_ingested_at, n.ingested_at) >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND greatest(s.ingested_at, f.feedback_ingested_at, n.ingested_at) < fromUnixTimestamp64Micro({to:Int64}, 'UTC')
SETTINGS join_algorithm = 'hash';
