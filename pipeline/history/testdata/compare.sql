-- query 1
SELECT groupArray(version), groupArray(toString(rating)), groupArray(score), groupArray(newest.1), groupArray(newest.2), groupArray(newest.3), groupArray(newest.4), groupArray(newest.5), groupArray(newest.6)
FROM (SELECT input_group, version, newest, merged_rating AS rating, ifNull(toFloat64(merged_score), nan) AS score
FROM (SELECT input_group, toString(app_version) AS version, argMax(tuple(run_id, toUnixTimestamp64Milli(started_at), status = 'failed',
    ifNull(toFloat64(toUnixTimestamp64Milli(ended_at) - toUnixTimestamp64Milli(started_at)), nan), ifNull(toFloat64(cost_usd), nan),
    if(isNull(usage_input_tokens) AND isNull(usage_output_tokens), nan, toFloat64(ifNull(usage_input_tokens, 0) + ifNull(usage_output_tokens, 0)))), (started_at, run_id)) AS newest
FROM runs FINAL PREWHERE workspace_id = unhex({workspace:String}) AND source = unhex({source:String}) AND app_id = unhex({app:String}) AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC') WHERE NOT superseded AND status != 'running' AND app_version != '' AND input_group IN (SELECT input_group FROM runs WHERE workspace_id = unhex({workspace:String}) AND source = unhex({source:String}) AND app_id = unhex({app:String}) AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC') AND NOT superseded
    GROUP BY input_group HAVING uniqExact(app_version) > 1)
GROUP BY input_group, version) AS r
LEFT ANY JOIN (SELECT cityHash64(run_id) AS run, argMaxIf(toString(rating), (kind = 'human', version, feedback_id), rating != '') AS merged_rating,
    argMaxIf(score, (kind = 'human', version, feedback_id), name = '' AND isNotNull(score)) AS merged_score
FROM feedback FINAL WHERE workspace_id = unhex({workspace:String}) AND node_id = '' AND node_run_id = '' AND (rating != '' OR isNotNull(score)) AND cityHash64(run_id) IN (SELECT cityHash64(run_id) FROM runs WHERE workspace_id = unhex({workspace:String}) AND source = unhex({source:String}) AND app_id = unhex({app:String}) AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC') AND NOT superseded AND input_group IN (SELECT input_group FROM runs WHERE workspace_id = unhex({workspace:String}) AND source = unhex({source:String}) AND app_id = unhex({app:String}) AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC') AND NOT superseded
    GROUP BY input_group HAVING uniqExact(app_version) > 1))
GROUP BY run) AS f ON f.run = cityHash64(r.newest.1))
GROUP BY input_group HAVING count() > 1;

-- query 2
SELECT node_id, run_id IN (splitByChar(',', {base_runs:String})) AS of_base, argMax(node_name, started_at), argMax(node_type, started_at), avg(ifNull(sequence, 0)) AS place,
    toInt64(count()), toInt64(countIf(status = 'failed')), quantiles(0.5, 0.95)(toUnixTimestamp64Milli(ended_at) - toUnixTimestamp64Milli(started_at)), toInt64(countIf(isNotNull(ended_at))),
    avg(cost_usd), avgIf(ifNull(usage_input_tokens, 0) + ifNull(usage_output_tokens, 0), isNotNull(usage_input_tokens) OR isNotNull(usage_output_tokens)),
    toInt64(countIf(isNotNull(usage_input_tokens) OR isNotNull(usage_output_tokens)))
FROM nodes FINAL PREWHERE workspace_id = unhex({workspace:String}) AND source = unhex({source:String}) AND app_id = unhex({app:String}) AND started_at BETWEEN fromUnixTimestamp64Milli({first:Int64}, 'UTC') AND fromUnixTimestamp64Milli({last:Int64}, 'UTC') AND run_id IN (SELECT unhex(arrayJoin(splitByChar(',', {runs:String})))) WHERE NOT superseded
GROUP BY node_id, of_base ORDER BY place, node_id, of_base;

-- query 3
SELECT run_id, feedback_id, feedback_rating, feedback_score, substringUTF8(feedback_comment, 1, 2000), lengthUTF8(feedback_comment) > 2000, feedback_tags, substringUTF8(feedback_corrected_answer, 1, 2000), lengthUTF8(feedback_corrected_answer) > 2000, feedback_created_by, feedback_created_at, feedback_scores.name, feedback_scores.value, feedback_scores.label FROM (SELECT run_id,
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
FROM feedback FINAL WHERE workspace_id = unhex({workspace:String}) AND node_id = '' AND node_run_id = '' AND run_id IN (SELECT unhex(arrayJoin(splitByChar(',', {page_runs:String})))) GROUP BY run_id));

-- query 4
SELECT toUnixTimestamp64Milli(min(started_at)), toInt64(count()) FROM (SELECT started_at FROM runs WHERE workspace_id = unhex({workspace:String}) AND source = unhex({source:String}) AND app_id = unhex({app:String}) AND NOT superseded AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')
ORDER BY source DESC, app_id DESC, started_at DESC LIMIT {at_most:UInt64});

-- query 5
SELECT workspace_id, run_id, request_id, source, app_id, app_name, app_version, session_id, user_id, model, trace_id, trigger, status, started_at, ended_at, error_type, usage_input_tokens, usage_output_tokens, cost_usd, substringUTF8(error_message, 1, 2000), substringUTF8(question, 1, 2000), lengthUTF8(question) > 2000, substringUTF8(answer, 1, 2000), lengthUTF8(answer) > 2000, if(byteSize(files) > 65536, [], files.file_id), if(byteSize(files) > 65536, [], files.name), if(byteSize(files) > 65536, [], files.uri), if(byteSize(files) > 65536, [], files.content_type), if(byteSize(files) > 65536, [], files.size_bytes), if(byteSize(files) > 65536, [], files.direction), if(byteSize(files) > 65536, toInt64(length(files)), 0)
FROM runs FINAL PREWHERE workspace_id = unhex({workspace:String}) AND started_at BETWEEN fromUnixTimestamp64Milli({page_first:Int64}, 'UTC') AND fromUnixTimestamp64Milli({page_last:Int64}, 'UTC') AND (source, app_id, started_at, run_id) IN (SELECT unhex(p[1]), unhex(p[2]), fromUnixTimestamp64Milli(toInt64(p[3]), 'UTC'), unhex(p[4]) FROM (SELECT splitByChar('.', arrayJoin(splitByChar(',', {page:String}))) AS p)) WHERE NOT superseded;
