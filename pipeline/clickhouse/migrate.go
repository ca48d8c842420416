package clickhouse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"regexp"
	"strconv"
	"strings"
	"text/template"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Migration is a numbered SQL file whose templates are filled in.
type Migration struct {
	Version    uint32
	Name       string // 0001_runs.sql
	Checksum   string // SHA-256 of the file, hexadecimal
	Statements []string
}

// Migrate brings the database of the DSN to the newest schema, and returns the names of the
// migrations that it applied. It creates the database, applies in order the migrations that
// schema_migrations does not contain, and records each. Any number of processes may do so at once,
// since every statement is idempotent (CREATE … IF NOT EXISTS, CREATE OR REPLACE VIEW). With the name
// of a cluster, tables are replicated and sharded.
func Migrate(ctx context.Context, dsn *DSN, files fs.FS, cluster string, log *slog.Logger) ([]string, error) {
	migrations, err := Render(files, dsn.Database, cluster)
	if err != nil {
		return nil, err
	}
	conn, err := dsn.open("default")
	if err != nil {
		return nil, fmt.Errorf("connect to ClickHouse: %w", err)
	}
	err = conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+quoteName(dsn.Database)+OnCluster(cluster))
	conn.Close()
	if err != nil {
		return nil, fmt.Errorf("create database %s: %w", dsn.Database, Explain(err))
	}
	if conn, err = dsn.Open(); err != nil {
		return nil, fmt.Errorf("connect to ClickHouse: %w", err)
	}
	defer conn.Close()
	recorded, err := recordedMigrations(ctx, conn, cluster)
	if err != nil {
		return nil, err
	}
	var applied []string
	for _, m := range migrations {
		if sum, ok := recorded[m.Version]; ok {
			if sum != m.Checksum {
				return applied, fmt.Errorf("migration %s was applied from another text than this binary's: "+
					"a released migration must not change; use the release that fits the database", m.Name)
			}
			continue
		}
		for _, statement := range m.Statements {
			if err := execute(ctx, conn, statement); err != nil {
				return applied, fmt.Errorf("migration %s: %w", m.Name, Explain(err))
			}
		}
		if err := conn.Exec(ctx, "INSERT INTO schema_migrations (version, name, checksum) VALUES (?, ?, ?)", m.Version,
			m.Name, m.Checksum); err != nil {
			return applied, fmt.Errorf("record migration %s: %w", m.Name, Explain(err))
		}
		log.Info("migration applied", "database", dsn.Database, "name", m.Name)
		applied = append(applied, m.Name)
	}
	return applied, nil
}

// maxRaces is how often a statement is executed again because another process replaced its view.
const maxRaces = 100

// execute executes a statement. Where another process that migrates replaced the view of the statement
// meanwhile, it executes the statement again.
func execute(ctx context.Context, conn driver.Conn, statement string) (err error) {
	for range maxRaces {
		err = conn.Exec(ctx, statement)
		switch Code(err) {
		case proto.ErrTableIsDropped, proto.ErrCannotAssignAlter, proto.ErrAtomicRenameFail,
			proto.ErrUnknownTable, proto.ErrFileDoesntExist: // the file of the view's temporary name
		default:
			return err
		}
	}
	return err
}

func recordedMigrations(ctx context.Context, conn driver.Conn, cluster string) (map[uint32]string, error) {
	err := conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS schema_migrations`+OnCluster(cluster)+`
(
    version UInt32 COMMENT 'Number of the migration',
    name String COMMENT 'Its file',
    checksum String COMMENT 'SHA-256 of the file',
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When it was applied'
)
ENGINE = `+engine("ReplacingMergeTree", "", cluster)+`
ORDER BY version
COMMENT 'Migrations that were applied'`)
	if err != nil {
		return nil, fmt.Errorf("create schema_migrations: %w", Explain(err))
	}
	rows, err := conn.Query(ctx, "SELECT version, checksum FROM schema_migrations FINAL")
	if err != nil {
		return nil, fmt.Errorf("read schema_migrations: %w", Explain(err))
	}
	defer rows.Close()
	recorded := map[uint32]string{}
	for rows.Next() {
		var version uint32
		var sum string
		if err := rows.Scan(&version, &sum); err != nil {
			return nil, err
		}
		recorded[version] = sum
	}
	return recorded, rows.Err()
}

// Render returns the migrations in order, with their templates filled in for one server (cluster is
// "") or for a cluster.
func Render(files fs.FS, database, cluster string) ([]Migration, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	var migrations []Migration
	comments := map[string]string{}
	for i, name := range names { // Glob sorts
		number, _, _ := strings.Cut(path.Base(name), "_")
		version, err := strconv.ParseUint(number, 10, 32)
		if err != nil || int(version) != i+1 {
			return nil, fmt.Errorf("migration %s: the number must be %04d", name, i+1)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		commentColumns(string(text), comments)
		statements, err := render(string(text), database, cluster, comments)
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", name, err)
		}
		sum := sha256.Sum256(text)
		migrations = append(migrations, Migration{uint32(version), name, hex.EncodeToString(sum[:]), statements})
	}
	return migrations, nil
}

var (
	createTable   = regexp.MustCompile(`(?s)CREATE TABLE IF NOT EXISTS \{\{table "(\w+)"\}\}(.*?)\nENGINE`)
	columnComment = regexp.MustCompile(`(?m)^    (\w+) .*COMMENT ('(?:[^'\\]|\\.)*')`)
)

