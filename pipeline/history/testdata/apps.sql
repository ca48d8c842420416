-- query 1
SELECT DISTINCT source, app_id FROM runs WHERE NOT superseded AND workspace_id = unhex({workspace:String});

-- query 2
SELECT source, app_id, app_name, started_at FROM runs FINAL PREWHERE workspace_id = unhex({workspace:String}) AND (source, app_id, started_at) IN (SELECT unhex(p[1]), unhex(p[2]), fromUnixTimestamp64Milli(toInt64(p[3]), 'UTC') FROM (SELECT splitByChar('.', arrayJoin(splitByChar(',', {lasts:String}))) AS p)) WHERE NOT superseded
ORDER BY started_at DESC, run_id DESC LIMIT 1 BY source, app_id;

-- query 3
SELECT source, app_id, app_version, max(started_at) AS last FROM (
    SELECT source, app_id, app_version, started_at FROM runs WHERE NOT superseded AND workspace_id = unhex({workspace:String}) AND started_at >= fromUnixTimestamp64Milli({recent:Int64}, 'UTC') AND (source, app_id) NOT IN (SELECT source, app_id FROM runs WHERE superseded AND workspace_id = unhex({workspace:String}) AND started_at >= fromUnixTimestamp64Milli({recent:Int64}, 'UTC'))
    UNION ALL
    SELECT source, app_id, app_version, started_at FROM runs FINAL PREWHERE workspace_id = unhex({workspace:String}) AND started_at >= fromUnixTimestamp64Milli({recent:Int64}, 'UTC') AND (source, app_id) IN (SELECT source, app_id FROM runs WHERE superseded AND workspace_id = unhex({workspace:String}) AND started_at >= fromUnixTimestamp64Milli({recent:Int64}, 'UTC')) WHERE NOT superseded
) GROUP BY source, app_id, app_version
ORDER BY source, app_id, last DESC, app_version DESC LIMIT 51 BY source, app_id;

-- query 4
SELECT source, app_id, max(started_at) FROM runs WHERE NOT superseded AND workspace_id = unhex({workspace:String}) AND (source, app_id) IN (SELECT unhex(p[1]), unhex(p[2]) FROM (SELECT splitByChar('.', arrayJoin(splitByChar(',', {old:String}))) AS p)) GROUP BY source, app_id;

-- query 5
SELECT source, app_id, merged_rating, toInt64(count())
FROM (SELECT source, app_id, cityHash64(run_id) AS run FROM runs FINAL PREWHERE workspace_id = unhex({workspace:String}) AND started_at >= fromUnixTimestamp64Milli({first:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC') WHERE NOT superseded AND cityHash64(run_id) IN (SELECT cityHash64(run_id) FROM feedback WHERE workspace_id = unhex({workspace:String}) AND node_id = '' AND node_run_id = '' AND rating != '')) AS r
INNER JOIN (SELECT cityHash64(run_id) AS run, argMaxIf(toString(rating), (kind = 'human', version, feedback_id), rating != '') AS merged_rating,
    argMaxIf(score, (kind = 'human', version, feedback_id), name = '' AND isNotNull(score)) AS merged_score
FROM feedback FINAL WHERE workspace_id = unhex({workspace:String}) AND node_id = '' AND node_run_id = '' AND (rating != '' OR isNotNull(score)) AND cityHash64(run_id) IN (SELECT cityHash64(run_id) FROM runs WHERE workspace_id = unhex({workspace:String}) AND started_at >= fromUnixTimestamp64Milli({first:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC') AND NOT superseded)
GROUP BY run) AS f ON r.run = f.run
GROUP BY source, app_id, merged_rating;

-- query 6
SELECT source, app_id, toString(toDate(started_at)) AS day, toInt64(count()), toInt64(countIf(status = 'succeeded')), toInt64(countIf(status = 'failed'))
FROM runs FINAL PREWHERE workspace_id = unhex({workspace:String}) AND started_at >= fromUnixTimestamp64Milli({first:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC') WHERE NOT superseded
GROUP BY source, app_id, day;
