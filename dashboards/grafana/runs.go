package grafana

import (
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// ofRuns are the conditions of the variables and of the time shown, on runs and on node runs.
var ofRuns = ofApps + " AND " + chosen("app_version", "version")

// ofApps are those without the version.
var ofApps = "$__timeFilter(started_at) AND " + chosen("workspace_id", "workspace") + " AND " + chosen("app_id", "app")

// allRuns selects the runs.
var allRuns = "\nFROM runs_latest\nWHERE " + ofRuns + "\n"

// took is how long a run or node run took, in seconds; NULL while it runs.
const took = "dateDiff('millisecond', started_at, ended_at) / 1000"

// tokens are those that went in and came out.
const tokens = "ifNull(usage_input_tokens, 0) + ifNull(usage_output_tokens, 0)"

// judged is the rating and score of each run of the selection: each from the newest judgement that has
// it, a person's before a model's and code's.
func judged(selection string) string {
	return `
    SELECT workspace_id, run_id, argMaxIf(rating, (kind = 'human', version), rating != '') AS newest_rating,
           argMaxIf(score, (kind = 'human', version), score IS NOT NULL AND name = '') AS newest_score,
           argMaxIf(comment, (kind = 'human', version), comment != '') AS newest_comment,
           argMaxIf(corrected_answer, (kind = 'human', version), corrected_answer != '') AS correction,
           argMax(created_by, (kind = 'human', version)) AS judge,
           max(coalesce(created_at, updated_at)) AS given
    FROM feedback_latest
    WHERE node_id = '' AND node_run_id = '' AND ` + chosen("workspace_id", "workspace") + `
      AND (workspace_id, run_id) IN (SELECT workspace_id, run_id FROM runs_latest WHERE ` + selection + `)
    GROUP BY workspace_id, run_id`
}

// busiest keeps the six versions with the most runs, which a graph has room for.
var busiest = "AND (app_id, app_version) IN\n    (SELECT app_id, app_version FROM runs_latest WHERE " + ofRuns +
	" GROUP BY app_id, app_version ORDER BY count() DESC LIMIT 6)\n"

// runs is for the teams whose apps produce the runs.
func runs() *dashboard.DashboardBuilder {
	d := newDashboard("runs", "Millrace / Runs",
		"How the copilots and recipes do: volume, success, latency, tokens, cost and feedback by app and version; which "+
			"version wins on "+
			"the same inputs; which nodes fail; what people disliked.", "now-7d", "5m")
	for _, v := range sources() {
		d.WithVariable(v)
	}
	const distinct = " FROM runs_latest WHERE $__timeFilter(started_at)"
	d.WithVariable(several("workspace", "Workspace", "The workspaces that have runs in the time shown.",
		clickhouseSource(),
		"SELECT DISTINCT workspace_id"+distinct+" ORDER BY workspace_id"))
	d.WithVariable(several("app", "App", "The copilots and recipes of the workspaces.", clickhouseSource(),
		"SELECT DISTINCT app_id"+distinct+" AND "+chosen("workspace_id", "workspace")+" ORDER BY app_id"))
	d.WithVariable(several("version", "Version", "The versions of the apps.", clickhouseSource(),
		"SELECT DISTINCT app_version"+distinct+" AND "+chosen("workspace_id", "workspace")+" AND "+chosen("app_id", "app")+
			" ORDER BY app_version"))
	d.Annotation(releases()).Annotation(events("New versions of apps", "green", `
SELECT min(started_at) AS time, concat(app_id, ' ', app_version) AS title,
       concat('First run of version ', app_version, ' of ', app_id, ' in workspace ', workspace_id) AS text,
       [toString(app_id)] AS tags
FROM runs_latest
WHERE `+ofRuns+`
GROUP BY workspace_id, app_id, app_version
HAVING dateDiff('second', $__fromTime, time) > dateDiff('second', $__fromTime, $__toTime) / 20
ORDER BY time
LIMIT 100`))
	for _, row := range []struct {
		title  string
		panels []panel
	}{
		{"How much, how well", figures()},
		{"Over time", courses()},
		{"Which version is better", versionsOfApps()},
		{"Where it goes wrong", wrong()},
	} {
		d.WithRow(dashboard.NewRowBuilder(row.title))
		for _, p := range row.panels {
			d.WithPanel(p)
		}
	}
	return d
}

func figures() []panel {
	return []panel{
		number(about{"Runs", "Runs that started in the time shown.",
			"it follows how the apps are used.", "zero: widen the time, or look in the dashboard Pipeline whether events " +
				"come in."},
			units.Short, plain(), list("SELECT count() AS runs"+allRuns)),
		number(about{"Succeeded", "The share of the runs that succeeded, of those that succeeded or failed.",
			"over 95 %.", "*Errors* says what fails, and *Nodes* where."},
			units.PercentUnit, falling(0.8, 0.95), list("SELECT countIf(status = 'succeeded') / "+
				"nullIf(countIf(status IN ('succeeded', 'failed')), 0) AS share"+allRuns)),
		number(about{"Latency, p95", "How long runs take that have ended: 95 % take less.",
			"what the users of the app accept.", "*Nodes* shows which node takes the time."},
			units.Seconds, plain(), list("SELECT quantile(0.95)("+took+") AS seconds"+allRuns+"AND ended_at IS NOT NULL")),
		number(about{"Tokens", "Tokens that went into the models and came out.",
			"it grows with the runs.", "*Versions* has tokens a run: a version that needs more has a longer prompt or more " +
				"turns."},
			units.Short, plain(), list("SELECT sum("+tokens+") AS tokens"+allRuns)),
		number(about{"Cost", "What the runs cost, as far as producers say.",
			"it grows with the runs.", "*Versions* has the cost a run."},
			units.Dollars, plain(), list("SELECT sum(cost_usd) AS usd"+allRuns)),
		number(about{"Thumbs up", "The share of thumbs up among the runs that have a thumb.",
			"over 80 %.", "*Newest thumbs down* shows what people disliked."},
			units.PercentUnit, falling(0.6, 0.8), list("SELECT countIf(newest_rating = 'thumbsUp') / "+
				"nullIf(countIf(newest_rating != ''), 0) AS share\nFROM ("+judged(ofRuns)+")")),
	}
}

func courses() []panel {
	const app = "toString(app_id) AS app"
	const version = "concat(app_id, ' ', app_version) AS version"
	return []panel{
		bars(about{"Runs by status", "Runs by when they started.",
			"succeeded, with few failed.", "*Errors* says what fails."},
			units.Short, 8, series("SELECT $__timeInterval(started_at) AS time, toString(status) AS status, count() AS "+
				"runs"+allRuns+
				"GROUP BY time, status\nORDER BY time, status")).named("status"),
		lines(about{"Success by version", "The share of the runs that succeeded, for the six busiest versions.",
			"over 95 %, and no fall where a version begins.", "go back to the version before, and look at *Errors* of the " +
				"new one."},
			units.PercentUnit, 8, series("SELECT $__timeInterval(started_at) AS time, "+version+", countIf(status = "+
				"'succeeded') / count() "+
				"AS share"+allRuns+"AND status IN ('succeeded', 'failed') "+busiest+"GROUP BY time, app_id, app_version\nORDER "+
				"BY time, version")).
			named("version").to100(),
		lines(about{"Latency", "How long runs take that have ended, by when they started.",
			"flat.", "a rise of p99 alone is a few long inputs; a rise of p50 is the model or the prompt."},
			units.Seconds, 8, series("SELECT $__timeInterval(started_at) AS time, quantile(0.5)("+took+") AS p50, "+
				"quantile(0.95)("+took+
				") AS p95, quantile(0.99)("+took+") AS p99"+allRuns+"AND ended_at IS NOT NULL\nGROUP BY time\nORDER BY time")),
		bars(about{"Tokens in and out", "Tokens that went into the models and came out.",
			"it follows the runs.", "input that grows faster than the runs is history or context that grows: see *Versions*."},
			units.Short, 8, series("SELECT $__timeInterval(started_at) AS time, sum(usage_input_tokens) AS input, "+
				"sum(usage_output_tokens) "+
				"AS output"+allRuns+"GROUP BY time\nORDER BY time")),
		bars(about{"Cost by app", "What the runs cost, as far as producers say.",
			"it follows the runs.", "find the version that costs more in *Versions*."},
			units.Dollars, 8, series("SELECT $__timeInterval(started_at) AS time, "+app+", sum(cost_usd) AS usd"+allRuns+
				"GROUP BY time, app_id\nORDER BY time, app")).named("app"),
		bars(about{"Feedback", "Runs with a thumb, by when they started.",
			"few thumbs down.", "*Newest thumbs down* shows the runs."},
			units.Short, 8, series("SELECT $__timeInterval(started_at) AS time, toString(newest_rating) AS rating, count() "+
				"AS runs\n"+
				"FROM (SELECT workspace_id, run_id, started_at"+allRuns+") AS r\nINNER JOIN ("+judged(ofRuns)+"\n) AS f USING "+
				"(workspace_id, "+
				"run_id)\nWHERE newest_rating != ''\nGROUP BY time, rating\nORDER BY time, rating")).named("rating"),
	}
}

func versionsOfApps() []panel {
	return []panel{
		rows(about{"Versions", "Every version of every app in the time shown, the newest first.",
			"a newer version is no worse than the one before.", "compare the two on the same inputs, in the table below."},
			24, 9, list(`
SELECT source, app_id AS app, app_version AS version, count() AS runs,
       countIf(status = 'succeeded') / nullIf(countIf(status IN ('succeeded', 'failed')), 0) AS succeeded,
       quantile(0.5)(`+took+`) AS p50, quantile(0.95)(`+took+`) AS p95, sum(`+tokens+`) / count() AS "tokens a run",
       avg(cost_usd) AS "cost a run", countIf(newest_rating = 'thumbsUp') / nullIf(countIf(newest_rating != ''),
       0) AS "thumbs up",
       countIf(newest_rating != '') AS thumbs, avg(newest_score) AS score, min(started_at) AS first,
       max(started_at) AS last
FROM (SELECT *`+allRuns+`) AS r
LEFT JOIN (`+judged(ofRuns)+`
) AS f USING (workspace_id, run_id)
GROUP BY source, app, version
ORDER BY app, first DESC
LIMIT 200`),
			wide("source", 70), wide("version", 130), wide("app", 150).linked("History of this version",
				"/history?source=${__data.fields.source}&app=${__data.fields.app:percentencode}"+
					"&version=${__data.fields.version:percentencode}"),
			in("runs", units.Short, 60), in("succeeded", units.PercentUnit, 120).bar(1, "green"), in("p50", units.Seconds, 80),
			in("p95", units.Seconds, 80), in("tokens a run", units.Short, 100), in("cost a run", units.Dollars, 90),
			in("thumbs up", units.PercentUnit, 120).bar(1, "green"), in("thumbs", units.Short, 70), in("score", units.Short,
				80),
			in("first", units.DateTimeFromNow, 110), in("last", units.DateTimeFromNow, 110)),
		rows(about{"Wins and losses on the same inputs", "Each version against an older one, on the inputs that both " +
			"have answered. A run wins by succeeding, else by the higher score, else by the better thumb; the newest run of " +
			"each version counts.",
			"the newer version wins more than it loses.", "export a recipe_evaluation of the two versions to see the inputs " +
				"that it loses."},
			24, 8, list(`
WITH results AS
(
    SELECT workspace_id, source, app_id, app_version, input_group, min(started_at) AS began,
           argMax((status = 'succeeded', newest_score, multiIf(newest_rating = 'thumbsUp', 1,
       newest_rating = 'thumbsDown', -1, 0)),
                  (started_at, run_id)) AS result
    FROM
    (
        SELECT workspace_id, source, app_id, app_version, input_group, started_at, run_id, status
        FROM runs_latest
        WHERE `+ofApps+` AND status IN ('succeeded', 'failed') AND input_group != ''
    ) AS r
    LEFT JOIN (`+judged(ofApps)+`
    ) AS f USING (workspace_id, run_id)
    GROUP BY workspace_id, source, app_id, app_version, input_group
), versions AS
(
    SELECT workspace_id, source, app_id, app_version, min(began) AS first FROM results GROUP BY workspace_id, source,
    app_id, app_version
)
SELECT source, app, version, against, count() AS inputs, countIf(outcome > 0) AS wins, countIf(outcome < 0) AS losses,
       countIf(outcome = 0) AS ties, wins / nullIf(wins + losses, 0) AS "share won"
FROM
(
    SELECT n.source AS source, n.app_id AS app, n.app_version AS version, o.app_version AS against, n.first AS newer,
    o.first AS older,
           multiIf(n.result.1 != o.result.1, toInt8(n.result.1) - toInt8(o.result.1),
                   ifNull(n.result.2 != o.result.2, false), if(assumeNotNull(n.result.2) > assumeNotNull(o.result.2),
                   1, -1),
                   sign(n.result.3 - o.result.3)) AS outcome
    FROM (SELECT results.*, versions.first AS first FROM results
          INNER JOIN versions USING (workspace_id, source, app_id, app_version)) AS n
    INNER JOIN (SELECT results.*, versions.first AS first FROM results
                INNER JOIN versions USING (workspace_id, source, app_id, app_version)) AS o
        ON n.workspace_id = o.workspace_id AND n.source = o.source AND n.app_id = o.app_id
        AND n.input_group = o.input_group
    WHERE (n.first, n.app_version) > (o.first, o.app_version)
      AND `+"$__conditionalAll((n.app_version IN (${version:singlequote}) OR o.app_version IN (${version:singlequote})), $version)"+`
)
GROUP BY source, app, version, against
ORDER BY app, max(newer) DESC, max(older) DESC
LIMIT 100`),
			wide("source", 80), wide("app", 160).linked("History of this app",
				"/history?source=${__data.fields.source}&app=${__data.fields.app:percentencode}"),
			in("inputs", units.Short, 90), in("wins", units.Short, 90), in("losses", units.Short, 90).shaded(step{1, "orange"}),
			in("ties", units.Short, 90), in("share won", units.PercentUnit, 180).bar(1, "green")),
	}
}

func wrong() []panel {
	return []panel{
		rows(about{"Nodes", "Node runs by node: the nodes that fail most first, then those that take the most time.",
			"no node fails in more than a few percent.", "open the failed runs of the app, and look at the node's inputs; " +
				"or export a node_evaluation of it."},
			24, 9, list(`
SELECT source, app_id AS app, node_id AS node, any(node_type) AS type, count() AS "node runs",
       countIf(status = 'failed') AS failed,
       failed / "node runs" AS "share failed", topKIf(1)(error_type, error_type != '')[1] AS "most frequent error",
       quantile(0.5)(`+took+`) AS p50, quantile(0.95)(`+took+`) AS p95, sum(`+took+`) AS "time in all", sum(`+tokens+`) AS tokens,
       sum(cost_usd) AS cost
FROM nodes_latest
WHERE `+ofRuns+`
GROUP BY source, app, node
ORDER BY failed DESC, "time in all" DESC
LIMIT 100`),
			wide("source", 80), wide("app", 150).linked("Failed runs of this app",
				"/history?source=${__data.fields.source}&app=${__data.fields.app:percentencode}&status=failed"),
			wide("type", 90), in("node runs", units.Short, 90), in("failed", units.Short, 70).shaded(step{1, "orange"}),
			in("share failed", units.PercentUnit, 120).bar(0.25, "red"), in("p50", units.Seconds, 80), in("p95", units.Seconds,
				80),
			in("time in all", units.DurationSeconds, 130), in("tokens", units.Short, 80), in("cost", units.Dollars, 80)),
		rows(about{"Errors", "Failed runs by the kind of their error, with the message of the newest.",
			"none, or few.", "open the newest run; a kind that began with a version is that version's."},
			24, 7, list(`
SELECT app_id AS app, error_type AS error, count() AS runs, uniqExact(app_version) AS versions,
       max(started_at) AS last,
       substringUTF8(argMax(error_message, started_at), 1, 300) AS message, argMax(workspace_id,
       started_at) AS workspace,
       argMax(run_id, started_at) AS run`+allRuns+`AND status = 'failed'
GROUP BY app, error
ORDER BY runs DESC
LIMIT 50`),
			wide("app", 150), wide("error", 150), in("runs", units.Short, 70), in("versions", units.Short, 80),
			in("last", units.DateTimeFromNow, 120), wide("workspace", 100), wide("run", 220).linked("Open the run",
				"/history/run?id=${__data.fields.run:percentencode}")),
		rows(about{"Newest thumbs down", "The runs whose newest thumb is down. Their ids lead to Millrace's page of the " +
			"run, which shows the workspace that is chosen there.",
			"each is somebody's disappointment.", "open the run. A correction in the table is an answer that fine-tuning " +
				"and evaluation can use."},
			24, 10, list(`
SELECT given, workspace_id AS workspace, app_id AS app, app_version AS version, question, answer,
       newest_comment AS comment,
       substringUTF8(correction, 1, 200) AS correction, judge AS "by", run_id AS run
FROM
(
    SELECT workspace_id, run_id, app_id, app_version, substringUTF8(question, 1, 200) AS question,
    substringUTF8(answer, 1, 200) AS answer
    FROM runs_latest
    WHERE `+ofRuns+`
) AS r
INNER JOIN (`+judged(ofRuns)+`
) AS f USING (workspace_id, run_id)
WHERE newest_rating = 'thumbsDown'
ORDER BY given DESC
LIMIT 50`),
			in("given", units.DateTimeFromNow, 120), wide("workspace", 100), wide("app", 130), wide("version", 120),
			wide("by", 120),
			wide("run", 220).linked("Open the run", "/history/run?id=${__data.fields.run:percentencode}")),
	}
}
