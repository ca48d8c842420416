package doctor

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/columns"
	"github.com/millrace/millrace/pipeline/export/selection"
	schema "github.com/millrace/millrace/schemas/clickhouse"
)

const runMigrate = "run `millrace migrate`"

// testedVersion is the version of ClickHouse that the tests run on, year and month.
var testedVersion = [2]int{26, 7}

// clickHouse checks everything that is in ClickHouse.
func (e *examination) clickHouse(ctx context.Context) {
	conn, err := e.Config.DSN.Open()
	if err != nil {
		e.add(areaClickHouse, Error, "correct MILLRACE_CLICKHOUSE_DSN", "connect to ClickHouse: %v", err)
		return
	}
	defer conn.Close()
	var version string
	if err := conn.QueryRow(ctx, "SELECT version()").Scan(&version); err != nil {
		e.unreachable(err)
		return
	}
	e.version(version)
	e.settings(ctx, conn) // before all that reads rows, whose answers they may cut
	if !e.migrations(ctx, conn) {
		return
	}
	e.tables(ctx, conn)
	e.clickHouseClock(ctx, conn)
	if e.Config.ClickHouseCluster != "" {
		e.replicas(ctx, conn)
		e.barrier(ctx)
	}
}

// barrier reads behind the barrier that exports stand behind.
func (e *examination) barrier(ctx context.Context) {
	began := time.Now()
	err := e.Config.DSN.Through(ctx, selection.Tables, func(pins []ch.Setting) error {
		client, err := e.Config.DSN.Dial(ctx)
		if err != nil {
			return err
		}
		defer client.Close()
		query := clickhouse.Query{SQL: "SELECT toString(count()) FROM runs", Settings: pins}
		_, err = clickhouse.ReadTexts(ctx, client, query)
		return err
	})
	if err != nil {
		e.add(areaClickHouse, Error, "let roles export and serve reach every server of remote_servers under its name, GRANT "+
			"SYSTEM SYNC REPLICA, and give replicas no priority",
			"exports would wait, since no read is sure to find all rows: %v", err)
		return
	}
	e.ok(areaClickHouse, "a replica of each shard has caught up, after %.1f s, and is the one that exports read",
		time.Since(began).Seconds())
}

// unreachable says why ClickHouse does not answer a query.
func (e *examination) unreachable(err error) {
	action := "start ClickHouse, or correct MILLRACE_CLICKHOUSE_DSN"
	explained := clickhouse.Explain(err)
	switch {
	case errors.Is(explained, clickhouse.ErrCredentials):
		action = "correct user and password of MILLRACE_CLICKHOUSE_DSN"
	case errors.Is(explained, clickhouse.ErrRights):
		action = "grant the user the rights of the operator's document"
	case errors.Is(explained, clickhouse.ErrSchema):
		action = runMigrate
	}
	e.add(areaClickHouse, Error, action, "%v", explained)
}

func (e *examination) version(version string) {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 3 {
		e.add(areaClickHouse, Note, "", "the version of ClickHouse is %s", version)
		return
	}
	year, err1 := strconv.Atoi(parts[0])
	month, err2 := strconv.Atoi(parts[1])
	if err1 != nil || err2 != nil || slices.Compare([]int{year, month}, testedVersion[:]) < 0 {
		e.add(areaClickHouse, Warning, "upgrade ClickHouse",
			"ClickHouse is version %s, and the tests of this release run on %d.%d", version, testedVersion[0], testedVersion[1])
		return
	}
	e.ok(areaClickHouse, "ClickHouse %s answers at %s", version, e.Config.DSN.Addr())
}

