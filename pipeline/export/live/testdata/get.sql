-- an export
-- export = e1
-- workspace = acme
SELECT workspace_id, export_id, name, purpose, source, app_id, nodes, target, format, requested_by, requested_at, status, percent_done, toInt64(rows_done) AS rows_done, toInt64(rows_planned) AS rows_planned, toInt64(rows_used) AS rows_used, toInt64(vanished) AS vanished, toInt64(records) AS records, toInt64(windows_done) AS windows_done, toInt64(windows_planned) AS windows_planned, toInt64(fragments) AS fragments, toInt64(bytes) AS bytes, dropped, manifest_uri, manifest_sha256, watermark, load_with, warnings, error_code, error_message, error_retryable, error_pointer, accepted_at, completed_at, at FROM export_events
WHERE workspace_id = {workspace:String} AND export_id = {export:String} ORDER BY completed_at IS NULL, percent_done DESC, rows_done DESC, at DESC LIMIT 1;
