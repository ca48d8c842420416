package bench

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/sample"
)

// fill fills the table with runs of the sample, or of files, and with copies of them that start at other times.
func (c Export) fill(ctx context.Context, a *app.App, conn driver.Conn, server int) (err error) {
	if len(c.Events) > 0 {
		err = replay(ctx, a, c.Events)
	} else {
		err = fillOriginals(ctx, a, conn, server)
	}
	if err != nil {
		return err
	}
	if err := copyRuns(ctx, conn, benchApp, c.Runs); err != nil {
		return err
	}
	// A query reads FINAL, and so takes longer the more parts there are. How many, would be chance.
	return conn.Exec(ctx, "OPTIMIZE TABLE runs FINAL")
}

// replay stores the run events of files.
func replay(ctx context.Context, a *app.App, files []string) error {
	ingest, err := startRole(ctx, a, "ingest")
	if err != nil {
		return err
	}
	cmd, err := roleCommand(ctx, a, "replay")
	if err == nil {
		cmd.Args = append(cmd.Args, files...)
		err = cmd.Run() // waits until they are stored
	}
	ingest.Process.Signal(syscall.SIGTERM) //nolint:errcheck // the process may have ended; Wait returns how
	return errors.Join(err, ingest.Wait())
}

// originals are the runs of the sample that copyRuns copies.
const originals = 50_000

func fillOriginals(ctx context.Context, a *app.App, conn driver.Conn, server int) error {
	if _, err := fillTopic(ctx, a, sample.Config{Seed: 1, Runs: originals, Plain: true}); err != nil {
		return err
	}
	_, err := measureIngest(ctx, a, conn, server, originals, 0)
	return err
}

// copyRuns gives an app so many copies of the runs of other apps.
func copyRuns(ctx context.Context, conn driver.Conn, appID string, runs int) error {
	others := fmt.Sprintf("FROM runs FINAL WHERE NOT startsWith(app_id, '%s')", benchApp)
	var n uint64
	if err := conn.QueryRow(ctx, "SELECT count() "+others).Scan(&n); err != nil {
		return err
	}
	if n == 0 {
		return errors.New("there are no runs to copy")
	}
	return conn.Exec(ctx, fmt.Sprintf(
		`INSERT INTO runs SELECT * EXCEPT (copy) REPLACE ('default' AS workspace_id, 'recipe' AS source, '%s' AS app_id,
    concat(run_id, '-', app_id, '-', toString(copy)) AS run_id, started_at + toIntervalHour(copy) AS started_at)
FROM (SELECT * %s) AS originals
    CROSS JOIN (SELECT number AS copy FROM numbers(%d)) AS copies LIMIT %d
SETTINGS async_insert = 0`, appID, others, (uint64(runs)+n-1)/n, runs))
}
