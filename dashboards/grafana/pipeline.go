package grafana

import (
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// pipeline is for whoever runs Millrace. It reads from top to bottom as the records flow.
func pipeline() *dashboard.DashboardBuilder {
	d := newDashboard("pipeline", "Millrace / Pipeline",
		"Is the pipeline healthy, what is slow, and what to do. The first row answers; the others say where to look.",
		"now-1h", "30s")
	for _, v := range append(sources(), processes()...) {
		d.WithVariable(v)
	}
	d.Annotation(releases()).Annotation(failures("1=1"))
	for _, row := range []struct {
		title  string
		panels []panel
	}{
		{"Is it healthy?", health()},
		{"Runs come in", intake()},
		{"What is refused, repeated or given up", trouble()},
		{"Stages of exports", stages()},
		{"ClickHouse and the bucket", stores()},
		{"HTTP", web()},
		{"Processes", process()},
	} {
		d.WithRow(dashboard.NewRowBuilder(row.title))
		for _, p := range row.panels {
			d.WithPanel(p)
		}
	}
	return d
}

func health() []panel {
	return []panel{
		number(about{"Processes", "How many processes of each role answer Prometheus.",
			"as many as are deployed.", "look at the log of the role that is missing; its last line says what it needs."},
			units.Short, plain(), now("count by (role) (millrace_build_info{$})", "{{role}}")),
		number(about{"Oldest record that waits", "How old the oldest record is that a consumer group has not yet handled.",
			"under 10 s.", "find the group in *Records that wait*; start more processes of its role if all its slots are " +
				"busy, and look below at what refuses if they are not."},
			units.Seconds, rising(30, 300), now("max(millrace_consumer_lag_seconds{$})", "")),
		number(about{"Event to queryable, p95", "Time from a run event's timestamp in Kafka until ClickHouse returns its " +
			"row.",
			"under 5 s.", "compare *Insert by table, p95*: a slow insert is ClickHouse's; a fast one means that ingest has " +
				"too few processes, or waits for Kafka."},
			units.Seconds, rising(10, 60), now(quantile("0.95", "millrace_ingest_event_to_queryable_seconds", ""), "")),
		number(about{"ClickHouse", "Whether ingest's last attempt at ClickHouse succeeded, in the process where it did " +
			"not if there is one: 1 = yes.",
			"1.", "look at *Queries of ClickHouse that failed*; ingest repeats and loses nothing, so mend ClickHouse first."},
			units.BoolYesNo, falling(0.5, 1), now("min(millrace_ingest_clickhouse_up{$})", "")),
		number(about{"Dead letters", "Records refused in the time shown.",
			"0.", "`millrace dead-letters ls` shows them with the reason; mend the producer, then replay them."},
			units.Short, rising(1, 100), now("round(sum(increase(millrace_dead_letters_total{$}[$__range])))", "")),
		number(about{"Oldest unfinished export", "How long ago the export was asked for that is unfinished for the longest.",
			"under a minute for small exports; large ones take minutes.",
			"open the dashboard Exports: it shows which export, how far it is and what it waits for."},
			units.Seconds, rising(600, 3600), now("max(millrace_export_oldest_unfinished_seconds{$})", "")),
	}
}

func intake() []panel {
	return []panel{
		lines(about{"Records stored", "Records of topic runs that ingest has stored or refused.",
			"it follows what producers send.", "at zero while *Records that wait* grows, ingest is stuck: see *Attempts " +
				"repeated*."},
			units.RecordsPerSecond, 8, over("sum(rate(millrace_ingest_records_total{$}[$__rate_interval]))", "records")),
		lines(about{"Rows stored by table", "Rows inserted into ClickHouse.",
			"several nodes for each run of a recipe, and less feedback than runs.",
			"a table that stays at zero has no producer: look for its events in *Dead letters by reason*."},
			units.RowsPerSecond, 8, over("sum by (table) (rate(millrace_ingest_rows_total{$}[$__rate_interval]))",
				"{{table}}")),
		lines(about{"Event to queryable", "Time from a run event's timestamp in Kafka until ClickHouse returns its row.",
			"p95 under 5 s. A backlog shows as its age.",
			"compare with *Insert by table, p95* to see whether ClickHouse or ingest is slow."},
			units.Seconds, 8, quantiles("millrace_ingest_event_to_queryable_seconds")...).limited(step{10, "orange"}),
		lines(about{"Records that wait", "Records that a consumer group has not yet handled.",
			"near zero, with short peaks.", "a group that grows and never falls is stuck or too slow: start more processes " +
				"of its role, up to the partitions of its topic."},
			units.Short, 8, over("sum by (group) (millrace_consumer_lag_records{$})", "{{group}}")),
		lines(about{"Age of the oldest record that waits", "How old the oldest unhandled record of each consumer group is.",
			"under 10 s.", "records can be few and yet old: one partition may hang. See *Partitions furthest behind*."},
			units.Seconds, 8, over("max by (group) (millrace_consumer_lag_seconds{$})", "{{group}}")).limited(step{30,
			"orange"}),
		gauges(about{"Partitions furthest behind", "The ten partitions with the most records that wait, now.",
			"all alike.", "one far ahead of the others has a key that receives too much, or a record that is tried again " +
				"and again."},
			units.Short, 8, rising(1000, 100000),
			now("topk(10, sum by (topic, partition) (millrace_consumer_lag_records{$}))", "{{topic}} {{partition}}")),
		lines(about{"Insert by table, p95", "Time to insert a batch into a table, repetitions included.",
			"under 1 s.", "ClickHouse has too many parts, too little memory or a slow disk: look at its system.parts and " +
				"system.merges."},
			units.Seconds, 8, over(quantile("0.95", "millrace_ingest_insert_seconds", "table"), "{{table}}")),
		lines(about{"Records of a batch, p50 and p95", "How many records ingest stores at once.",
			"it grows with the load: large batches are cheap.",
			"small batches under load make many parts: raise MILLRACE_INGEST_BATCH_INTERVAL."},
			units.Short, 8, over(quantile("0.50", "millrace_ingest_batch_records", ""), "p50"),
			over(quantile("0.95", "millrace_ingest_batch_records", ""), "p95")),
		lines(about{"Bytes read", "Bytes of the records that ingest has handled.",
			"it follows the records.", "bytes that grow while records do not are larger texts of producers: watch disk space."},
			units.BytesPerSecondSI, 8, over("sum(rate(millrace_ingest_bytes_total{$}[$__rate_interval]))", "bytes")),
	}
}

func trouble() []panel {
	return []panel{
		bars(about{"Dead letters by reason", "Records refused, by the stage that refused them and the code of the reason.",
			"none.", "`millrace dead-letters show` names the field. invalid_json is a producer's; row_refused is ClickHouse's; export_id_conflict is a requester's that used an id twice."},
			units.Short, 8, over("sum by (stage, code) (increase(millrace_dead_letters_total{$}[$__rate_interval])) > 0",
				"{{stage}} {{code}}")),
		bars(about{"Attempts repeated", "Work that failed and was or will be tried again, by what was tried.",
			"none, or a few during a restart.", "repetitions without end mean that something is down: the name says what, " +
				"and the log has the error with its cause."},
			units.Short, 8, over("sum by (stage, what) (increase(millrace_stage_retries_total{$}[$__rate_interval])) > 0",
				"{{stage}} {{what}}")),
		bars(about{"Errors by class", "Errors of the stages. retry: tried again; row: the record's own fault; stop: the " +
			"process ends.",
			"none.", "stop needs you: the log says what to change, such as a password or a missing topic. retry that goes " +
				"on is something that is down."},
			units.Short, 8, over("sum by (stage, class) (increase(millrace_stage_errors_total{$}[$__rate_interval])) > 0",
				"{{stage}} {{class}}")),
		bars(about{"Transactions not committed", "Kafka transactions that ended in another way, and sessions that had to " +
			"be renewed.",
			"none, but for restarts and rebalances: what was aborted is done again.",
			"many at all times mean that processes are paused longer than 10 s, or that brokers are overloaded."},
			units.Short, 8, over(`sum by (stage, outcome) (increase(millrace_stage_transactions_total{$, outcome!="committed"}`+
				"[$__rate_interval])) > 0", "{{stage}} {{outcome}}"),
			over("sum by (stage) (increase(millrace_stage_sessions_renewed_total{$}[$__rate_interval])) > 0",
				"{{stage}} session renewed"),
			over("sum(increase(millrace_ingest_commit_failures_total{$}[$__rate_interval])) > 0", "ingest commit failed")),
		gauges(about{"Unknown fields", "The fields that producers send and the contract does not have, in the time " +
			"shown. They are ignored.",
			"none.", "a misspelt field loses its value silently for the producer: tell its owner the right name."},
			units.Short, 8, plain(), now("topk(10, round(sum by (field) "+
				"(increase(millrace_ingest_unknown_fields_total{$}[$__range])))) > 0",
				"{{field}}")),
		lines(about{"Started twice, and cleaned up", "Events that changed a run's started_at, and objects and " +
			"cancels without a request that the janitor removed or could not remove.",
			"zero; a few objects after a crash.", "a changed started_at costs a row more, which hides the run's older one: " +
				"producers must keep it. Failures of the janitor are in the log of export."},
			units.Short, 8, over("sum(increase(millrace_ingest_started_at_conflicts_total{$}[$__rate_interval]))",
				"started_at changed"),
			over("sum(increase(millrace_janitor_objects_removed_total{$}[$__rate_interval]))", "objects removed"),
			over("sum(increase(millrace_janitor_cancels_removed_total{$}[$__rate_interval]))", "cancels without a request"),
			over("sum(increase(millrace_janitor_failures_total{$}[$__rate_interval]))", "janitor failed")),
	}
}

func stages() []panel {
	return []panel{
		lines(about{"Slots in use", "The share of its slots in which a stage works on a record.",
			"under 100 %.", "at 100 % with *Wait before work, p95* growing, start more processes of role export, or raise " +
				"MILLRACE_EXPORT_CONCURRENCY."},
			units.PercentUnit, 8, over("sum by (stage) (millrace_stage_in_flight{$}) / sum by (stage) "+
				"(millrace_stage_slots{$})",
				"{{stage}}")).to100(),
		lines(about{"Wait before work, p95", "Time from a record's timestamp until a stage begins to work on it.",
			"under 1 s; windows of large exports wait for those before them.",
			"compare *Slots in use*: full slots need more processes; free slots mean that Kafka is slow or a group " +
				"rebalances."},
			units.Seconds, 8, over(quantile("0.95", "millrace_stage_wait_seconds", "stage"), "{{stage}}")),
		lines(about{"Work on a record, p95", "Time that a stage works on one record, without its transaction.",
			"plan, seal and track under 1 s; extract is as long as its window.",
			"see which query of ClickHouse or operation of the bucket is slow, below."},
			units.Seconds, 8, over(quantile("0.95", "millrace_stage_work_seconds", "stage"), "{{stage}}")),
		lines(about{"Records by stage", "Records that the export stages have finished, by outcome.",
			"done alone.", "aborted and lost records come again; a failed record stops the stage, and the log says why."},
			units.RecordsPerSecond, 8, over("sum by (stage, outcome) "+
				"(rate(millrace_stage_records_total{$}[$__rate_interval])) > 0",
				"{{stage}} {{outcome}}")),
		lines(about{"Windows written", "Windows of exports that were written, by purpose and outcome.",
			"done alone.", "failed windows end their export: the dashboard Exports has the reason."},
			units.OpsPerSecond, 8, over("sum by (purpose, outcome) "+
				"(rate(millrace_export_windows_total{$}[$__rate_interval])) > 0",
				"{{purpose}} {{outcome}}")),
		lines(about{"Progress is behind", "How old the newest progress is that track has stored: pages and these " +
			"dashboards show it so late.",
			"under 5 s.", "see track in *Attempts repeated*. Exports go on without it."},
			units.Seconds, 8, over("max(millrace_track_lag_seconds{$})", "track")).limited(step{30, "orange"}),
	}
}

func stores() []panel {
	return []panel{
		lines(about{"Queries of ClickHouse, p95", "Time of the queries that Millrace sends, by what they are for.",
			"counts and windows under 1 s; freezing a large selection takes seconds.",
			"find the query in system.query_log by its comment, which names stage and query."},
			units.Seconds, 8, over(quantile("0.95", "millrace_clickhouse_query_seconds", "stage, query"), "{{stage}} "+
				"{{query}}")),
		lines(about{"Queries of ClickHouse", "Queries that ended, by outcome.",
			"ok or done alone.", "the outcome names the class of the error. Queries are repeated, so mend ClickHouse and wait."},
			units.OpsPerSecond, 8, over("sum by (outcome) (rate(millrace_clickhouse_query_seconds_count{$}[$__rate_interval]))",
				"{{outcome}}")),
		bars(about{"Queries of ClickHouse that failed", "Queries that ended in an error, by what they are for.",
			"none.", "system.query_log has the exception; a query that always fails ends its export after 5 attempts."},
			units.Short, 8, over("sum by (stage, query, outcome) (increase(millrace_clickhouse_query_seconds_count"+
				`{$, outcome!~"ok|done"}[$__rate_interval])) > 0`, "{{stage}} {{query}} {{outcome}}")),
		lines(about{"Operations of the bucket, p95", "Time of the operations on the object store.",
			"under 200 ms for small objects; writing a fragment is as long as its bytes take.",
			"slow for all operations is the network or the store; slow for list alone, too many objects under one prefix."},
			units.Seconds, 8, over(quantile("0.95", "millrace_bucket_operation_seconds", "operation"), "{{operation}}")),
		bars(about{"Operations of the bucket that failed", "Operations that ended in an error. A key that exists is not " +
			"one: it is how writers agree.",
			"none.", "a refusal is a matter of keys and policies: the log of the role has the answer of the store."},
			units.Short, 8, over("sum by (operation, outcome) (increase(millrace_bucket_operation_seconds_count"+
				`{$, outcome!~"ok|done|exists|not_found"}[$__rate_interval])) > 0`, "{{operation}} {{outcome}}")),
		lines(about{"Bytes of the bucket", "Bytes written to and read from the object store.",
			"it follows the exports and their downloads.", "reads without people downloading are a client that repeats: see " +
				"HTTP."},
			units.BytesPerSecondSI, 8, over("sum by (operation) (rate(millrace_bucket_bytes_total{$}[$__rate_interval]))",
				"{{operation}}")),
	}
}

func web() []panel {
	// Streams last as long as a page is open, and Prometheus and health checks are nobody who waits.
	const asked = `route!~".*/(events|metrics|healthz|readyz).*"`
	const class = "sum by (class) (label_replace(rate(millrace_http_request_seconds_count{$, " + asked +
		`}[$__rate_interval]), "class", "${1}xx", "status", "(.).."))`
	const route = "histogram_quantile(0.95, sum by (le, route) (rate(millrace_http_request_seconds_bucket{$, " + asked +
		"}[$__rate_interval])) and on (route) topk(10, sum by (route) (rate(millrace_http_request_seconds_count{$, " +
		asked + "}[$__rate_interval]))))"
	return []panel{
		lines(about{"Requests by status", "Requests that serve has answered.",
			"2xx and 3xx, and some 4xx.", "4xx are clients': 401 is a token, 404 an id, 429 a client without pauses. 5xx " +
				"are ours: the log has one line for each."},
			units.RequestsPerSecond, 8, over(class, "{{class}}")),
		lines(about{"Answer time by route, p95", "Time to answer, for the ten busiest routes. Streams, metrics and " +
			"health are left out.",
			"pages and lists under 500 ms.", "see *Queries of ClickHouse, p95*; a download is as long as its bytes take."},
			units.Seconds, 8, over(route, "{{route}}")),
		lines(about{"Open requests and streams", "Requests that are being answered, and readers of live progress among " +
			"them.",
			"as many as people have pages of exports open.", "a number that only grows is a client that opens streams and " +
				"never closes them."},
			units.Short, 8, over("sum(millrace_http_requests_in_flight{$})", "requests"),
			over("sum(millrace_sse_subscribers{$})", "streams of progress")),
	}
}

func process() []panel {
	return []panel{
		lines(about{"Memory", "Resident memory of each process.",
			"flat: a backlog never grows memory.", "a process near its limit has large windows or texts: lower " +
				"MILLRACE_EXPORT_CONCURRENCY, or give it more."},
			units.BytesIEC, 6, over("process_resident_memory_bytes{$}", "{{instance}}")),
		lines(about{"CPU", "Cores that each process uses.",
			"under what the container may use.", "at the limit, start more processes of the role."},
			units.Short, 6, over("rate(process_cpu_seconds_total{$}[$__rate_interval])", "{{instance}}")),
		lines(about{"Goroutines", "Goroutines of each process.",
			"flat under the same load.", "a number that only grows is a leak: take /debug/pprof/goroutine and report it."},
			units.Short, 6, over("go_goroutines{$}", "{{instance}}")),
		{about{"Versions", "What runs where.",
			"one version, but while a release rolls out.", "finish or undo the release. Processes of two versions work " +
				"together."},
			6, 7, listing().OverrideByRegexp("Time|Value", hidden("").properties), []query{metrics{expr: filtered("max by " +
				"(role, instance, version, go_version) (millrace_build_info{$})"),
				now: true, table: true}}},
	}
}
