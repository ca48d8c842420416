-- rows
-- app = app
-- from = 1772323200000
-- nodes = draft,solve
-- sample = 1000
-- seed = 7
-- source = recipe
-- to = 1775001600000
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
node_run_id AS row_node_run_id,
CAST(node_id, 'LowCardinality(String)') AS row_node_id,
CAST(node_name, 'LowCardinality(String)') AS row_node_name,
CAST(node_type, 'LowCardinality(String)') AS row_node_type,
parent_node_run_id AS row_parent_node_run_id,
sequence AS row_sequence,
prompt_template AS row_prompt_template,
prompt_variables AS row_prompt_variables,
parameters AS row_parameters,
chunks AS row_chunks,
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
feedback_on_node = 1 AS row_feedback_on_node,
input_group AS row_input_group,
CAST(run_status, 'LowCardinality(String)') AS row_run_status,
run_input_group AS row_run_input_group
FROM (SELECT {workspace:String} AS workspace_id, t.run_id AS run_id, t.source AS source, t.app_id AS app_id, t.app_version AS app_version, t.model AS model, t.status AS status, t.started_at AS started_at, t.ended_at AS ended_at, t.updated_at AS updated_at, t.inputs AS inputs, t.outputs AS outputs, t.messages AS messages, t.tools AS tools, t.error_type AS error_type, t.error_message AS error_message, t.files AS files, t.usage_input_tokens AS usage_input_tokens, t.usage_output_tokens AS usage_output_tokens, t.cost_usd AS cost_usd, t.metadata AS metadata, t.input_group AS input_group, k.group_key AS group_key, k.feedback_id AS feedback_id, k.feedback_rating AS feedback_rating, k.feedback_score AS feedback_score, k.feedback_comment AS feedback_comment, k.feedback_tags AS feedback_tags, k.feedback_corrected_answer AS feedback_corrected_answer, k.feedback_scores AS feedback_scores, k.feedback_on_node AS feedback_on_node, t.node_run_id AS node_run_id, t.node_id AS node_id, t.node_name AS node_name, t.node_type AS node_type, t.parent_node_run_id AS parent_node_run_id, t.sequence AS sequence, t.prompt_template AS prompt_template, t.prompt_variables AS prompt_variables, t.parameters AS parameters, t.chunks AS chunks, r.app_name AS app_name, r.request_id AS request_id, r.session_id AS session_id, r.user_id AS user_id, r.trace_id AS trace_id, r.trigger AS trigger, r.question AS question, r.answer AS answer, r.reference AS reference, r.status AS run_status, r.input_group AS run_input_group
FROM (SELECT * FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND node_id IN (splitByChar(',', {nodes:String})) AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC') AND (started_at, run_id, node_run_id) IN (SELECT s.started_at AS started_at, s.run_id AS run_id, s.node_run_id AS node_run_id FROM (SELECT started_at, run_id, ingested_at, node_run_id, node_id, metadata FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND node_id IN (splitByChar(',', {nodes:String})) AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')) AS s
WHERE s.run_id IN (SELECT run_id FROM (SELECT run_id, row_number() OVER (PARTITION BY stratum ORDER BY sipHash64({seed:Int64}, run_id), run_id) AS place
FROM (SELECT s.run_id AS run_id, argMax(toString(s.feedback_rating), (s.started_at, s.node_run_id)) AS stratum FROM (SELECT * EXCEPT (own_judged, judged, own),
tupleElement(tupleElement(judged, 'judgement'), 'feedback_id')[1] AS feedback_id,
arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'rating')) AS feedback_rating,
arrayFirst((v, n) -> n = '' AND isNotNull(v), tupleElement(tupleElement(judged, 'judgement'), 'score'), tupleElement(tupleElement(judged, 'judgement'), 'name')) AS feedback_score,
arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'comment')) AS feedback_comment,
arrayFirst(v -> notEmpty(v), tupleElement(tupleElement(judged, 'judgement'), 'tags')) AS feedback_tags,
arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'corrected_answer')) AS feedback_corrected_answer,
arrayReverseSort(arrayFilter((j, n, v) -> n != '' AND isNotNull(v),
    arrayZip(arrayMap((v, i) -> (i <= own, v), tupleElement(judged, 'version'), arrayEnumerate(judged)), tupleElement(tupleElement(judged, 'judgement'), 'feedback_id'),
    tupleElement(tupleElement(judged, 'judgement'), 'name'), tupleElement(tupleElement(judged, 'judgement'), 'score'), tupleElement(tupleElement(judged, 'judgement'), 'rating')),
    tupleElement(tupleElement(judged, 'judgement'), 'name'), tupleElement(tupleElement(judged, 'judgement'), 'score'))) AS feedback_named,
