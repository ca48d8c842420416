-- query 1
SELECT toString(v) AS value FROM (SELECT arrayJoin(mapKeys(metadata)) AS v FROM (SELECT metadata FROM runs WHERE NOT superseded AND workspace_id = unhex({workspace:String}) AND source = unhex({source:String}) AND app_id = unhex({app:String}) ORDER BY started_at DESC, run_id DESC LIMIT {newest:UInt64}))
WHERE value != '' AND length(value) <= {longest:UInt64} AND positionCaseInsensitiveUTF8(value, unhex({part:String})) > 0
GROUP BY value ORDER BY count() DESC, value LIMIT {at_most:UInt64};

-- query 2
SELECT toString(v) AS value FROM (SELECT arrayJoin(tags) AS v FROM feedback WHERE workspace_id = unhex({workspace:String}) AND node_id = '' AND node_run_id = '' AND run_id IN (SELECT run_id FROM runs WHERE NOT superseded AND workspace_id = unhex({workspace:String}) AND source = unhex({source:String}) AND app_id = unhex({app:String}) ORDER BY started_at DESC, run_id DESC LIMIT {newest:UInt64}))
WHERE value != '' AND length(value) <= {longest:UInt64} AND positionCaseInsensitiveUTF8(value, unhex({part:String})) > 0
GROUP BY value ORDER BY count() DESC, value LIMIT {at_most:UInt64};

-- query 3
SELECT toString(v) AS value FROM (SELECT if(score IS NULL, '', name) AS v FROM feedback WHERE workspace_id = unhex({workspace:String}) AND node_id = '' AND node_run_id = '' AND run_id IN (SELECT run_id FROM runs WHERE NOT superseded AND workspace_id = unhex({workspace:String}) AND source = unhex({source:String}) AND app_id = unhex({app:String}) ORDER BY started_at DESC, run_id DESC LIMIT {newest:UInt64}))
WHERE value != '' AND length(value) <= {longest:UInt64} AND positionCaseInsensitiveUTF8(value, unhex({part:String})) > 0
GROUP BY value ORDER BY count() DESC, value LIMIT {at_most:UInt64};

-- query 4
SELECT toString(v) AS value FROM (SELECT metadata[unhex({label:String})] AS v FROM runs WHERE NOT superseded AND workspace_id = unhex({workspace:String}) AND source = unhex({source:String}) AND app_id = unhex({app:String}) ORDER BY started_at DESC, run_id DESC LIMIT {newest:UInt64})
WHERE value != '' AND length(value) <= {longest:UInt64} AND positionCaseInsensitiveUTF8(value, unhex({part:String})) > 0
GROUP BY value ORDER BY count() DESC, value LIMIT {at_most:UInt64};

-- query 5
SELECT toString(v) AS value FROM (SELECT model AS v FROM runs WHERE NOT superseded AND workspace_id = unhex({workspace:String}) AND source = unhex({source:String}) AND app_id = unhex({app:String}) ORDER BY started_at DESC, run_id DESC LIMIT {newest:UInt64})
WHERE value != '' AND length(value) <= {longest:UInt64} AND positionCaseInsensitiveUTF8(value, unhex({part:String})) > 0
GROUP BY value ORDER BY count() DESC, value LIMIT {at_most:UInt64};
