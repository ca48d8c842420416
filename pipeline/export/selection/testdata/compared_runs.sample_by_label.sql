-- rows
-- app = app
-- sample = 1000
-- sample_key = 726567696f6e
-- seed = 7
-- source = recipe
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
feedback_id != '' AS row_has_feedback,
CAST(feedback_rating, 'LowCardinality(String)') AS row_feedback_rating,
feedback_score AS row_feedback_score,
feedback_comment AS row_feedback_comment,
feedback_tags AS row_feedback_tags,
feedback_corrected_answer AS row_feedback_corrected_answer,
feedback_scores AS row_feedback_scores,
group_key AS row_group_key,
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
system_inputs AS row_system_inputs,
input_group AS row_input_group,
versions AS row_versions,
runs_in_group AS row_runs_in_group,
rank AS row_rank,
best_version AS row_best_version,
has_previous = 1 AS row_has_previous,
previous_version AS row_previous_version,
previous_answer AS row_previous_answer,
previous_score AS row_previous_score
FROM (SELECT {workspace:String} AS workspace_id, t.run_id AS run_id, t.source AS source, t.app_id AS app_id, t.app_version AS app_version, t.model AS model, t.status AS status, t.started_at AS started_at, t.ended_at AS ended_at, t.updated_at AS updated_at, t.inputs AS inputs, t.outputs AS outputs, t.messages AS messages, t.tools AS tools, t.error_type AS error_type, t.error_message AS error_message, t.files AS files, t.usage_input_tokens AS usage_input_tokens, t.usage_output_tokens AS usage_output_tokens, t.cost_usd AS cost_usd, t.metadata AS metadata, t.input_group AS input_group, k.group_key AS group_key, k.feedback_id AS feedback_id, k.feedback_rating AS feedback_rating, k.feedback_score AS feedback_score, k.feedback_comment AS feedback_comment, k.feedback_tags AS feedback_tags, k.feedback_corrected_answer AS feedback_corrected_answer, k.feedback_scores AS feedback_scores, t.app_name AS app_name, t.request_id AS request_id, t.session_id AS session_id, t.user_id AS user_id, t.trace_id AS trace_id, t.trigger AS trigger, t.question AS question, t.answer AS answer, t.reference AS reference, t.system_inputs AS system_inputs, '' AS node_run_id, k.versions AS versions, k.runs_in_group AS runs_in_group, k.rank AS rank, k.best_version AS best_version, k.has_previous AS has_previous, k.previous_version AS previous_version, k.previous_score AS previous_score, p.answer AS previous_answer
FROM (SELECT * FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (started_at, run_id) IN (SELECT s.started_at AS started_at, s.run_id AS run_id FROM (SELECT started_at, run_id, ingested_at FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String}) AS s
WHERE s.run_id IN (SELECT run_id FROM (SELECT run_id, row_number() OVER (PARTITION BY stratum ORDER BY sipHash64({seed:Int64}, run_id), run_id) AS place
FROM (SELECT s.run_id AS run_id, mapValues(s.metadata)[indexOf(mapKeys(s.metadata), unhex({sample_key:String}))] AS stratum FROM (SELECT started_at, run_id, ingested_at, metadata FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String}) AS s))
ORDER BY place, sipHash64({seed:Int64}, run_id), run_id LIMIT {sample:UInt64}))) AS t
INNER JOIN (SELECT * EXCEPT (previous, best_version), toString(best_version) AS best_version, version_number > 1 AS has_previous,
if(version_number > 1, toString(previous.1), '') AS previous_version,
if(version_number > 1, previous.2, NULL) AS previous_score, previous.3 AS previous_started_at,
if(version_number > 1, previous.4, '') AS previous_run_id, previous.5 AS previous_node_run_id
FROM (SELECT *, argMax((app_version, feedback_score, started_at, run_id, node_run_id), (started_at, run_id, node_run_id)) OVER (PARTITION BY group_key ORDER BY version_number RANGE BETWEEN 1 PRECEDING AND 1 PRECEDING) AS previous
FROM (SELECT *, dense_rank() OVER (PARTITION BY group_key ORDER BY version_began, app_version) AS version_number,
argMin(app_version, rank) OVER (PARTITION BY group_key) AS best_version,
arrayMap(v -> toString(v.2), arraySort(groupUniqArray((version_began, app_version)) OVER (PARTITION BY group_key))) AS versions
FROM (SELECT *, toInt64(count() OVER (PARTITION BY group_key)) AS runs_in_group,
toInt64(row_number() OVER (PARTITION BY group_key ORDER BY feedback_score IS NULL, feedback_score DESC, multiIf(feedback_rating = 'thumbsUp', 1, feedback_rating = 'thumbsDown', -1, 0) DESC, started_at DESC, run_id DESC, node_run_id DESC)) AS rank,
min(started_at) OVER (PARTITION BY group_key, app_version) AS version_began
FROM (SELECT *, if(row_number() OVER (PARTITION BY whole_group ORDER BY started_at DESC, run_id DESC, node_run_id DESC) > 1000, '', whole_group) AS group_key FROM (
SELECT s.started_at AS started_at, s.run_id AS run_id, '' AS node_run_id, s.app_version AS app_version, s.input_group AS whole_group, false AS feedback_on_node, f.feedback_id AS feedback_id, f.feedback_rating AS feedback_rating, f.feedback_score AS feedback_score, f.feedback_comment AS feedback_comment, f.feedback_tags AS feedback_tags, f.feedback_corrected_answer AS feedback_corrected_answer, f.feedback_scores AS feedback_scores
FROM (SELECT started_at, run_id, ingested_at, app_version, input_group FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String}) AS s
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
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String})) AS one
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
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String})) WHERE judgements > 1) GROUP BY run_id)) AS several ON one.run_id = several.run_id) AS f ON s.run_id = f.run_id
WHERE s.run_id IN (SELECT run_id FROM (SELECT run_id, row_number() OVER (PARTITION BY stratum ORDER BY sipHash64({seed:Int64}, run_id), run_id) AS place
FROM (SELECT s.run_id AS run_id, mapValues(s.metadata)[indexOf(mapKeys(s.metadata), unhex({sample_key:String}))] AS stratum FROM (SELECT started_at, run_id, ingested_at, metadata FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String}) AS s))
ORDER BY place, sipHash64({seed:Int64}, run_id), run_id LIMIT {sample:UInt64}))))))) AS k ON t.run_id = k.run_id AND t.started_at = k.started_at
LEFT JOIN (SELECT started_at, run_id, answer AS answer FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (started_at, run_id) IN (SELECT s.started_at AS started_at, s.run_id AS run_id FROM (SELECT started_at, run_id, ingested_at FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String}) AS s
WHERE s.run_id IN (SELECT run_id FROM (SELECT run_id, row_number() OVER (PARTITION BY stratum ORDER BY sipHash64({seed:Int64}, run_id), run_id) AS place
FROM (SELECT s.run_id AS run_id, mapValues(s.metadata)[indexOf(mapKeys(s.metadata), unhex({sample_key:String}))] AS stratum FROM (SELECT started_at, run_id, ingested_at, metadata FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String}) AS s))
ORDER BY place, sipHash64({seed:Int64}, run_id), run_id LIMIT {sample:UInt64}))) AS p ON k.previous_run_id = p.run_id AND k.previous_started_at = p.started_at)
ORDER BY group_key, started_at, run_id, node_run_id;

