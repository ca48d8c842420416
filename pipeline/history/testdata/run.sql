-- query 1
SELECT feedback_id, name, kind, node_id, node_run_id, rating, score, comment, tags, corrected_answer, created_by, created_at FROM feedback FINAL PREWHERE workspace_id = unhex({workspace:String}) AND run_id = unhex({run:String})
ORDER BY version DESC, feedback_id DESC LIMIT 100;

-- query 2
SELECT node_id, node_run_id, started_at, error_message, prompt_template, prompt_variables, inputs, outputs, messages, parameters, chunks.chunk_id, chunks.text, chunks.score, chunks.source_uri, chunks.title, chunks.sent_to_llm, chunks.used_in_answer
FROM nodes FINAL PREWHERE workspace_id = unhex({workspace:String}) AND run_id = unhex({run:String}) AND node_run_id IN (SELECT unhex(arrayJoin(splitByChar(',', {node_runs:String})))) WHERE NOT superseded;

-- query 3
SELECT node_run_id, node_id, node_name, node_type, parent_node_run_id, sequence, status, started_at, ended_at, model, error_type, usage_input_tokens, usage_output_tokens, cost_usd,
    toInt64(length(error_message) + length(prompt_template) + length(prompt_variables) + length(inputs) +
    length(outputs) + length(messages)
        + if(empty(chunks), 0, byteSize(chunks)) + if(empty(parameters), 0, byteSize(parameters))),
    toInt64(count() OVER ())
FROM nodes FINAL PREWHERE workspace_id = unhex({workspace:String}) AND run_id = unhex({run:String}) WHERE NOT superseded
ORDER BY sequence ASC NULLS LAST, started_at, node_run_id LIMIT 1000;

-- query 4
SELECT run_id, feedback_id, feedback_rating, feedback_score, feedback_comment, false, feedback_tags, feedback_corrected_answer, false, feedback_created_by, feedback_created_at, feedback_scores.name, feedback_scores.value, feedback_scores.label FROM (SELECT run_id,
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
arrayMax(tupleElement(judged, 'ingested_at')) AS feedback_ingested_at,
arraySlice(arrayReverseSort((j, v, i) -> (v, i), tupleElement(judged, 'judgement'),
    tupleElement(judged, 'version'), tupleElement(tupleElement(judged, 'judgement'), 'feedback_id')), 1, 1000) AS feedback_judgements,
judged.judgement[1].created_by AS feedback_created_by, judged.judgement[1].created_at AS feedback_created_at
FROM (SELECT run_id, CAST(arrayReverseSort(groupArray((kind = 'human', version, tuple(feedback_id, toString(name), toString(kind), toString(rating), score, comment, tags, corrected_answer, created_by, created_at), ingested_at))), 'Array(Tuple(human UInt8, version UInt64, judgement Tuple(feedback_id String, name String, kind String, rating String, score Nullable(Float64), comment String, tags Array(String), corrected_answer String, created_by String, created_at Nullable(DateTime64(3, \'UTC\'))), ingested_at DateTime64(6, \'UTC\')))') AS judged
FROM feedback FINAL WHERE workspace_id = unhex({workspace:String}) AND node_id = '' AND node_run_id = '' AND run_id = unhex({run:String}) GROUP BY run_id));

-- query 5
SELECT workspace_id, run_id, request_id, source, app_id, app_name, app_version, session_id, user_id, model, trace_id, trigger, status, started_at, ended_at, error_type, usage_input_tokens, usage_output_tokens, cost_usd, error_message, question, answer, reference, inputs, system_inputs, outputs, messages, tools, metadata, updated_at, files.file_id, files.name, files.uri, files.content_type, files.size_bytes, files.direction
FROM runs FINAL PREWHERE workspace_id = unhex({workspace:String}) AND run_id = unhex({run:String}) WHERE NOT superseded
ORDER BY version DESC, started_at DESC LIMIT 1;
