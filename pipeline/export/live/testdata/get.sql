-- an export
-- export = e1
-- workspace = acme
SELECT workspace_id, export_id, name, purpose, source, app_id, nodes, target, format, requested_by, on_behalf_of, requested_at, status, percent_done, toInt64(rows_done) AS rows_done, toInt64(rows_planned) AS rows_planned, toInt64(rows_used) AS rows_used, toInt64(vanished) AS vanished, toInt64(records) AS records, toInt64(windows_done) AS windows_done, toInt64(windows_planned) AS windows_planned, toInt64(fragments) AS fragments, toInt64(bytes) AS bytes, dropped, manifest_uri, manifest_sha256, watermark, load_with, warnings, error_code, error_message, error_retryable, error_pointer, accepted_at, completed_at, at FROM export_events
WHERE workspace_id = {workspace:String} AND export_id = {export:String} ORDER BY completed_at IS NULL, percent_done DESC, rows_done DESC, at DESC LIMIT 1;

-- notices
-- exports = e1,e2
-- workspace = acme
SELECT export_id, max(cancelling) AS was_cancelled, argMax(retrying_stage, key) AS stage, argMax(retrying_code, key) AS code, argMax(retrying_message, key) AS message, argMax(retrying_since, key) AS since, toInt64(argMax(retrying_attempts, key)) AS attempts, max(key).2 AS retried_at
FROM (SELECT *, (retrying_stage != '', at) AS key FROM export_notices WHERE workspace_id = {workspace:String} AND export_id IN (splitByChar(',', {exports:String})))
GROUP BY export_id;
