-- query 1
SELECT feedback_id, node_id, rating, score, comment, tags, corrected_answer, created_by, created_at FROM feedback FINAL PREWHERE workspace_id = unhex({workspace:String}) AND run_id = unhex({run:String})
ORDER BY version DESC, feedback_id DESC LIMIT 100;

-- query 2
SELECT feedback_id, node_id, rating, score, comment, tags, corrected_answer, created_by, created_at FROM feedback FINAL PREWHERE workspace_id = unhex({workspace:String}) AND run_id = unhex({run:String}) WHERE node_id = ''
ORDER BY version DESC, feedback_id DESC LIMIT 1;

-- query 3
SELECT node_id, node_run_id, started_at, error_message, prompt_template, prompt_variables, inputs, outputs, messages, parameters, chunks.chunk_id, chunks.text, chunks.score, chunks.source_uri, chunks.title, chunks.sent_to_llm, chunks.used_in_answer
FROM nodes FINAL PREWHERE workspace_id = unhex({workspace:String}) AND run_id = unhex({run:String}) AND node_run_id IN (SELECT unhex(arrayJoin(splitByChar(',', {node_runs:String})))) WHERE NOT superseded;

-- query 4
SELECT node_run_id, node_id, node_name, node_type, parent_node_run_id, sequence, status, started_at, ended_at, model, error_type, usage_input_tokens, usage_output_tokens, cost_usd,
    toInt64(length(error_message) + length(prompt_template) + length(prompt_variables) + length(inputs) +
    length(outputs) + length(messages)
        + if(empty(chunks), 0, byteSize(chunks)) + if(empty(parameters), 0, byteSize(parameters))),
    toInt64(count() OVER ())
FROM nodes FINAL PREWHERE workspace_id = unhex({workspace:String}) AND run_id = unhex({run:String}) WHERE NOT superseded
ORDER BY sequence ASC NULLS LAST, started_at, node_run_id LIMIT 1000;

-- query 5
SELECT workspace_id, run_id, request_id, source, app_id, app_name, app_version, session_id, user_id, model, trace_id, trigger, status, started_at, ended_at, error_type, usage_input_tokens, usage_output_tokens, cost_usd, error_message, question, answer, reference, inputs, system_inputs, outputs, messages, tools, metadata, updated_at, files.file_id, files.name, files.uri, files.content_type, files.size_bytes, files.direction
FROM runs FINAL PREWHERE workspace_id = unhex({workspace:String}) AND run_id = unhex({run:String}) WHERE NOT superseded
ORDER BY version DESC, started_at DESC LIMIT 1;