CAST(arrayMap(j -> (j.3, j.4, j.5), arrayFilter((j, i) -> i = 1, feedback_named,
    arrayEnumerateUniq(feedback_named.3))), 'Array(Tuple(name String, value Nullable(Float64), label String))') AS feedback_scores,
arrayMax(tupleElement(judged, 'ingested_at')) AS feedback_ingested_at,
arrayExists(v -> v != '', tupleElement(tupleElement(own_judged, 'judgement'), 'corrected_answer')) AS feedback_on_node
FROM (SELECT s.*, arrayFilter(j -> j.node_run_id = s.node_run_id OR j.node_run_id = '' AND j.node_id = s.node_id, f.judged) AS own_judged,
length(own_judged) AS own, arrayConcat(own_judged, arrayFilter(j -> j.node_run_id = '' AND j.node_id = '', f.judged)) AS judged
FROM (SELECT started_at, run_id, ingested_at, node_run_id, node_id, metadata FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND node_id IN (splitByChar(',', {nodes:String})) AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')) AS s
LEFT JOIN (SELECT run_id, CAST(arrayReverseSort(groupArray((kind = 'human', version, tuple(feedback_id, toString(name), toString(rating), score, comment, tags, corrected_answer), ingested_at, toString(node_id), node_run_id))), 'Array(Tuple(human UInt8, version UInt64, judgement Tuple(feedback_id String, name String, rating String, score Nullable(Float64), comment String, tags Array(String), corrected_answer String), ingested_at DateTime64(6, \'UTC\'), node_id String, node_run_id String))') AS judged
FROM feedback FINAL WHERE workspace_id = {workspace:String} AND (node_id = '' OR node_run_id != '' OR node_id IN (splitByChar(',', {nodes:String}))) GROUP BY run_id) AS f ON s.run_id = f.run_id)) AS s
GROUP BY s.run_id))
ORDER BY place, sipHash64({seed:Int64}, run_id), run_id LIMIT {sample:UInt64}))) AS t
INNER JOIN (SELECT *, whole_group AS group_key FROM (SELECT s.started_at AS started_at, s.run_id AS run_id, s.node_run_id AS node_run_id, s.app_version AS app_version, '' AS whole_group, s.feedback_on_node AS feedback_on_node, s.feedback_id AS feedback_id, s.feedback_rating AS feedback_rating, s.feedback_score AS feedback_score, s.feedback_comment AS feedback_comment, s.feedback_tags AS feedback_tags, s.feedback_corrected_answer AS feedback_corrected_answer, s.feedback_scores AS feedback_scores
FROM (SELECT * EXCEPT (own_judged, judged, own),
tupleElement(tupleElement(judged, 'judgement'), 'feedback_id')[1] AS feedback_id,
arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'rating')) AS feedback_rating,
arrayFirst((v, n) -> n = '' AND isNotNull(v), tupleElement(tupleElement(judged, 'judgement'), 'score'), tupleElement(tupleElement(judged, 'judgement'), 'name')) AS feedback_score,
arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'comment')) AS feedback_comment,
arrayFirst(v -> notEmpty(v), tupleElement(tupleElement(judged, 'judgement'), 'tags')) AS feedback_tags,
arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'corrected_answer')) AS feedback_corrected_answer,
arrayReverseSort(arrayFilter((j, n, v) -> n != '' AND isNotNull(v),
    arrayZip(arrayMap((v, i) -> (i <= own, v), tupleElement(judged, 'version'), arrayEnumerate(judged)), tupleElement(tupleElement(judged, 'judgement'), 'feedback_id'),
    tupleElement(tupleElement(judged, 'judgement'), 'name'), tupleElement(tupleElement(judged, 'judgement'), 'score'), tupleElement(tupleElement(judged, 'judgement'), 'rating')),
    tupleElement(tupleElement(judged, 'judgement'), 'name'), tupleElement(tupleElement(judged, 'judgement'), 'score'))) AS feedback_named,