// migrations compares what was applied with this release, and reports whether the tables may be looked at.
func (e *examination) migrations(ctx context.Context, conn driver.Conn) bool {
	wanted, err := clickhouse.Render(schema.Migrations, e.Config.DSN.Database, e.Config.ClickHouseCluster)
	if err != nil {
		e.add(areaClickHouse, Error, "", "read the migrations of this release: %v", err)
		return false
	}
	rows, err := conn.Query(ctx, "SELECT version, name, checksum FROM schema_migrations FINAL ORDER BY version")
	if err != nil {
		e.unreachable(err)
		return false
	}
	defer rows.Close()
	sums := map[uint32]string{}
	newest := ""
	for rows.Next() {
		var version uint32
		var sum string
		if err := rows.Scan(&version, &newest, &sum); err != nil {
			e.unreachable(err)
			return false
		}
		sums[version] = sum
	}
	if err := rows.Err(); err != nil {
		e.unreachable(err)
		return false
	}
	var missing []string
	good := true
	for _, m := range wanted {
		switch sum, applied := sums[m.Version]; {
		case !applied:
			missing = append(missing, m.Name)
		case sum != m.Checksum:
			good = false
			e.add(areaClickHouse, Error, "use the release that made the database",
				"migration %s was applied from another text than this release's", m.Name)
		}
	}
	if missing != nil {
		e.add(areaClickHouse, Error, runMigrate, "database %s lacks the migrations %s", e.Config.DSN.Database,
			strings.Join(missing, ", "))
	}
	if last := wanted[len(wanted)-1]; sums[last.Version+1] != "" {
		good = false
		e.add(areaClickHouse, Error, "use the newer release", "database %s was made by a newer release: it has migration %s",
			e.Config.DSN.Database, newest)
	}
	if missing == nil && good {
		e.ok(areaClickHouse, "database %s has all %d migrations", e.Config.DSN.Database, len(wanted))
	}
	return missing == nil && good
}

// created matches the statements of migrations that make or drop a table or view.
var created = regexp.MustCompile(`(?s)^(CREATE|DROP)(?: OR REPLACE)? (?:TABLE|VIEW|MATERIALIZED VIEW)(?: IF (?:NOT )?EXISTS)? (\w+)`)

// tables looks whether the tables and views of the migrations are there, with their columns.
func (e *examination) tables(ctx context.Context, conn driver.Conn) {
	migrations, err := clickhouse.Render(schema.Migrations, e.Config.DSN.Database, e.Config.ClickHouseCluster)
	if err != nil {
		return // said before
	}
	wanted := map[string]bool{}
	for _, m := range migrations {
		for _, statement := range m.Statements {
			if found := created.FindStringSubmatch(statement); found != nil {
				wanted[found[2]] = found[1] == "CREATE"
			}
		}
	}
	has := map[string]map[string]string{}
	rows, err := conn.Query(ctx, "SELECT table, name, type FROM system.columns WHERE database = currentDatabase()")
	if err != nil {
		e.unreachable(err)
		return
	}
	defer rows.Close()
	for rows.Next() {
		var table, name, kind string
		if err := rows.Scan(&table, &name, &kind); err != nil {
			e.unreachable(err)
			return
		}
		if has[table] == nil {
			has[table] = map[string]string{}
		}
		has[table][name] = kind
	}
	var missing, wrong []string
	for name, there := range wanted {
		if there && has[name] == nil {
			missing = append(missing, name)
		}
	}
	wrong = append(wrong, differing("runs", columns.Runs, has)...)
	wrong = append(wrong, differing("nodes", columns.Nodes, has)...)
	wrong = append(wrong, differing("feedback", columns.Feedback, has)...)
	if missing != nil {
		e.add(areaClickHouse, Error, "restore them from the backup, or make them with the statements of the migrations",
			"the migrations were applied, but the tables %s are missing", strings.Join(sorted(missing), ", "))
	}
	if wrong != nil {
		e.add(areaClickHouse, Error, "alter the columns back", "columns are not as the migrations made them: %s",
			strings.Join(wrong, ", "))
	}
	if missing == nil && wrong == nil {
		e.ok(areaClickHouse, "the tables and views of the migrations are there")
	}
}

