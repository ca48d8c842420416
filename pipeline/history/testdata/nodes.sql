-- query 1
SELECT node_id, node_name, node_type FROM nodes FINAL PREWHERE workspace_id = unhex({workspace:String}) AND source = unhex({source:String}) AND app_id = unhex({app:String}) AND (node_id, started_at) IN (SELECT unhex(p[1]), fromUnixTimestamp64Milli(toInt64(p[2]), 'UTC') FROM (SELECT splitByChar('.', arrayJoin(splitByChar(',', {lasts:String}))) AS p)) WHERE NOT superseded
ORDER BY run_id DESC, node_run_id DESC, source LIMIT 1 BY node_id;

-- query 2
SELECT node_id, toInt64(count()) AS n, max(started_at) FROM nodes FINAL PREWHERE workspace_id = unhex({workspace:String}) AND source = unhex({source:String}) AND app_id = unhex({app:String}) AND started_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') WHERE NOT superseded
GROUP BY node_id ORDER BY n DESC, node_id;