CAST(arrayMap(j -> (j.3, j.4, j.5), arrayFilter((j, i) -> i = 1, feedback_named,
    arrayEnumerateUniq(feedback_named.3))), 'Array(Tuple(name String, value Nullable(Float64), label String))') AS feedback_scores,
arrayMax(tupleElement(judged, 'ingested_at')) AS feedback_ingested_at,
arrayExists(v -> v != '', tupleElement(tupleElement(own_judged, 'judgement'), 'corrected_answer')) AS feedback_on_node
FROM (SELECT s.*, arrayFilter(j -> j.node_run_id = s.node_run_id OR j.node_run_id = '' AND j.node_id = s.node_id, f.judged) AS own_judged,
length(own_judged) AS own, arrayConcat(own_judged, arrayFilter(j -> j.node_run_id = '' AND j.node_id = '', f.judged)) AS judged
FROM (SELECT started_at, run_id, ingested_at, app_version, input_group, node_run_id, node_id, metadata FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND node_id IN (splitByChar(',', {nodes:String})) AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')) AS s
LEFT JOIN (SELECT run_id, CAST(arrayReverseSort(groupArray((kind = 'human', version, tuple(feedback_id, toString(name), toString(rating), score, comment, tags, corrected_answer), ingested_at, toString(node_id), node_run_id))), 'Array(Tuple(human UInt8, version UInt64, judgement Tuple(feedback_id String, name String, rating String, score Nullable(Float64), comment String, tags Array(String), corrected_answer String), ingested_at DateTime64(6, \'UTC\'), node_id String, node_run_id String))') AS judged
FROM feedback FINAL WHERE workspace_id = {workspace:String} AND (node_id = '' OR node_run_id != '' OR node_id IN (splitByChar(',', {nodes:String}))) AND run_id IN (SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND node_id IN (splitByChar(',', {nodes:String})) AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')) GROUP BY run_id) AS f ON s.run_id = f.run_id)) AS s
WHERE s.run_id IN (SELECT run_id FROM (SELECT run_id, row_number() OVER (PARTITION BY stratum ORDER BY sipHash64({seed:Int64}, run_id), run_id) AS place
FROM (SELECT s.run_id AS run_id, argMax(toString(s.feedback_rating), (s.started_at, s.node_run_id)) AS stratum FROM (SELECT * EXCEPT (own_judged, judged, own),
tupleElement(tupleElement(judged, 'judgement'), 'feedback_id')[1] AS feedback_id,
arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'rating')) AS feedback_rating,
arrayFirst((v, n) -> n = '' AND isNotNull(v), tupleElement(tupleElement(judged, 'judgement'), 'score'), tupleElement(tupleElement(judged, 'judgement'), 'name')) AS feedback_score,
arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'comment')) AS feedback_comment,
arrayFirst(v -> notEmpty(v), tupleElement(tupleElement(judged, 'judgement'), 'tags')) AS feedback_tags,
arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'corrected_answer')) AS feedback_corrected_answer,
arrayReverseSort(arrayFilter((j, n, v) -> n != '' AND isNotNull(v),
    arrayZip(arrayMap((v, i) -> (i <= own, v), tupleElement(judged, 'version'), arrayEnumerate(judged)), tupleElement(tupleElement(judged, 'judgement'), 'feedback_id'),
    tupleElement(tupleElement(judged, 'judgement'), 'name'), tupleElement(tupleElement(judged, 'judgement'), 'score'), tupleElement(tupleElement(judged, 'judgement'), 'rating')),
    tupleElement(tupleElement(judged, 'judgement'), 'name'), tupleElement(tupleElement(judged, 'judgement'), 'score'))) AS feedback_named,
CAST(arrayMap(j -> (j.3, j.4, j.5), arrayFilter((j, i) -> i = 1, feedback_named,
    arrayEnumerateUniq(feedback_named.3))), 'Array(Tuple(name String, value Nullable(Float64), label String))') AS feedback_scores,
arrayMax(tupleElement(judged, 'ingested_at')) AS feedback_ingested_at,
arrayExists(v -> v != '', tupleElement(tupleElement(own_judged, 'judgement'), 'corrected_answer')) AS feedback_on_node
FROM (SELECT s.*, arrayFilter(j -> j.node_run_id = s.node_run_id OR j.node_run_id = '' AND j.node_id = s.node_id, f.judged) AS own_judged,
length(own_judged) AS own, arrayConcat(own_judged, arrayFilter(j -> j.node_run_id = '' AND j.node_id = '', f.judged)) AS judged
FROM (SELECT started_at, run_id, ingested_at, node_run_id, node_id, metadata FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND node_id IN (splitByChar(',', {nodes:String})) AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')) AS s
LEFT JOIN (SELECT run_id, CAST(arrayReverseSort(groupArray((kind = 'human', version, tuple(feedback_id, toString(name), toString(rating), score, comment, tags, corrected_answer), ingested_at, toString(node_id), node_run_id))), 'Array(Tuple(human UInt8, version UInt64, judgement Tuple(feedback_id String, name String, rating String, score Nullable(Float64), comment String, tags Array(String), corrected_answer String), ingested_at DateTime64(6, \'UTC\'), node_id String, node_run_id String))') AS judged
FROM feedback FINAL WHERE workspace_id = {workspace:String} AND (node_id = '' OR node_run_id != '' OR node_id IN (splitByChar(',', {nodes:String}))) AND run_id IN (SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND node_id IN (splitByChar(',', {nodes:String})) AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')) GROUP BY run_id) AS f ON s.run_id = f.run_id)) AS s
GROUP BY s.run_id))
ORDER BY place, sipHash64({seed:Int64}, run_id), run_id LIMIT {sample:UInt64}))) AS k ON t.run_id = k.run_id AND t.started_at = k.started_at AND t.node_run_id = k.node_run_id
LEFT JOIN (SELECT run_id, status, input_group, app_name, request_id, session_id, user_id, trace_id, trigger, question, answer, reference FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND node_id IN (splitByChar(',', {nodes:String})) AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC'))) AS r ON t.run_id = r.run_id)
ORDER BY group_key, started_at, run_id, node_run_id;

-- count
-- app = app
-- bound = 5000
-- from = 1772323200000
-- nodes = draft,solve
-- sample = 1000
-- seed = 7
-- source = recipe
-- to = 1775001600000
-- workspace = acme
SELECT toString(count()) FROM (SELECT 1 FROM (SELECT started_at, run_id, ingested_at, node_run_id, node_id, metadata FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND node_id IN (splitByChar(',', {nodes:String})) AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')) AS s
WHERE s.run_id IN (SELECT run_id FROM (SELECT run_id, row_number() OVER (PARTITION BY stratum ORDER BY sipHash64({seed:Int64}, run_id), run_id) AS place
FROM (SELECT s.run_id AS run_id, argMax(toString(s.feedback_rating), (s.started_at, s.node_run_id)) AS stratum FROM (SELECT * EXCEPT (own_judged, judged, own),
tupleElement(tupleElement(judged, 'judgement'), 'feedback_id')[1] AS feedback_id,
arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'rating')) AS feedback_rating,
arrayFirst((v, n) -> n = '' AND isNotNull(v), tupleElement(tupleElement(judged, 'judgement'), 'score'), tupleElement(tupleElement(judged, 'judgement'), 'name')) AS feedback_score,
arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'comment')) AS feedback_comment,
arrayFirst(v -> notEmpty(v), tupleElement(tupleElement(judged, 'judgement'), 'tags')) AS feedback_tags,
arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'corrected_answer')) AS feedback_corrected_answer,
arrayReverseSort(arrayFilter((j, n, v) -> n != '' AND isNotNull(v),
    arrayZip(arrayMap((v, i) -> (i <= own, v), tupleElement(judged, 'version'), arrayEnumerate(judged)), tupleElement(tupleElement(judged, 'judgement'), 'feedback_id'),
    tupleElement(tupleElement(judged, 'judgement'), 'name'), tupleElement(tupleElement(judged, 'judgement'), 'score'), tupleElement(tupleElement(judged, 'judgement'), 'rating')),
    tupleElement(tupleElement(judged, 'judgement'), 'name'), tupleElement(tupleElement(judged, 'judgement'), 'score'))) AS feedback_named,
CAST(arrayMap(j -> (j.3, j.4, j.5), arrayFilter((j, i) -> i = 1, feedback_named,
    arrayEnumerateUniq(feedback_named.3))), 'Array(Tuple(name String, value Nullable(Float64), label String))') AS feedback_scores,
arrayMax(tupleElement(judged, 'ingested_at')) AS feedback_ingested_at,
arrayExists(v -> v != '', tupleElement(tupleElement(own_judged, 'judgement'), 'corrected_answer')) AS feedback_on_node
FROM (SELECT s.*, arrayFilter(j -> j.node_run_id = s.node_run_id OR j.node_run_id = '' AND j.node_id = s.node_id, f.judged) AS own_judged,
length(own_judged) AS own, arrayConcat(own_judged, arrayFilter(j -> j.node_run_id = '' AND j.node_id = '', f.judged)) AS judged
FROM (SELECT started_at, run_id, ingested_at, node_run_id, node_id, metadata FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND node_id IN (splitByChar(',', {nodes:String})) AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')) AS s
LEFT JOIN (SELECT run_id, CAST(arrayReverseSort(groupArray((kind = 'human', version, tuple(feedback_id, toString(name), toString(rating), score, comment, tags, corrected_answer), ingested_at, toString(node_id), node_run_id))), 'Array(Tuple(human UInt8, version UInt64, judgement Tuple(feedback_id String, name String, rating String, score Nullable(Float64), comment String, tags Array(String), corrected_answer String), ingested_at DateTime64(6, \'UTC\'), node_id String, node_run_id String))') AS judged
FROM feedback FINAL WHERE workspace_id = {workspace:String} AND (node_id = '' OR node_run_id != '' OR node_id IN (splitByChar(',', {nodes:String}))) GROUP BY run_id) AS f ON s.run_id = f.run_id)) AS s
GROUP BY s.run_id))
ORDER BY place, sipHash64({seed:Int64}, run_id), run_id LIMIT {sample:UInt64})
LIMIT {bound:UInt64});