-- node runs
-- app = app
-- sample = 1000
-- sample_key = 726567696f6e
-- seed = 7
-- source = recipe
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
FROM (SELECT * FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (node_id, started_at, run_id) IN (SELECT node_id, started_at, run_id FROM node_keys WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM (SELECT * EXCEPT (previous, best_version), toString(best_version) AS best_version, version_number > 1 AS has_previous,
if(version_number > 1, toString(previous.1), '') AS previous_version,
if(version_number > 1, previous.2, NULL) AS previous_score, previous.3 AS previous_started_at,
if(version_number > 1, previous.4, '') AS previous_run_id, previous.5 AS previous_node_run_id
FROM (SELECT *, argMax((app_version, feedback_score, started_at, run_id, node_run_id), (started_at, run_id, node_run_id)) OVER (PARTITION BY group_key ORDER BY version_number RANGE BETWEEN 1 PRECEDING AND 1 PRECEDING) AS previous
FROM (SELECT *, dense_rank() OVER (PARTITION BY group_key ORDER BY version_began, app_version) AS version_number,
argMin(app_version, rank) OVER (PARTITION BY group_key) AS best_version,
arrayMap(v -> toString(v.2), arraySort(groupUniqArray((version_began, app_version)) OVER (PARTITION BY group_key))) AS versions
FROM (SELECT *, toInt64(count() OVER (PARTITION BY group_key)) AS runs_in_group,
toInt64(row_number() OVER (PARTITION BY group_key ORDER BY feedback_score IS NULL, feedback_score DESC, multiIf(feedback_rating = 'thumbsUp', 1, feedback_rating = 'thumbsDown', -1, 0) DESC, started_at DESC, run_id DESC, node_run_id DESC)) AS rank,
min(started_at) OVER (PARTITION BY group_key, app_version) AS version_began
FROM (SELECT *, if(row_number() OVER (PARTITION BY whole_group ORDER BY started_at DESC, run_id DESC, node_run_id DESC) > 1000, '', whole_group) AS group_key FROM (
SELECT s.started_at AS started_at, s.run_id AS run_id, '' AS node_run_id, s.app_version AS app_version, s.input_group AS whole_group, false AS feedback_on_node, f.feedback_id AS feedback_id, f.feedback_rating AS feedback_rating, f.feedback_score AS feedback_score, f.feedback_comment AS feedback_comment, f.feedback_tags AS feedback_tags, f.feedback_corrected_answer AS feedback_corrected_answer, f.feedback_scores AS feedback_scores
FROM (SELECT started_at, run_id, ingested_at, app_version, input_group FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String}) AS s
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
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String})) AS one
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
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String})) WHERE judgements > 1) GROUP BY run_id)) AS several ON one.run_id = several.run_id) AS f ON s.run_id = f.run_id
WHERE s.run_id IN (SELECT run_id FROM (SELECT run_id, row_number() OVER (PARTITION BY stratum ORDER BY sipHash64({seed:Int64}, run_id), run_id) AS place
FROM (SELECT s.run_id AS run_id, mapValues(s.metadata)[indexOf(mapKeys(s.metadata), unhex({sample_key:String}))] AS stratum FROM (SELECT started_at, run_id, ingested_at, metadata FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String}) AS s))
ORDER BY place, sipHash64({seed:Int64}, run_id), run_id LIMIT {sample:UInt64}))))))))) AND notEmpty(chunks)) AS n
INNER JOIN (SELECT group_key, started_at, run_id FROM (SELECT * EXCEPT (previous, best_version), toString(best_version) AS best_version, version_number > 1 AS has_previous,
if(version_number > 1, toString(previous.1), '') AS previous_version,
if(version_number > 1, previous.2, NULL) AS previous_score, previous.3 AS previous_started_at,
if(version_number > 1, previous.4, '') AS previous_run_id, previous.5 AS previous_node_run_id
FROM (SELECT *, argMax((app_version, feedback_score, started_at, run_id, node_run_id), (started_at, run_id, node_run_id)) OVER (PARTITION BY group_key ORDER BY version_number RANGE BETWEEN 1 PRECEDING AND 1 PRECEDING) AS previous
FROM (SELECT *, dense_rank() OVER (PARTITION BY group_key ORDER BY version_began, app_version) AS version_number,
argMin(app_version, rank) OVER (PARTITION BY group_key) AS best_version,
arrayMap(v -> toString(v.2), arraySort(groupUniqArray((version_began, app_version)) OVER (PARTITION BY group_key))) AS versions
FROM (SELECT *, toInt64(count() OVER (PARTITION BY group_key)) AS runs_in_group,
toInt64(row_number() OVER (PARTITION BY group_key ORDER BY feedback_score IS NULL, feedback_score DESC, multiIf(feedback_rating = 'thumbsUp', 1, feedback_rating = 'thumbsDown', -1, 0) DESC, started_at DESC, run_id DESC, node_run_id DESC)) AS rank,
min(started_at) OVER (PARTITION BY group_key, app_version) AS version_began
FROM (SELECT *, if(row_number() OVER (PARTITION BY whole_group ORDER BY started_at DESC, run_id DESC, node_run_id DESC) > 1000, '', whole_group) AS group_key FROM (
SELECT s.started_at AS started_at, s.run_id AS run_id, '' AS node_run_id, s.app_version AS app_version, s.input_group AS whole_group, false AS feedback_on_node, f.feedback_id AS feedback_id, f.feedback_rating AS feedback_rating, f.feedback_score AS feedback_score, f.feedback_comment AS feedback_comment, f.feedback_tags AS feedback_tags, f.feedback_corrected_answer AS feedback_corrected_answer, f.feedback_scores AS feedback_scores
FROM (SELECT started_at, run_id, ingested_at, app_version, input_group FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String}) AS s
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
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String})) AS one
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
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String})) WHERE judgements > 1) GROUP BY run_id)) AS several ON one.run_id = several.run_id) AS f ON s.run_id = f.run_id
WHERE s.run_id IN (SELECT run_id FROM (SELECT run_id, row_number() OVER (PARTITION BY stratum ORDER BY sipHash64({seed:Int64}, run_id), run_id) AS place
FROM (SELECT s.run_id AS run_id, mapValues(s.metadata)[indexOf(mapKeys(s.metadata), unhex({sample_key:String}))] AS stratum FROM (SELECT started_at, run_id, ingested_at, metadata FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String}) AS s))
ORDER BY place, sipHash64({seed:Int64}, run_id), run_id LIMIT {sample:UInt64})))))))) AS k ON n.run_id = k.run_id
ORDER BY k.group_key, k.started_at, k.run_id;

