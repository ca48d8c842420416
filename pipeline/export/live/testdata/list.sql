-- first page
-- limit = 51
-- workspace = acme
WITH page AS (
    SELECT export_id FROM (
        SELECT export_id, requested_at, status FROM export_events WHERE workspace_id = {workspace:String}
        ORDER BY completed_at IS NULL, percent_done DESC, rows_done DESC, at DESC LIMIT 1 BY export_id
    ) ORDER BY requested_at DESC, export_id DESC LIMIT {limit:UInt64}
)
SELECT * FROM (
    SELECT workspace_id, export_id, name, purpose, source, app_id, nodes, target, format, requested_by, on_behalf_of, requested_at, status, percent_done, toInt64(rows_done) AS rows_done, toInt64(rows_planned) AS rows_planned, toInt64(rows_used) AS rows_used, toInt64(vanished) AS vanished, toInt64(records) AS records, toInt64(windows_done) AS windows_done, toInt64(windows_planned) AS windows_planned, toInt64(fragments) AS fragments, toInt64(bytes) AS bytes, dropped, manifest_uri, manifest_sha256, watermark, load_with, warnings, error_code, error_message, error_retryable, error_pointer, accepted_at, completed_at, at FROM export_events WHERE workspace_id = {workspace:String} AND export_id GLOBAL IN (page)
    ORDER BY completed_at IS NULL, percent_done DESC, rows_done DESC, at DESC LIMIT 1 BY export_id
) ORDER BY requested_at DESC, export_id DESC;

-- a later page
-- after = e1
-- at = 1772323200000
-- limit = 51
-- workspace = acme
WITH page AS (
    SELECT export_id FROM (
        SELECT export_id, requested_at, status FROM export_events WHERE workspace_id = {workspace:String} AND requested_at <= fromUnixTimestamp64Milli({at:Int64}, 'UTC') AND (requested_at, export_id) < (fromUnixTimestamp64Milli({at:Int64}, 'UTC'), {after:String})
        ORDER BY completed_at IS NULL, percent_done DESC, rows_done DESC, at DESC LIMIT 1 BY export_id
    ) ORDER BY requested_at DESC, export_id DESC LIMIT {limit:UInt64}
)
SELECT * FROM (
    SELECT workspace_id, export_id, name, purpose, source, app_id, nodes, target, format, requested_by, on_behalf_of, requested_at, status, percent_done, toInt64(rows_done) AS rows_done, toInt64(rows_planned) AS rows_planned, toInt64(rows_used) AS rows_used, toInt64(vanished) AS vanished, toInt64(records) AS records, toInt64(windows_done) AS windows_done, toInt64(windows_planned) AS windows_planned, toInt64(fragments) AS fragments, toInt64(bytes) AS bytes, dropped, manifest_uri, manifest_sha256, watermark, load_with, warnings, error_code, error_message, error_retryable, error_pointer, accepted_at, completed_at, at FROM export_events WHERE workspace_id = {workspace:String} AND export_id GLOBAL IN (page)
    ORDER BY completed_at IS NULL, percent_done DESC, rows_done DESC, at DESC LIMIT 1 BY export_id
) ORDER BY requested_at DESC, export_id DESC;

-- a later page, with all filters
-- after = e1
-- app_id = app
-- at = 1772323200000
-- limit = 51
-- purpose = fine_tuning
-- source = recipe
-- status = accepted,running
-- text = 7475746f72
-- workspace = acme
WITH page AS (
    SELECT export_id FROM (
        SELECT export_id, requested_at, status FROM export_events WHERE workspace_id = {workspace:String} AND source = {source:String} AND purpose = {purpose:String} AND has(splitByChar(',', app_id), {app_id:String}) AND (positionCaseInsensitiveUTF8(name, unhex({text:String})) > 0 OR startsWith(export_id, unhex({text:String}))) AND requested_at <= fromUnixTimestamp64Milli({at:Int64}, 'UTC') AND (requested_at, export_id) < (fromUnixTimestamp64Milli({at:Int64}, 'UTC'), {after:String})
        ORDER BY completed_at IS NULL, percent_done DESC, rows_done DESC, at DESC LIMIT 1 BY export_id
    ) WHERE status IN (splitByChar(',', {status:String})) ORDER BY requested_at DESC, export_id DESC LIMIT {limit:UInt64}
)
SELECT * FROM (
    SELECT workspace_id, export_id, name, purpose, source, app_id, nodes, target, format, requested_by, on_behalf_of, requested_at, status, percent_done, toInt64(rows_done) AS rows_done, toInt64(rows_planned) AS rows_planned, toInt64(rows_used) AS rows_used, toInt64(vanished) AS vanished, toInt64(records) AS records, toInt64(windows_done) AS windows_done, toInt64(windows_planned) AS windows_planned, toInt64(fragments) AS fragments, toInt64(bytes) AS bytes, dropped, manifest_uri, manifest_sha256, watermark, load_with, warnings, error_code, error_message, error_retryable, error_pointer, accepted_at, completed_at, at FROM export_events WHERE workspace_id = {workspace:String} AND export_id GLOBAL IN (page)
    ORDER BY completed_at IS NULL, percent_done DESC, rows_done DESC, at DESC LIMIT 1 BY export_id
) ORDER BY requested_at DESC, export_id DESC;

-- those that may have runs of an app
-- app_id = app
-- limit = 21
-- workspace = acme
WITH page AS (
    SELECT export_id FROM (
        SELECT export_id, requested_at, status FROM export_events WHERE workspace_id = {workspace:String} AND (app_id = '' OR has(splitByChar(',', app_id), {app_id:String}))
        ORDER BY completed_at IS NULL, percent_done DESC, rows_done DESC, at DESC LIMIT 1 BY export_id
    ) ORDER BY requested_at DESC, export_id DESC LIMIT {limit:UInt64}
)
SELECT * FROM (
    SELECT workspace_id, export_id, name, purpose, source, app_id, nodes, target, format, requested_by, on_behalf_of, requested_at, status, percent_done, toInt64(rows_done) AS rows_done, toInt64(rows_planned) AS rows_planned, toInt64(rows_used) AS rows_used, toInt64(vanished) AS vanished, toInt64(records) AS records, toInt64(windows_done) AS windows_done, toInt64(windows_planned) AS windows_planned, toInt64(fragments) AS fragments, toInt64(bytes) AS bytes, dropped, manifest_uri, manifest_sha256, watermark, load_with, warnings, error_code, error_message, error_retryable, error_pointer, accepted_at, completed_at, at FROM export_events WHERE workspace_id = {workspace:String} AND export_id GLOBAL IN (page)
    ORDER BY completed_at IS NULL, percent_done DESC, rows_done DESC, at DESC LIMIT 1 BY export_id
) ORDER BY requested_at DESC, export_id DESC;

-- how many of each status
-- app_id = app
-- known = e1,e2
-- source = recipe
-- text = 7475746f72
-- workspace = acme
SELECT status, if(export_id IN (splitByChar(',', {known:String})), export_id, '') AS id, toInt64(count()) AS n FROM (
    SELECT export_id, status FROM export_events WHERE workspace_id = {workspace:String} AND source = {source:String} AND has(splitByChar(',', app_id), {app_id:String}) AND (positionCaseInsensitiveUTF8(name, unhex({text:String})) > 0 OR startsWith(export_id, unhex({text:String})))
    ORDER BY completed_at IS NULL, percent_done DESC, rows_done DESC, at DESC LIMIT 1 BY export_id
) GROUP BY status, id;