-- insert snapshot
-- app = app
-- from = 1772323200000
-- nodes = draft,solve
-- sample = 1000
-- seed = 7
-- snapshot = snapshot-1
-- source = recipe
-- to = 1775001600000
-- workspace = acme
INSERT INTO export_stage_rows (stage_id, workspace_id, group_key, run_id, source, app_id, app_version, model, status, started_at, ended_at, updated_at, inputs, outputs, messages, tools, error_type, error_message, files, usage_input_tokens, usage_output_tokens, cost_usd, metadata, input_group, app_name, request_id, session_id, user_id, trace_id, trigger, question, answer, reference, feedback_id, feedback_rating, feedback_score, feedback_comment, feedback_tags, feedback_corrected_answer, feedback_scores, feedback_on_node, node_run_id, node_id, node_name, node_type, parent_node_run_id, sequence, prompt_template, prompt_variables, parameters, chunks, run_status, run_input_group)
SELECT {snapshot:String}, workspace_id, group_key, run_id, source, app_id, app_version, model, status, started_at, ended_at, updated_at, inputs, outputs, messages, tools, error_type, error_message, files, usage_input_tokens, usage_output_tokens, cost_usd, metadata, input_group, app_name, request_id, session_id, user_id, trace_id, trigger, question, answer, reference, feedback_id, feedback_rating, feedback_score, feedback_comment, feedback_tags, feedback_corrected_answer, feedback_scores, feedback_on_node, node_run_id, node_id, node_name, node_type, parent_node_run_id, sequence, prompt_template, prompt_variables, parameters, chunks, run_status, run_input_group
FROM (SELECT {workspace:String} AS workspace_id, t.run_id AS run_id, t.source AS source, t.app_id AS app_id, t.app_version AS app_version, t.model AS model, t.status AS status, t.started_at AS started_at, t.ended_at AS ended_at, t.updated_at AS updated_at, t.inputs AS inputs, t.outputs AS outputs, t.messages AS messages, t.tools AS tools, t.error_type AS error_type, t.error_message AS error_message, t.files AS files, t.usage_input_tokens AS usage_input_tokens, t.usage_output_tokens AS usage_output_tokens, t.cost_usd AS cost_usd, t.metadata AS metadata, t.input_group AS input_group, k.group_key AS group_key, k.feedback_id AS feedback_id, k.feedback_rating AS feedback_rating, k.feedback_score AS feedback_score, k.feedback_comment AS feedback_comment, k.feedback_tags AS feedback_tags, k.feedback_corrected_answer AS feedback_corrected_answer, k.feedback_scores AS feedback_scores, k.feedback_on_node AS feedback_on_node, t.node_run_id AS node_run_id, t.node_id AS node_id, t.node_name AS node_name, t.node_type AS node_type, t.parent_node_run_id AS parent_node_run_id, t.sequence AS sequence, t.prompt_template AS prompt_template, t.prompt_variables AS prompt_variables, t.parameters AS parameters, t.chunks AS chunks, r.app_name AS app_name, r.request_id AS request_id, r.session_id AS session_id, r.user_id AS user_id, r.trace_id AS trace_id, r.trigger AS trigger, r.question AS question, r.answer AS answer, r.reference AS reference, r.status AS run_status, r.input_group AS run_input_group
FROM (SELECT * FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND node_id IN (splitByChar(',', {nodes:String})) AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')) AS t
INNER JOIN (SELECT *, whole_group AS group_key FROM (SELECT s.started_at AS started_at, s.run_id AS run_id, s.node_run_id AS node_run_id, s.app_version AS app_version, '' AS whole_group, s.feedback_on_node AS feedback_on_node, s.feedback_id AS feedback_id, s.feedback_rating AS feedback_rating, s.feedback_score AS feedback_score, s.feedback_comment AS feedback_comment, s.feedback_tags AS feedback_tags, s.feedback_corrected_answer AS feedback_corrected_answer, s.feedback_scores AS feedback_scores
FROM (SELECT * EXCEPT (own_judged, judged, own),
tupleElement(tupleElement(judged, 'judgement'), 'feedback_id')[1] AS feedback_id,
arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'rating')) AS feedback_rating,
arrayFirst((v, n) -> n = '' AND isNotNull(v), tupleElement(tupleElement(judged, 'judgement'), 'score'), tupleElement(tupleElement(judged, 'judgement'), 'name')) AS feedback_score,
arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'comment')) AS feedback_comment,
arrayFirst(v -> notEmpty(v), tupleElement(tupleElement(judged, 'judgement'), 'tags')) AS feedback_tags,
arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'corrected_answer')) AS feedback_corrected_answer,
arrayReverseSort(arrayFilter((j, n, v) -> n != '' AND isNotNull(v),
    arrayZip(arrayMap((v, i) -> (i <= own, v), tupleElement(judged, 'version'), arrayEnumerate(judged)), tupleElement(tupleElement(judged, 'judgement'), 'feedback_id'),
    tupleElement(tupleElement(judged, 'judgement'), 'name'), tupleElement(tupleElement(judged, 'judgement'), 'score'), tupleElement(tupleElement(judged, 'judgement'), 'rating')),
    tupleElement(tupleElement(judged, 'judgement'), 'name'), tupleElement(tupleElement(judged, 'judgement'), 'score'))) AS feedback_named,
