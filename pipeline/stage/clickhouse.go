package stage

import (
	"context"

	"github.com/ClickHouse/ch-go"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/kafka"
)

// WithClickHouse calls do as [clickhouse.DSN.With] does, and marks errors for [kafka.Retrier.Do]. An error
// is Permanent if the schema, rights or the configuration are wrong, and Unavailable if the server
// did not answer. Errors that do has marked stay as they are.
func WithClickHouse(ctx context.Context, dsn *clickhouse.DSN, do func(*ch.Client) error) error {
	return mark(ctx, dsn.With(ctx, do))
}

// Through calls do as [clickhouse.DSN.Through] does, and marks errors as WithClickHouse does. An
// error is Unavailable if the replicas lag behind.
func Through(ctx context.Context, dsn *clickhouse.DSN, tables []string, do func(pins []ch.Setting) error) error {
	return mark(ctx, dsn.Through(ctx, tables, do))
}

func mark(ctx context.Context, err error) error {
	switch {
	case err == nil, ctx.Err() != nil, kafka.IsMarked(err):
		return err
	case clickhouse.IsBehind(err):
		return kafka.Unavailable(err)
	case clickhouse.Classify(err) == clickhouse.Stop:
		return kafka.Permanent(err)
	case clickhouse.Code(err) == 0:
		return kafka.Unavailable(err)
	}
	return err
}
