-- rows
-- app = app
-- limit = 1000
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
input_group AS row_input_group
FROM (SELECT {workspace:String} AS workspace_id, t.run_id AS run_id, t.source AS source, t.app_id AS app_id, t.app_version AS app_version, t.model AS model, t.status AS status, t.started_at AS started_at, t.ended_at AS ended_at, t.updated_at AS updated_at, t.inputs AS inputs, t.outputs AS outputs, t.messages AS messages, t.tools AS tools, t.error_type AS error_type, t.error_message AS error_message, t.files AS files, t.usage_input_tokens AS usage_input_tokens, t.usage_output_tokens AS usage_output_tokens, t.cost_usd AS cost_usd, t.metadata AS metadata, t.input_group AS input_group, k.group_key AS group_key, k.feedback_id AS feedback_id, k.feedback_rating AS feedback_rating, k.feedback_score AS feedback_score, k.feedback_comment AS feedback_comment, k.feedback_tags AS feedback_tags, k.feedback_corrected_answer AS feedback_corrected_answer, t.app_name AS app_name, t.request_id AS request_id, t.session_id AS session_id, t.user_id AS user_id, t.trace_id AS trace_id, t.trigger AS trigger, t.question AS question, t.answer AS answer, t.reference AS reference, t.system_inputs AS system_inputs, '' AS node_run_id
FROM (SELECT * FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (started_at, run_id) IN (SELECT s.started_at AS started_at, s.run_id AS run_id FROM (SELECT started_at, run_id, ingested_at FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String}) AS s
ORDER BY s.started_at DESC, s.run_id DESC LIMIT {limit:UInt64})) AS t
INNER JOIN (SELECT *, if(row_number() OVER (PARTITION BY whole_group ORDER BY started_at DESC, run_id DESC, node_run_id DESC) > 1000, '', whole_group) AS group_key FROM (
SELECT s.started_at AS started_at, s.run_id AS run_id, '' AS node_run_id, s.app_version AS app_version, concat(s.input_group, s.context_hash) AS whole_group, false AS feedback_on_node, f.feedback_id AS feedback_id, f.feedback_rating AS feedback_rating, f.feedback_score AS feedback_score, f.feedback_comment AS feedback_comment, f.feedback_tags AS feedback_tags, f.feedback_corrected_answer AS feedback_corrected_answer
FROM (SELECT started_at, run_id, ingested_at, app_version, input_group, context_hash FROM runs AS s FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String}
ORDER BY s.started_at DESC, s.run_id DESC LIMIT {limit:UInt64}) AS s
LEFT JOIN (SELECT run_id, node_id AS feedback_node_id, feedback_id, rating AS feedback_rating, score AS feedback_score, comment AS feedback_comment,
    tags AS feedback_tags, corrected_answer AS feedback_corrected_answer, ingested_at
FROM feedback FINAL WHERE workspace_id = {workspace:String} AND node_id = '' AND run_id IN (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String})
ORDER BY run_id, version DESC, feedback_id DESC LIMIT 1 BY run_id) AS f ON s.run_id = f.run_id)) AS k ON t.run_id = k.run_id AND t.started_at = k.started_at)
ORDER BY group_key, started_at, run_id, node_run_id;

-- count
-- app = app
-- bound = 1000
-- source = recipe
-- workspace = acme
SELECT toString(count()) FROM (SELECT 1 FROM (SELECT started_at, run_id, ingested_at FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String}) AS s
LIMIT {bound:UInt64});

-- insert snapshot
-- app = app
-- limit = 1000
-- snapshot = snapshot-1
-- source = recipe
-- workspace = acme
INSERT INTO export_stage_rows (stage_id, workspace_id, group_key, run_id, source, app_id, app_version, model, status, started_at, ended_at, updated_at, inputs, outputs, messages, tools, error_type, error_message, files, usage_input_tokens, usage_output_tokens, cost_usd, metadata, input_group, app_name, request_id, session_id, user_id, trace_id, trigger, question, answer, reference, feedback_id, feedback_rating, feedback_score, feedback_comment, feedback_tags, feedback_corrected_answer, system_inputs)
SELECT {snapshot:String}, workspace_id, group_key, run_id, source, app_id, app_version, model, status, started_at, ended_at, updated_at, inputs, outputs, messages, tools, error_type, error_message, files, usage_input_tokens, usage_output_tokens, cost_usd, metadata, input_group, app_name, request_id, session_id, user_id, trace_id, trigger, question, answer, reference, feedback_id, feedback_rating, feedback_score, feedback_comment, feedback_tags, feedback_corrected_answer, system_inputs
FROM (SELECT {workspace:String} AS workspace_id, t.run_id AS run_id, t.source AS source, t.app_id AS app_id, t.app_version AS app_version, t.model AS model, t.status AS status, t.started_at AS started_at, t.ended_at AS ended_at, t.updated_at AS updated_at, t.inputs AS inputs, t.outputs AS outputs, t.messages AS messages, t.tools AS tools, t.error_type AS error_type, t.error_message AS error_message, t.files AS files, t.usage_input_tokens AS usage_input_tokens, t.usage_output_tokens AS usage_output_tokens, t.cost_usd AS cost_usd, t.metadata AS metadata, t.input_group AS input_group, k.group_key AS group_key, k.feedback_id AS feedback_id, k.feedback_rating AS feedback_rating, k.feedback_score AS feedback_score, k.feedback_comment AS feedback_comment, k.feedback_tags AS feedback_tags, k.feedback_corrected_answer AS feedback_corrected_answer, t.app_name AS app_name, t.request_id AS request_id, t.session_id AS session_id, t.user_id AS user_id, t.trace_id AS trace_id, t.trigger AS trigger, t.question AS question, t.answer AS answer, t.reference AS reference, t.system_inputs AS system_inputs, '' AS node_run_id
FROM (SELECT * FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String}) AS t
INNER JOIN (SELECT *, if(row_number() OVER (PARTITION BY whole_group ORDER BY started_at DESC, run_id DESC, node_run_id DESC) > 1000, '', whole_group) AS group_key FROM (
SELECT s.started_at AS started_at, s.run_id AS run_id, '' AS node_run_id, s.app_version AS app_version, concat(s.input_group, s.context_hash) AS whole_group, false AS feedback_on_node, f.feedback_id AS feedback_id, f.feedback_rating AS feedback_rating, f.feedback_score AS feedback_score, f.feedback_comment AS feedback_comment, f.feedback_tags AS feedback_tags, f.feedback_corrected_answer AS feedback_corrected_answer
FROM (SELECT started_at, run_id, ingested_at, app_version, input_group, context_hash FROM runs AS s FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String}
ORDER BY s.started_at DESC, s.run_id DESC LIMIT {limit:UInt64}) AS s
LEFT JOIN (SELECT run_id, node_id AS feedback_node_id, feedback_id, rating AS feedback_rating, score AS feedback_score, comment AS feedback_comment,
    tags AS feedback_tags, corrected_answer AS feedback_corrected_answer, ingested_at
FROM feedback FINAL WHERE workspace_id = {workspace:String} AND node_id = '' AND run_id IN (SELECT run_id FROM runs WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String})
ORDER BY run_id, version DESC, feedback_id DESC LIMIT 1 BY run_id) AS f ON s.run_id = f.run_id)) AS k ON t.run_id = k.run_id AND t.started_at = k.started_at);
