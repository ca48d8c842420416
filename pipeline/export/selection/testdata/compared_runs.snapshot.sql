-- count
-- snapshot = snapshot-1
-- workspace = acme
SELECT toString(count()) FROM export_stage_rows WHERE workspace_id = {workspace:String} AND stage_id = {snapshot:String};

-- keys of windows
-- size = 100
-- snapshot = snapshot-1
-- workspace = acme
SELECT tupleElement(key, 1) AS group_key,
toUnixTimestamp64Milli(tupleElement(key, 2)) AS started_at_ms,
tupleElement(key, 3) AS run_id, tupleElement(key, 4) AS node_run_id, toInt64(first) AS first,
toInt64(last) AS last FROM (
    SELECT argMinIf((group_key, started_at, run_id, node_run_id), number, begins) AS key, minIf(number, begins) AS first,
    max(number) AS last FROM (
        SELECT group_key, started_at, run_id, node_run_id, row_number() OVER w AS number,
        group_key = '' OR group_key != lagInFrame(group_key) OVER w AS begins
        FROM export_stage_rows WHERE workspace_id = {workspace:String} AND stage_id = {snapshot:String}
        WINDOW w AS (ORDER BY group_key, started_at, run_id, node_run_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
    ) GROUP BY intDiv(number - 1, {size:UInt64})
) ORDER BY last;

-- rows
-- from = 1772323200000
-- from_group = 61
-- from_node = 
-- from_run = run-1
-- snapshot = snapshot-1
-- to = 1772323200000
-- to_group = 62
-- to_node = 
-- to_run = run-9
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
FROM export_stage_rows WHERE workspace_id = {workspace:String} AND stage_id = {snapshot:String} AND (group_key, started_at, run_id, node_run_id) >= (unhex({from_group:String}), fromUnixTimestamp64Milli({from:Int64}, 'UTC'), {from_run:String}, {from_node:String}) AND (group_key, started_at, run_id, node_run_id) < (unhex({to_group:String}), fromUnixTimestamp64Milli({to:Int64}, 'UTC'), {to_run:String}, {to_node:String}) AND group_key >= unhex({from_group:String}) AND group_key <= unhex({to_group:String})
ORDER BY group_key, started_at, run_id, node_run_id;

-- node runs
-- app = app
-- from = 1772323200000
-- from_group = 61
-- from_node = 
-- from_run = run-1
-- snapshot = snapshot-1
-- source = recipe
-- to = 1772323200000
-- to_group = 62
-- to_node = 
-- to_run = run-9
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
FROM (SELECT * FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (node_id, started_at, run_id) IN (SELECT node_id, started_at, run_id FROM node_keys WHERE workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM (SELECT group_key, started_at, run_id FROM export_stage_rows WHERE workspace_id = {workspace:String} AND stage_id = {snapshot:String} AND (group_key, started_at, run_id, node_run_id) >= (unhex({from_group:String}), fromUnixTimestamp64Milli({from:Int64}, 'UTC'), {from_run:String}, {from_node:String}) AND (group_key, started_at, run_id, node_run_id) < (unhex({to_group:String}), fromUnixTimestamp64Milli({to:Int64}, 'UTC'), {to_run:String}, {to_node:String}) AND group_key >= unhex({from_group:String}) AND group_key <= unhex({to_group:String})))) AND notEmpty(chunks)) AS n
INNER JOIN (SELECT group_key, started_at, run_id FROM (SELECT group_key, started_at, run_id FROM export_stage_rows WHERE workspace_id = {workspace:String} AND stage_id = {snapshot:String} AND (group_key, started_at, run_id, node_run_id) >= (unhex({from_group:String}), fromUnixTimestamp64Milli({from:Int64}, 'UTC'), {from_run:String}, {from_node:String}) AND (group_key, started_at, run_id, node_run_id) < (unhex({to_group:String}), fromUnixTimestamp64Milli({to:Int64}, 'UTC'), {to_run:String}, {to_node:String}) AND group_key >= unhex({from_group:String}) AND group_key <= unhex({to_group:String}))) AS k ON n.run_id = k.run_id
ORDER BY k.group_key, k.started_at, k.run_id;

