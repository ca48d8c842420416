package grafana

import (
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// ofExports are the conditions of the variables on a query of exports.
var ofExports = chosen("workspace_id", "workspace") + " AND " + chosen("app_id", "app")

// ended selects the exports that ended in the time shown.
var ended = "\nFROM exports\nWHERE $__timeFilter(completed_at) AND " + ofExports + "\n"

// unfinished selects the exports that have not ended, whenever they were asked for.
var unfinished = "\nFROM exports\nWHERE completed_at IS NULL AND " + ofExports + "\n"

const seconds = "dateDiff('millisecond', requested_at, completed_at) / 1000"

// exports is for whoever answers for exports: what runs, what waits, what failed and why.
func exports() *dashboard.DashboardBuilder {
	d := newDashboard("exports", "Millrace / Exports",
		"Every running export with its progress and time left; what waits; how long exports take; what failed and what "+
			"was left out, "+
			"with the reasons.", "now-24h", "30s")
	for _, v := range sources() {
		d.WithVariable(v)
	}
	d.WithVariable(several("workspace", "Workspace", "Filters the panels of ClickHouse.", clickhouseSource(),
		"SELECT DISTINCT workspace_id FROM export_events WHERE $__timeFilter(at) ORDER BY workspace_id"))
	d.WithVariable(several("app", "App", "Filters the panels of ClickHouse.", clickhouseSource(),
		"SELECT DISTINCT app_id FROM export_events WHERE $__timeFilter(at) AND "+chosen("workspace_id", "workspace")+
			" ORDER BY app_id"))
	for _, v := range processes() {
		d.WithVariable(v)
	}
	d.Annotation(releases()).Annotation(failures(ofExports))
	for _, row := range []struct {
		title  string
		panels []panel
	}{
		{"Now", runningExports()},
		{"Queue and speed (all workspaces)", queue()},
		{"How long they take", durations()},
		{"What failed, what was left out", failed()},
		{"Who and how much", volume()},
	} {
		d.WithRow(dashboard.NewRowBuilder(row.title))
		for _, p := range row.panels {
			d.WithPanel(p)
		}
	}
	return d
}

func runningExports() []panel {
	return []panel{
		number(about{"Unfinished", "Exports that were asked for and have not ended: accepted ones wait for their first " +
			"window.",
			"as many as people have just asked for.", "the table below shows each. Accepted ones that stay mean that no " +
				"process of role export takes windows: see the dashboard Pipeline."},
			units.Short, plain(), list("SELECT countIf(status = 'running') AS running, countIf(status = 'accepted') AS "+
				"accepted"+
				unfinished)),
		number(about{"Oldest unfinished", "How long ago the export was asked for that is unfinished for the longest.",
			"under a minute for small exports; large ones take minutes.", "look at its row below: with a rate it works, " +
				"without one it waits."},
			units.Seconds, rising(600, 3600), list("SELECT max(dateDiff('second', requested_at, now())) AS "+
				"seconds"+unfinished)),
		number(about{"Succeeded", "The share of the exports that succeeded, of those that ended and were not cancelled.",
			"100 %.", "*Failures by reason* says why the others failed."},
			units.PercentUnit, falling(0.9, 0.99),
			list("SELECT countIf(status = 'succeeded') / nullIf(countIf(status IN ('succeeded', 'failed')), 0) AS "+
				"share"+ended)),
		number(about{"Small exports within 10 s", "The share of the exports under 10,000 rows that succeeded within 10 s.",
			"over 99 %.", "see *Wait before work, p95*: small exports have slots of their own and should not wait."},
			units.PercentUnit, falling(0.95, 0.99), list("SELECT countIf("+seconds+" <= 10) / nullIf(count(), 0) AS "+
				"share"+ended+
				"AND status = 'succeeded' AND rows_planned < 10000")),
		number(about{"Records written", "Records in the files of the exports that ended in the time shown.",
			"it follows what is asked for.", "nothing: it is a figure to know."},
			units.Short, plain(), list("SELECT sum(records) AS records"+ended)),
		number(about{"Bytes written", "Size of the files of the exports that ended in the time shown.",
			"it follows the records.", "delete exports that nobody needs, or give the bucket a lifecycle rule."},
			units.BytesSI, plain(), list("SELECT sum(bytes) AS bytes"+ended)),
		rows(about{"Running exports", "Every export that has not ended. Rate is rows a second since it was accepted; " +
			"time left is the rest at that rate.",
			"done grows, and last progress is under a minute old.", "one without progress waits for slots or is tried " +
				"again: open it, its page says what it waits for. Cancel it there if nobody needs it."},
			24, 7, list(`
SELECT workspace_id AS workspace, export_id AS export, name, purpose, app_id AS app, status, percent_done AS done,
       rows_done AS "rows done", rows_planned AS "of rows", rate, if(rate > 0, (rows_planned - rows_done) / rate,
       NULL) AS "time left",
       dateDiff('second', requested_at, now()) AS age, dateDiff('second', updated_at, now()) AS "last progress",
       requested_by AS "requested by"
FROM
(
    SELECT *, rows_done / greatest(dateDiff('millisecond', coalesce(accepted_at, requested_at), now64(3)) / 1000,
    0.001) AS rate
    FROM exports
    WHERE completed_at IS NULL AND `+ofExports+`
)
ORDER BY requested_at
LIMIT 200`),
			wide("workspace", 90), wide("export", 130).linked("Open the exports", "/exports"), wide("purpose", 130),
			wide("app", 120), wide("status", 80).statuses(), in("done", units.Percent, 130).bar(100, "blue"),
			in("rows done", units.Short, 80), in("of rows", units.Short, 70), in("rate", units.RowsPerSecond, 100),
			in("time left", units.DurationSeconds, 80), in("age", units.DurationSeconds, 70).shaded(rising(600, 3600)...),
			in("last progress", units.DurationSeconds, 100).shaded(rising(60, 300)...)),
	}
}

func queue() []panel {
	return []panel{
		lines(about{"Messages that wait", "Requests, windows and results that no stage has handled yet.",
			"near zero; large exports keep up to 48 windows waiting each.", "a group that only grows needs more processes " +
				"of role export."},
			units.Short, 8, over(`sum by (group) (millrace_consumer_lag_records{$, topic=~".*export-.*"})`, "{{group}}")),
		lines(about{"Wait before work, p95", "Time from a message's timestamp until a stage begins to work on it.",
			"under 1 s.", "start more processes of role export, or raise MILLRACE_EXPORT_CONCURRENCY."},
			units.Seconds, 8, over(quantile("0.95", "millrace_stage_wait_seconds", "stage"), "{{stage}}")),
		lines(about{"Age of the oldest unfinished export", "How long ago the export was asked for that is unfinished for " +
			"the longest.",
			"it falls whenever that export ends.", "a line that only rises is an export that hangs: find it in *Running " +
				"exports*."},
			units.Seconds, 8, over("max(millrace_export_oldest_unfinished_seconds{$})", "age")).limited(step{3600, "orange"}),
		lines(about{"Records a second", "Records that extract writes, by purpose.",
			"tens of thousands a second and process while exports run.", "see *Queries of ClickHouse, p95* and *Operations " +
				"of the bucket, p95* on the dashboard Pipeline."},
			units.RecordsPerSecond, 8, over("sum by (purpose) (rate(millrace_export_records_total{$}[$__rate_interval])) > 0",
				"{{purpose}}")),
		lines(about{"Windows written", "Windows that extract has written, by outcome.",
			"done alone.", "a failed window ends its export; *Failures by reason* has the error."},
			units.OpsPerSecond, 8, over("sum by (outcome) (rate(millrace_export_windows_total{$}[$__rate_interval]))",
				"{{outcome}}")),
		lines(about{"Unfinished exports", "Exports that were asked for and have not ended, and of them those for which a " +
			"stage tried something again in the last minute.",
			"both return to zero.", "a floor that rises is exports that hang: find them in *Running exports*. For those that " +
				"are tried again, their page says what fails."},
			units.Short, 8, over("max(millrace_exports_running{$})", "unfinished"),
			over("sum by (stage) (millrace_exports_retrying{$})", "{{stage}} tries again")),
	}
}

func durations() []panel {
	return []panel{
		bars(about{"Exports that ended", "Exports by how they ended.",
			"succeeded, and cancelled by people.", "see *Failures by reason*."},
			units.Short, 8, series(`
SELECT $__timeInterval(assumeNotNull(completed_at)) AS time, toString(status) AS status, count() AS exports`+ended+
				"GROUP BY time, status\nORDER BY time, status")).named("status"),
		lines(about{"Duration by purpose, p95", "Time from the request until the completion, of exports that succeeded.",
			"seconds; it grows with the rows, not with the purpose.", "compare the table on the right for exports of the " +
				"same size."},
			units.Seconds, 8, series(`
SELECT $__timeInterval(assumeNotNull(completed_at)) AS time, toString(purpose) AS purpose, quantile(0.95)(`+seconds+`) AS seconds`+
				ended+"AND status = 'succeeded'\nGROUP BY time, purpose\nORDER BY time, purpose")).named("purpose"),
		lines(about{"Duration by size, p95 (all workspaces)", "Time from the request until the completion, by the rows " +
			"of the export.",
			"under 10 s for exports under 10,000 rows.", "see *Wait before work, p95* for waiting, and the dashboard " +
				"Pipeline for slow queries."},
			units.Seconds, 8, over(`histogram_quantile(0.95, sum by (le, size_class) (rate(millrace_export_duration_seconds_bucket`+
				`{$, status="succeeded"}[$__rate_interval])))`, "{{size_class}}")),
		rows(about{"Durations by purpose and size", "How long exports took that succeeded, by purpose and by their rows.",
			"under 10 s up to 10,000 rows; then tens of thousands of rows a second.",
			"a purpose that is slower than the others at the same size compares runs of the same input, which reads them " +
				"whole."},
			24, 7, list(`
SELECT purpose, multiIf(rows_planned < 10000, 'under 10,000', rows_planned < 100000, '10,000 to 100,000',
       rows_planned < 1000000,
               '100,000 to 1 M', '1 M and more') AS "rows of the export", count() AS exports,
       quantile(0.5)(took) AS p50, quantile(0.95)(took) AS p95, max(took) AS slowest,
       sum(rows_planned) / sum(took) AS "rows/s",
       sum(rows_planned) AS "all rows"
FROM (SELECT *, greatest(`+seconds+`, 0.001) AS took`+ended+`AND status = 'succeeded')
GROUP BY purpose, "rows of the export"
ORDER BY purpose, min(rows_planned)`),
			in("exports", units.Short, 0), in("p50", units.Seconds, 0), in("p95", units.Seconds, 0).shaded(rising(60, 600)...),
			in("slowest", units.Seconds, 0), in("rows/s", units.RowsPerSecond, 0), in("all rows", units.Short, 0)),
	}
}

func failed() []panel {
	return []panel{
		rows(about{"Failures by reason", "Exports that failed in the time shown, with the newest message of each reason.",
			"none.", "codes such as wrong_type and missing_field are for whoever asked: the message says what to change. " +
				"Where again is yes, asking again may succeed."},
			24, 6, list(`
SELECT error_code AS reason, purpose, count() AS exports, max(completed_at) AS last,
       any(error_retryable) ? 'yes' : 'no' AS again,
       argMax(error_message, completed_at) AS message, argMax(export_id, completed_at) AS "last export",
       argMax(workspace_id, completed_at) AS workspace`+ended+`AND status = 'failed'
GROUP BY reason, purpose
ORDER BY exports DESC
LIMIT 50`),
			wide("reason", 150), wide("purpose", 140), in("exports", units.Short, 70), in("last", units.DateTimeFromNow, 120),
			wide("again", 60), wide("last export", 150).linked("Open the exports", "/exports?status=failed"),
			wide("workspace", 110)),
		rows(about{"Rows left out, by reason", "Source rows that were selected and are in no record, by reason and purpose.",
			"some: a target needs what not every run has.", "a reason with a large share means that the filters select runs which the target cannot use. `millrace formats` has their rules."},
			24, 6, list(`
SELECT reason, purpose, sum(n) AS "rows left out", sum(n) / sum(planned) AS share, uniqExact(workspace_id,
       export_id) AS exports
FROM
(
    SELECT workspace_id, export_id, toString(purpose) AS purpose, greatest(rows_planned, 1) AS planned, reason, n
    FROM exports
    ARRAY JOIN mapKeys(dropped) AS reason, mapValues(dropped) AS n
    WHERE $__timeFilter(completed_at) AND `+ofExports+`
)
GROUP BY reason, purpose
ORDER BY "rows left out" DESC
LIMIT 50`),
			in("rows left out", units.Short, 100), in("share", units.PercentUnit, 130).bar(1, "orange"), in("exports",
				units.Short, 70)),
	}
}

func volume() []panel {
	return []panel{
		bars(about{"Bytes written by target", "Size of the files of the exports that ended, by the tool they are for.",
			"it follows what people ask for.", "a target that fills the bucket may be asked for again and again: see *Who " +
				"asks*."},
			units.BytesSI, 12, series(`
SELECT $__timeInterval(assumeNotNull(completed_at)) AS time, toString(target) AS target, sum(bytes) AS bytes`+ended+
				"GROUP BY time, target\nORDER BY time, target")).named("target"),
		rows(about{"Who asks", "Exports that ended in the time shown, by who asked for them.",
			"people and jobs that you know.", "a job that asks for the same again and again should export incrementally, by " +
				"the watermark."},
			12, 7, list(`
SELECT workspace_id AS workspace, requested_by AS who, count() AS exports, countIf(status = 'failed') AS failed,
       sum(rows_planned) AS rows, sum(bytes) AS bytes, max(requested_at) AS last`+ended+`GROUP BY workspace, who
ORDER BY bytes DESC
LIMIT 50`),
			wide("workspace", 90), in("exports", units.Short, 70), in("failed", units.Short, 60).shaded(step{1, "red"}),
			in("rows", units.Short, 70), in("bytes", units.BytesSI, 80), in("last", units.DateTimeFromNow, 110)),
		rows(about{"Newest exports that ended", "The hundred exports that ended last.",
			"succeeded.", "open the export for its files, warnings and how to load it."},
			24, 10, list(`
SELECT completed_at AS ended, workspace_id AS workspace, export_id AS export, name, purpose, target, format, status,
       rows_planned AS rows,
       records, arraySum(mapValues(dropped)) AS "left out", bytes, `+seconds+` AS took, requested_by AS who`+ended+`ORDER BY ended DESC
LIMIT 100`),
			in("ended", units.DateTimeFromNow, 110), wide("workspace", 90),
			wide("export", 130).linked("Open the exports", "/exports"), wide("purpose", 130), wide("target", 110),
			wide("format", 60), wide("status", 80).statuses(), in("rows", units.Short, 60), in("records", units.Short, 70),
			in("left out", units.Short, 70), in("bytes", units.BytesSI, 80), in("took", units.Seconds, 70)),
	}
}
