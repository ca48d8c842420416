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
SELECT source, app_id, rating, toInt64(count()) FROM (
    SELECT source, app_id, rating
    FROM (SELECT source, app_id, run_id FROM runs FINAL PREWHERE workspace_id = unhex({workspace:String}) AND started_at >= fromUnixTimestamp64Milli({first:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC') WHERE NOT superseded) AS r
    INNER JOIN (SELECT run_id, toString(rating) AS rating FROM feedback FINAL PREWHERE workspace_id = unhex({workspace:String}) WHERE node_id = ''
ORDER BY run_id, version DESC, feedback_id DESC LIMIT 1 BY run_id) AS f ON r.run_id = f.run_id
) GROUP BY source, app_id, rating;

-- query 6
SELECT source, app_id, toString(toDate(started_at)) AS day, toInt64(count()), toInt64(countIf(status = 'succeeded')), toInt64(countIf(status = 'failed'))
FROM runs FINAL PREWHERE workspace_id = unhex({workspace:String}) AND started_at >= fromUnixTimestamp64Milli({first:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC') WHERE NOT superseded
GROUP BY source, app_id, day;
