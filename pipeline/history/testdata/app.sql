-- query 1
SELECT DISTINCT source, app_id FROM runs WHERE NOT superseded AND workspace_id = unhex({workspace:String}) AND source = unhex({source:String}) AND app_id = unhex({app:String});

-- query 2
SELECT source, app_id, app_name, started_at FROM runs FINAL PREWHERE workspace_id = unhex({workspace:String}) AND (source, app_id, started_at) IN (SELECT unhex(p[1]), unhex(p[2]), fromUnixTimestamp64Milli(toInt64(p[3]), 'UTC') FROM (SELECT splitByChar('.', arrayJoin(splitByChar(',', {lasts:String}))) AS p)) WHERE NOT superseded
ORDER BY started_at DESC, run_id DESC LIMIT 1 BY source, app_id;

-- query 3
SELECT source, app_id, app_version, max(started_at) AS last FROM (
    SELECT source, app_id, app_version, started_at FROM runs WHERE NOT superseded AND workspace_id = unhex({workspace:String}) AND source = unhex({source:String}) AND app_id = unhex({app:String}) AND started_at >= fromUnixTimestamp64Milli({recent:Int64}, 'UTC') AND (source, app_id) NOT IN (SELECT source, app_id FROM runs WHERE superseded AND workspace_id = unhex({workspace:String}) AND source = unhex({source:String}) AND app_id = unhex({app:String}) AND started_at >= fromUnixTimestamp64Milli({recent:Int64}, 'UTC'))
    UNION ALL
    SELECT source, app_id, app_version, started_at FROM runs FINAL PREWHERE workspace_id = unhex({workspace:String}) AND source = unhex({source:String}) AND app_id = unhex({app:String}) AND started_at >= fromUnixTimestamp64Milli({recent:Int64}, 'UTC') AND (source, app_id) IN (SELECT source, app_id FROM runs WHERE superseded AND workspace_id = unhex({workspace:String}) AND source = unhex({source:String}) AND app_id = unhex({app:String}) AND started_at >= fromUnixTimestamp64Milli({recent:Int64}, 'UTC')) WHERE NOT superseded
) GROUP BY source, app_id, app_version
ORDER BY source, app_id, last DESC, app_version DESC LIMIT 51 BY source, app_id;

-- query 4
SELECT source, app_id, rating, toInt64(count()) FROM (
    SELECT source, app_id, rating
    FROM (SELECT source, app_id, run_id FROM runs FINAL PREWHERE workspace_id = unhex({workspace:String}) AND source = unhex({source:String}) AND app_id = unhex({app:String}) AND started_at >= fromUnixTimestamp64Milli({first:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC') WHERE NOT superseded) AS r
    INNER JOIN (SELECT run_id, feedback_rating AS rating FROM (SELECT run_id,
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
FROM feedback FINAL WHERE workspace_id = unhex({workspace:String}) AND node_id = '' AND node_run_id = '' GROUP BY run_id))) AS f ON r.run_id = f.run_id
) GROUP BY source, app_id, rating;

-- query 5
SELECT source, app_id, toString(toDate(started_at)) AS day, toInt64(count()), toInt64(countIf(status = 'succeeded')), toInt64(countIf(status = 'failed'))
FROM runs FINAL PREWHERE workspace_id = unhex({workspace:String}) AND source = unhex({source:String}) AND app_id = unhex({app:String}) AND started_at >= fromUnixTimestamp64Milli({first:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC') WHERE NOT superseded
GROUP BY source, app_id, day;
