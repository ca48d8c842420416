package stage

import (
	"context"

	"github.com/ClickHouse/ch-go"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/kafka"
)

// WithClickHouse calls do with a connection of its own, and marks what goes wrong for [kafka.Retrier.Do]: an
// error that says that schema, rights or configuration are wrong is Permanent, and Unavailable is where the
// server gave no answer. Errors that do has marked stay as they are.
func WithClickHouse(ctx context.Context, dsn *clickhouse.DSN, do func(*ch.Client) error) error {
	client, err := dsn.Dial(ctx)
	if err == nil {
		defer client.Close()
		err = do(client)
	}
	switch {
	case err == nil, ctx.Err() != nil, kafka.IsMarked(err):
		return err
	case clickhouse.Classify(err) == clickhouse.Stop:
		return kafka.Permanent(err)
	case clickhouse.Code(err) == 0:
		return kafka.Unavailable(err)
	}
	return err
}