CAST(arrayMap(j -> (j.3, j.4, j.5), arrayFilter((j, i) -> i = 1, feedback_named,
    arrayEnumerateUniq(feedback_named.3))), 'Array(Tuple(name String, value Nullable(Float64), label String))') AS feedback_scores,
arrayMax(tupleElement(judged, 'ingested_at')) AS feedback_ingested_at,
arrayExists(v -> v != '', tupleElement(tupleElement(own_judged, 'judgement'), 'corrected_answer')) AS feedback_on_node
FROM (SELECT s.*, arrayFilter(j -> j.node_run_id = s.node_run_id OR j.node_run_id = '' AND j.node_id = s.node_id, f.judged) AS own_judged,
length(own_judged) AS own, arrayConcat(own_judged, arrayFilter(j -> j.node_run_id = '' AND j.node_id = '', f.judged)) AS judged
FROM (SELECT started_at, run_id, ingested_at, app_version, input_group, node_run_id, node_id, metadata FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND node_id IN (splitByChar(',', {nodes:String})) AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')) AS s
LEFT JOIN (SELECT run_id, CAST(arrayReverseSort(groupArray((kind = 'human', version, tuple(feedback_id, toString(name), toString(rating), score, comment, tags, corrected_answer), ingested_at, toString(node_id), node_run_id))), 'Array(Tuple(human UInt8, version UInt64, judgement Tuple(feedback_id String, name String, rating String, score Nullable(Float64), comment String, tags Array(String), corrected_answer String), ingested_at DateTime64(6, \'UTC\'), node_id String, node_run_id String))') AS judged
FROM feedback FINAL WHERE workspace_id = {workspace:String} AND (node_id = '' OR node_run_id != '' OR node_id IN (splitByChar(',', {nodes:String}))) AND run_id IN (SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND node_id IN (splitByChar(',', {nodes:String})) AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')) GROUP BY run_id) AS f ON s.run_id = f.run_id)) AS s
WHERE s.run_id IN (SELECT run_id FROM (SELECT run_id, row_number() OVER (PARTITION BY stratum ORDER BY sipHash64({seed:Int64}, run_id), run_id) AS place
FROM (SELECT s.run_id AS run_id, argMax(toString(s.feedback_rating), (s.started_at, s.node_run_id)) AS stratum FROM (SELECT * EXCEPT (own_judged, judged, own),
tupleElement(tupleElement(judged, 'judgement'), 'feedback_id')[1] AS feedback_id,
arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'rating')) AS feedback_rating,
arrayFirst((v, n) -> n = '' AND isNotNull(v), tupleElement(tupleElement(judged, 'judgement'), 'score'), tupleElement(tupleElement(judged, 'judgement'), 'name')) AS feedback_score,
arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'comment')) AS feedback_comment,
arrayFirst(v -> notEmpty(v), tupleElement(tupleElement(judged, 'judgement'), 'tags')) AS feedback_tags,
arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'corrected_answer')) AS feedback_corrected_answer,
arrayReverseSort(arrayFilter((j, n, v) -> n != '' AND isNotNull(v),
    arrayZip(arrayMap((v, i) -> (i <= own, v), tupleElement(judged, 'version'), arrayEnumerate(judged)), tupleElement(tupleElement(judged, 'judgement'), 'feedback_id'),
    tupleElement(tupleElement(judged, 'judgement'), 'name'), tupleElement(tupleElement(judged, 'judgement'), 'score'), tupleElement(tupleElement(judged, 'judgement'), 'rating')),
    tupleElement(tupleElement(judged, 'judgement'), 'name'), tupleElement(tupleElement(judged, 'judgement'), 'score'))) AS feedback_named,
CAST(arrayMap(j -> (j.3, j.4, j.5), arrayFilter((j, i) -> i = 1, feedback_named,
    arrayEnumerateUniq(feedback_named.3))), 'Array(Tuple(name String, value Nullable(Float64), label String))') AS feedback_scores,
arrayMax(tupleElement(judged, 'ingested_at')) AS feedback_ingested_at,
arrayExists(v -> v != '', tupleElement(tupleElement(own_judged, 'judgement'), 'corrected_answer')) AS feedback_on_node
FROM (SELECT s.*, arrayFilter(j -> j.node_run_id = s.node_run_id OR j.node_run_id = '' AND j.node_id = s.node_id, f.judged) AS own_judged,
length(own_judged) AS own, arrayConcat(own_judged, arrayFilter(j -> j.node_run_id = '' AND j.node_id = '', f.judged)) AS judged
FROM (SELECT started_at, run_id, ingested_at, node_run_id, node_id, metadata FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND node_id IN (splitByChar(',', {nodes:String})) AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')) AS s
LEFT JOIN (SELECT run_id, CAST(arrayReverseSort(groupArray((kind = 'human', version, tuple(feedback_id, toString(name), toString(rating), score, comment, tags, corrected_answer), ingested_at, toString(node_id), node_run_id))), 'Array(Tuple(human UInt8, version UInt64, judgement Tuple(feedback_id String, name String, rating String, score Nullable(Float64), comment String, tags Array(String), corrected_answer String), ingested_at DateTime64(6, \'UTC\'), node_id String, node_run_id String))') AS judged
FROM feedback FINAL WHERE workspace_id = {workspace:String} AND (node_id = '' OR node_run_id != '' OR node_id IN (splitByChar(',', {nodes:String}))) AND run_id IN (SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND node_id IN (splitByChar(',', {nodes:String})) AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')) GROUP BY run_id) AS f ON s.run_id = f.run_id)) AS s
GROUP BY s.run_id))
ORDER BY place, sipHash64({seed:Int64}, run_id), run_id LIMIT {sample:UInt64}))) AS k ON t.run_id = k.run_id AND t.started_at = k.started_at AND t.node_run_id = k.node_run_id
LEFT JOIN (SELECT run_id, status, input_group, app_name, request_id, session_id, user_id, trace_id, trigger, question, answer, reference FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM nodes WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND node_id IN (splitByChar(',', {nodes:String})) AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC'))) AS r ON t.run_id = r.run_id);
