package main

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/clickhouse"
	schema "github.com/millrace/millrace/schemas/clickhouse"
)

type migrateCommand struct{}

// Run brings ClickHouse to this version's schema.
func (migrateCommand) Run(ctx context.Context, a *app.App) error {
	applied, err := clickhouse.Migrate(ctx, a.Config.DSN, schema.Migrations, a.Config.ClickHouseCluster, a.Log)
	if err != nil {
		return err
	}
	for _, name := range applied {
		fmt.Fprintln(a.Stdout, "applied", name)
	}
	if len(applied) == 0 {
		fmt.Fprintln(a.Stdout, "nothing to do: database", a.Config.DSN.Database, "is up to date")
	}
	return nil
}
