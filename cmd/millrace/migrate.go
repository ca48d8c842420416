package main

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/pipeline/clickhouse"
	schema "github.com/millrace/millrace/schemas/clickhouse"
)

type migrateCommand struct{}

// Run brings ClickHouse to this version's schema.
func (migrateCommand) Run(ctx context.Context, a *app) error {
	applied, err := clickhouse.Migrate(ctx, a.cfg.dsn, schema.Migrations, a.cfg.ClickHouseCluster, a.log)
	if err != nil {
		return err
	}
	for _, name := range applied {
		fmt.Fprintln(a.stdout, "applied", name)
	}
	if len(applied) == 0 {
		fmt.Fprintln(a.stdout, "nothing to do: database", a.cfg.dsn.Database, "is up to date")
	}
	return nil
}