-- insert node runs
-- app = app
-- node_runs = nodes-1
-- snapshot = snapshot-1
-- source = recipe
-- workspace = acme
INSERT INTO export_stage_rows (workspace_id, stage_id, group_key, started_at, run_id, node_started_at, source, app_id, app_version, model, status, ended_at, updated_at, inputs, outputs, messages, tools, error_type, error_message, files, usage_input_tokens, usage_output_tokens, cost_usd, metadata, input_group, node_run_id, node_id, node_name, node_type, parent_node_run_id, sequence, prompt_template, prompt_variables, parameters, chunks)
SELECT {workspace:String}, {node_runs:String}, k.group_key, k.started_at, n.run_id, n.started_at, n.source, n.app_id, n.app_version, n.model, n.status, n.ended_at, n.updated_at, n.inputs, n.outputs, n.messages, n.tools, n.error_type, n.error_message, n.files, n.usage_input_tokens, n.usage_output_tokens, n.cost_usd, n.metadata, n.input_group, n.node_run_id, n.node_id, n.node_name, n.node_type, n.parent_node_run_id, n.sequence, n.prompt_template, n.prompt_variables, n.parameters, n.chunks
FROM (SELECT * FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (SELECT run_id FROM export_stage_rows WHERE workspace_id = {workspace:String} AND stage_id = {snapshot:String}) AND notEmpty(chunks)) AS n
INNER JOIN (SELECT group_key, started_at, run_id FROM export_stage_rows WHERE workspace_id = {workspace:String} AND stage_id = {snapshot:String}) AS k ON n.run_id = k.run_id;

-- insert many node runs
-- app = app
-- node_runs = nodes-1
-- snapshot = snapshot-1
-- source = recipe
-- workspace = acme
INSERT INTO export_stage_rows (workspace_id, stage_id, group_key, started_at, run_id, node_started_at, source, app_id, app_version, model, status, ended_at, updated_at, inputs, outputs, messages, tools, error_type, error_message, files, usage_input_tokens, usage_output_tokens, cost_usd, metadata, input_group, node_run_id, node_id, node_name, node_type, parent_node_run_id, sequence, prompt_template, prompt_variables, parameters, chunks)
SELECT {workspace:String}, {node_runs:String}, k.group_key, k.started_at, n.run_id, n.started_at, n.source, n.app_id, n.app_version, n.model, n.status, n.ended_at, n.updated_at, n.inputs, n.outputs, n.messages, n.tools, n.error_type, n.error_message, n.files, n.usage_input_tokens, n.usage_output_tokens, n.cost_usd, n.metadata, n.input_group, n.node_run_id, n.node_id, n.node_name, n.node_type, n.parent_node_run_id, n.sequence, n.prompt_template, n.prompt_variables, n.parameters, n.chunks
FROM (SELECT * FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND notEmpty(chunks)) AS n
INNER JOIN (SELECT group_key, started_at, run_id FROM export_stage_rows WHERE workspace_id = {workspace:String} AND stage_id = {snapshot:String}) AS k ON n.run_id = k.run_id;

-- frozen node runs
-- from = 1772323200000
-- from_group = 61
-- from_node = 
-- from_run = run-1
-- snapshot = nodes-1
-- to = 1772323200000
-- to_group = 62
-- to_node = 
-- to_run = run-9
-- workspace = acme
SELECT
run_group_key AS row_group_key,
toUnixTimestamp64Milli(run_started_at) AS row_run_started_at,
run_run_id AS row_run_id,
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
metadata AS row_metadata
FROM (SELECT * EXCEPT (started_at, node_started_at), group_key AS run_group_key, s.started_at AS run_started_at, run_id AS run_run_id, s.node_started_at AS started_at
FROM (SELECT * FROM export_stage_rows WHERE workspace_id = {workspace:String} AND stage_id = {snapshot:String} AND (group_key, started_at, run_id, node_run_id) >= (unhex({from_group:String}), fromUnixTimestamp64Milli({from:Int64}, 'UTC'), {from_run:String}, {from_node:String}) AND (group_key, started_at, run_id, node_run_id) < (unhex({to_group:String}), fromUnixTimestamp64Milli({to:Int64}, 'UTC'), {to_run:String}, {to_node:String}) AND group_key >= unhex({from_group:String}) AND group_key <= unhex({to_group:String})) AS s)
ORDER BY run_group_key, run_started_at, run_run_id, node_run_id;

-- count of node runs
-- snapshot = nodes-1
-- workspace = acme
SELECT toString(count()) FROM export_stage_rows WHERE workspace_id = {workspace:String} AND stage_id = {snapshot:String};
