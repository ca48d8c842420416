-- query 1
SELECT run_id, feedback_id, node_id, rating, score, substringUTF8(comment, 1, 2000), lengthUTF8(comment) > 2000, tags, substringUTF8(corrected_answer, 1, 2000), lengthUTF8(corrected_answer) > 2000, created_by, created_at FROM feedback FINAL PREWHERE workspace_id = unhex({workspace:String}) AND run_id IN (SELECT unhex(arrayJoin(splitByChar(',', {page_runs:String})))) WHERE node_id = ''
ORDER BY run_id, version DESC, feedback_id DESC LIMIT 1 BY run_id;

-- query 2
SELECT toUnixTimestamp64Milli(started_at), run_id, source, app_id FROM runs FINAL PREWHERE workspace_id = unhex({workspace:String}) AND started_at BETWEEN fromUnixTimestamp64Milli({candidates_first:Int64}, 'UTC') AND fromUnixTimestamp64Milli({candidates_last:Int64}, 'UTC') AND (source, app_id, started_at, run_id) IN (SELECT unhex(p[1]), unhex(p[2]), fromUnixTimestamp64Milli(toInt64(p[3]), 'UTC'), unhex(p[4]) FROM (SELECT splitByChar('.', arrayJoin(splitByChar(',', {candidates:String}))) AS p)) WHERE NOT superseded
ORDER BY started_at DESC, run_id DESC, source DESC, app_id DESC LIMIT {at_most:UInt64};

-- query 3
SELECT toUnixTimestamp64Milli(started_at), run_id, source, app_id FROM runs WHERE NOT superseded AND workspace_id = unhex({workspace:String}) AND started_at >= fromUnixTimestamp64Milli({first:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
ORDER BY started_at DESC, run_id DESC, source DESC, app_id DESC LIMIT {at_most:UInt64};

-- query 4
SELECT workspace_id, run_id, request_id, source, app_id, app_name, app_version, session_id, user_id, model, trace_id, trigger, status, started_at, ended_at, error_type, usage_input_tokens, usage_output_tokens, cost_usd, substringUTF8(error_message, 1, 2000), substringUTF8(question, 1, 2000), lengthUTF8(question) > 2000, substringUTF8(answer, 1, 2000), lengthUTF8(answer) > 2000, if(byteSize(files) > 65536, [], files.file_id), if(byteSize(files) > 65536, [], files.name), if(byteSize(files) > 65536, [], files.uri), if(byteSize(files) > 65536, [], files.content_type), if(byteSize(files) > 65536, [], files.size_bytes), if(byteSize(files) > 65536, [], files.direction), if(byteSize(files) > 65536, toInt64(length(files)), 0)
FROM runs FINAL PREWHERE workspace_id = unhex({workspace:String}) AND started_at BETWEEN fromUnixTimestamp64Milli({page_first:Int64}, 'UTC') AND fromUnixTimestamp64Milli({page_last:Int64}, 'UTC') AND (source, app_id, started_at, run_id) IN (SELECT unhex(p[1]), unhex(p[2]), fromUnixTimestamp64Milli(toInt64(p[3]), 'UTC'), unhex(p[4]) FROM (SELECT splitByChar('.', arrayJoin(splitByChar(',', {page:String}))) AS p)) WHERE NOT superseded;