-- count
-- app = app
-- bound = 5000
-- sample = 1000
-- sample_key = 726567696f6e
-- seed = 7
-- source = recipe
-- workspace = acme
SELECT toString(count()) FROM (SELECT 1 FROM (SELECT started_at, run_id, ingested_at FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String}) AS s
WHERE s.run_id IN (SELECT run_id FROM (SELECT run_id, row_number() OVER (PARTITION BY stratum ORDER BY sipHash64({seed:Int64}, run_id), run_id) AS place
FROM (SELECT s.run_id AS run_id, mapValues(s.metadata)[indexOf(mapKeys(s.metadata), unhex({sample_key:String}))] AS stratum FROM (SELECT started_at, run_id, ingested_at, metadata FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String}) AS s))
ORDER BY place, sipHash64({seed:Int64}, run_id), run_id LIMIT {sample:UInt64})
LIMIT {bound:UInt64});

-- insert snapshot
-- app = app
-- sample = 1000
-- sample_key = 726567696f6e
-- seed = 7
-- snapshot = snapshot-1
-- source = recipe
-- workspace = acme
INSERT INTO export_stage_rows (stage_id, workspace_id, group_key, run_id, source, app_id, app_version, model, status, started_at, ended_at, updated_at, inputs, outputs, messages, tools, error_type, error_message, files, usage_input_tokens, usage_output_tokens, cost_usd, metadata, input_group, app_name, request_id, session_id, user_id, trace_id, trigger, question, answer, reference, feedback_id, feedback_rating, feedback_score, feedback_comment, feedback_tags, feedback_corrected_answer, feedback_scores, system_inputs, versions, runs_in_group, rank, best_version, has_previous, previous_version, previous_score, previous_answer)
SELECT {snapshot:String}, workspace_id, group_key, run_id, source, app_id, app_version, model, status, started_at, ended_at, updated_at, inputs, outputs, messages, tools, error_type, error_message, files, usage_input_tokens, usage_output_tokens, cost_usd, metadata, input_group, app_name, request_id, session_id, user_id, trace_id, trigger, question, answer, reference, feedback_id, feedback_rating, feedback_score, feedback_comment, feedback_tags, feedback_corrected_answer, feedback_scores, system_inputs, versions, runs_in_group, rank, best_version, has_previous, previous_version, previous_score, previous_answer
FROM (SELECT {workspace:String} AS workspace_id, t.run_id AS run_id, t.source AS source, t.app_id AS app_id, t.app_version AS app_version, t.model AS model, t.status AS status, t.started_at AS started_at, t.ended_at AS ended_at, t.updated_at AS updated_at, t.inputs AS inputs, t.outputs AS outputs, t.messages AS messages, t.tools AS tools, t.error_type AS error_type, t.error_message AS error_message, t.files AS files, t.usage_input_tokens AS usage_input_tokens, t.usage_output_tokens AS usage_output_tokens, t.cost_usd AS cost_usd, t.metadata AS metadata, t.input_group AS input_group, k.group_key AS group_key, k.feedback_id AS feedback_id, k.feedback_rating AS feedback_rating, k.feedback_score AS feedback_score, k.feedback_comment AS feedback_comment, k.feedback_tags AS feedback_tags, k.feedback_corrected_answer AS feedback_corrected_answer, k.feedback_scores AS feedback_scores, t.app_name AS app_name, t.request_id AS request_id, t.session_id AS session_id, t.user_id AS user_id, t.trace_id AS trace_id, t.trigger AS trigger, t.question AS question, t.answer AS answer, t.reference AS reference, t.system_inputs AS system_inputs, '' AS node_run_id, k.versions AS versions, k.runs_in_group AS runs_in_group, k.rank AS rank, k.best_version AS best_version, k.has_previous AS has_previous, k.previous_version AS previous_version, k.previous_score AS previous_score, p.answer AS previous_answer
FROM (SELECT * FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String}) AS t
INNER JOIN (SELECT * EXCEPT (previous, best_version), toString(best_version) AS best_version, version_number > 1 AS has_previous,
if(version_number > 1, toString(previous.1), '') AS previous_version,
if(version_number > 1, previous.2, NULL) AS previous_score, previous.3 AS previous_started_at,
if(version_number > 1, previous.4, '') AS previous_run_id, previous.5 AS previous_node_run_id
FROM (SELECT *, argMax((app_version, feedback_score, started_at, run_id, node_run_id), (started_at, run_id, node_run_id)) OVER (PARTITION BY group_key ORDER BY version_number RANGE BETWEEN 1 PRECEDING AND 1 PRECEDING) AS previous
FROM (SELECT *, dense_rank() OVER (PARTITION BY group_key ORDER BY version_began, app_version) AS version_number,
argMin(app_version, rank) OVER (PARTITION BY group_key) AS best_version,
arrayMap(v -> toString(v.2), arraySort(groupUniqArray((version_began, app_version)) OVER (PARTITION BY group_key))) AS versions
FROM (SELECT *, toInt64(count() OVER (PARTITION BY group_key)) AS runs_in_group,
toInt64(row_number() OVER (PARTITION BY group_key ORDER BY feedback_score IS NULL, feedback_score DESC, multiIf(feedback_rating = 'thumbsUp', 1, feedback_rating = 'thumbsDown', -1, 0) DESC, started_at DESC, run_id DESC, node_run_id DESC)) AS rank,
min(started_at) OVER (PARTITION BY group_key, app_version) AS version_began
FROM (SELECT *, if(row_number() OVER (PARTITION BY whole_group ORDER BY started_at DESC, run_id DESC, node_run_id DESC) > 1000, '', whole_group) AS group_key FROM (
SELECT s.started_at AS started_at, s.run_id AS run_id, '' AS node_run_id, s.app_version AS app_version, s.input_group AS whole_group, false AS feedback_on_node, f.feedback_id AS feedback_id, f.feedback_rating AS feedback_rating, f.feedback_score AS feedback_score, f.feedback_comment AS feedback_comment, f.feedback_tags AS feedback_tags, f.feedback_corrected_answer AS feedback_corrected_answer, f.feedback_scores AS feedback_scores
FROM (SELECT started_at, run_id, ingested_at, app_version, input_group FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String}) AS s
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
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String})) AS one
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
FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' AND workspace_id = {workspace:String} AND run_id IN (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String})) WHERE judgements > 1) GROUP BY run_id)) AS several ON one.run_id = several.run_id) AS f ON s.run_id = f.run_id
WHERE s.run_id IN (SELECT run_id FROM (SELECT run_id, row_number() OVER (PARTITION BY stratum ORDER BY sipHash64({seed:Int64}, run_id), run_id) AS place
FROM (SELECT s.run_id AS run_id, mapValues(s.metadata)[indexOf(mapKeys(s.metadata), unhex({sample_key:String}))] AS stratum FROM (SELECT started_at, run_id, ingested_at, metadata FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String}) AS s))
ORDER BY place, sipHash64({seed:Int64}, run_id), run_id LIMIT {sample:UInt64}))))))) AS k ON t.run_id = k.run_id AND t.started_at = k.started_at
LEFT JOIN (SELECT started_at, run_id, answer AS answer FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String}) AS p ON k.previous_run_id = p.run_id AND k.previous_started_at = p.started_at);
