-- first page
-- ended = 0
-- export = 
-- page = 1000
-- within = 86400
-- workspace = 
SELECT workspace_id, export_id, max(toUnixTimestamp64Milli(assumeNotNull(completed_at))) AS ended_ms
FROM export_events
WHERE completed_at >= now64(3) - toIntervalSecond({within:Int64})
GROUP BY workspace_id, export_id
HAVING {workspace:String} = ''
    OR (ended_ms, workspace_id, export_id) < ({ended:Int64}, {workspace:String}, {export:String})
ORDER BY ended_ms DESC, workspace_id DESC, export_id DESC
LIMIT {page:UInt64};

-- a later page
-- ended = 1772323200000
-- export = e1
-- page = 1000
-- within = 86400
-- workspace = acme
SELECT workspace_id, export_id, max(toUnixTimestamp64Milli(assumeNotNull(completed_at))) AS ended_ms
FROM export_events
WHERE completed_at >= now64(3) - toIntervalSecond({within:Int64})
GROUP BY workspace_id, export_id
HAVING {workspace:String} = ''
    OR (ended_ms, workspace_id, export_id) < ({ended:Int64}, {workspace:String}, {export:String})
ORDER BY ended_ms DESC, workspace_id DESC, export_id DESC
LIMIT {page:UInt64};