// commentColumns adds the comments of the columns of each table in a migration, as clauses of ALTER
// TABLE. Migrations repeat them for views, which do not take them over from their table.
func commentColumns(text string, comments map[string]string) {
	for _, table := range createTable.FindAllStringSubmatch(text, -1) {
		var clauses []string
		for _, c := range columnComment.FindAllStringSubmatch(table[2], -1) {
			clauses = append(clauses, "COMMENT COLUMN IF EXISTS "+c[1]+" "+c[2])
		}
		comments[table[1]] = strings.Join(clauses, ",\n")
	}
}

func render(text, database, cluster string, comments map[string]string) ([]string, error) {
	table := func(name string) string {
		if cluster == "" {
			return name
		}
		return shardTable(name)
	}
	t, err := template.New("").Funcs(template.FuncMap{
		"on_cluster": func() string { return strings.TrimSpace(OnCluster(cluster)) },
		"table":      table,
		"comments_of": func(table string) (string, error) {
			if comments[table] == "" {
				return "", fmt.Errorf("no table %s with comments", table)
			}
			return comments[table], nil
		},
		"merge_tree":           func() string { return engine("MergeTree", "", cluster) },
		"replacing_merge_tree": func(version string) string { return engine("ReplacingMergeTree", version, cluster) },
		"distributed": func(name, key string) string {
			if cluster == "" {
				return ""
			}
			return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s%s AS %s ENGINE = Distributed(%s, %s, %s, %s)",
				name, OnCluster(cluster), table(name), QuoteText(cluster), QuoteText(database), table(name), key)
		},
	}).Parse(text)
	if err != nil {
		return nil, err
	}
	var out strings.Builder
	if err := t.Execute(&out, nil); err != nil {
		return nil, err
	}
	var statements []string
	for s := range strings.SplitSeq(out.String(), ";\n") {
		if s = stripComments(s); s != "" {
			statements = append(statements, s)
		}
	}
	return statements, nil
}

// stripComments removes the lines that are comments, so that the head of a file is no statement.
func stripComments(s string) string {
	var lines []string
	for line := range strings.SplitSeq(s, "\n") {
		if !strings.HasPrefix(line, "--") {
			lines = append(lines, line)
		}
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// shardTable returns the name of the table that has the rows of one shard.
func shardTable(name string) string { return name + "_shard" }

func engine(name, arguments, cluster string) string {
	if cluster == "" {
		return name + "(" + arguments + ")"
	}
	args := "'/clickhouse/tables/{uuid}/{shard}', '{replica}'"
	if arguments != "" {
		args += ", " + arguments
	}
	return "Replicated" + name + "(" + args + ")"
}

// OnCluster returns the clause ON CLUSTER of a statement of DDL, or "" if there is no cluster.
func OnCluster(cluster string) string {
	if cluster == "" {
		return ""
	}
	return " ON CLUSTER " + QuoteText(cluster)
}

func quoteName(s string) string {
	return "`" + strings.NewReplacer("\\", "\\\\", "`", "\\`").Replace(s) + "`"
}

// QuoteText returns a text as a literal of SQL, for statements that take no parameters.
func QuoteText(s string) string {
	return "'" + strings.NewReplacer("\\", "\\\\", "'", "\\'").Replace(s) + "'"
}