// differing lists the columns of a table that are missing or have another type.
func differing[R any](table string, wanted []columns.Column[R], has map[string]map[string]string) (wrong []string) {
	if has[table] == nil {
		return nil
	}
	for _, c := range wanted {
		switch kind := has[table][c.Name]; kind {
		case string(c.Type):
		case "":
			wrong = append(wrong, table+"."+c.Name+" is missing")
		default:
			wrong = append(wrong, fmt.Sprintf("%s.%s is %s and not %s", table, c.Name, kind, c.Type))
		}
	}
	return wrong
}

// settings looks for settings of the user with which queries would return less than they should.
func (e *examination) settings(ctx context.Context, conn driver.Conn) {
	rows, err := conn.Query(ctx, "SELECT name, value FROM system.settings WHERE "+
		"(name LIKE '%overflow_mode' AND value = 'break') OR "+
		"(name IN ('readonly', 'limit', 'offset') AND value != '0') ORDER BY name")
	if err != nil {
		e.unreachable(err)
		return
	}
	defer rows.Close()
	found := false
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			e.unreachable(err)
			return
		}
		found = true
		why := "queries end early and without an error, so that exports lack rows"
		if name == "readonly" {
			why = "the user may not insert"
		}
		e.add(areaClickHouse, Error, "change it in the profile of the user, or in MILLRACE_CLICKHOUSE_DSN",
			"setting %s is %s: %s", name, value, why)
	}
	if !found && rows.Err() == nil {
		e.ok(areaClickHouse, "no setting of the user cuts answers")
	}
}

// replica is a row of system.replicas, of one server.
type replica struct {
	host, table       string
	readonly, expired bool
	delay, queue      uint64
	total, active     uint32
}

// maxReplicaDelay is how many seconds a replica may be behind.
const maxReplicaDelay = 60

// wrong returns what is wrong with a replica, or "".
func (r replica) wrong() string {
	switch {
	case r.readonly || r.expired:
		return "has no connection to Keeper, and refuses inserts"
	case r.active < r.total:
		return fmt.Sprintf("%d of %d replicas are active", r.active, r.total)
	case r.delay > maxReplicaDelay:
		return fmt.Sprintf("is %d s behind, with %d entries in its queue: exports that read it lack rows", r.delay, r.queue)
	}
	return ""
}

// replicas asks all servers of the cluster for their replicas.
func (e *examination) replicas(ctx context.Context, conn driver.Conn) {
	var servers uint64
	if err := conn.QueryRow(ctx, "SELECT count() FROM system.clusters WHERE cluster = $1",
		e.Config.ClickHouseCluster).Scan(&servers); err != nil || servers == 0 {
		e.add(areaClickHouse, Error, "correct MILLRACE_CLICKHOUSE_CLUSTER, or remote_servers of ClickHouse",
			"ClickHouse knows no cluster %s", e.Config.ClickHouseCluster)
		return
	}
	rows, err := conn.Query(ctx, "SELECT hostName(), table, toBool(is_readonly), toBool(is_session_expired), "+
		"absolute_delay, toUInt64(queue_size), total_replicas, active_replicas FROM clusterAllReplicas("+
		clickhouse.QuoteText(e.Config.ClickHouseCluster)+", system.replicas) WHERE database = $1", e.Config.DSN.Database)
	if err != nil {
		e.add(areaClickHouse, Error, "start the servers that are down", "ask all servers of the cluster: %v", err)
		return
	}
	defer rows.Close()
	bad := len(e.findings)
	for rows.Next() {
		var r replica
		if err := rows.Scan(&r.host, &r.table, &r.readonly, &r.expired, &r.delay, &r.queue, &r.total, &r.active); err != nil {
			e.unreachable(err)
			return
		}
		if wrong := r.wrong(); wrong != "" {
			e.add(areaClickHouse, Error, "read the log of that server and of Keeper", "table %s on %s: %s", r.table, r.host,
				wrong)
		}
	}
	if err := rows.Err(); err != nil {
		e.add(areaClickHouse, Error, "start the servers that are down", "ask all servers of the cluster: %v", err)
	} else if len(e.findings) == bad {
		e.ok(areaClickHouse, "the replicas on the %d servers of cluster %s have caught up", servers,
			e.Config.ClickHouseCluster)
	}
}
