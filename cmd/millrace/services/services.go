// Package services runs the embedded Kafka and ClickHouse for millrace local, demo and bench, and
// creates the topics and tables that the roles need.
package services

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/local"
	schema "github.com/millrace/millrace/schemas/clickhouse"
)

// Services are an embedded Kafka and an embedded ClickHouse, with Millrace's topics and tables.
type Services struct {
	Kafka      *local.Kafka
	ClickHouse *local.ClickHouse
}

// Config is the configuration of the services beside the variables of the environment.
type Config struct {
	Dir        string // of the data and the password
	NoPassword bool   // see [local.ClickHouseConfig]
}

// Run starts the embedded services, sets their addresses in the
// configuration, and calls f when they answer. It cancels the context of f when a service fails,
// and stops the services after f has returned.
func Run(ctx context.Context, a *app.App, cfg Config, f func(context.Context, *Services) error) error {
	library, err := local.FindLibrary(ctx, local.LibraryConfig{Path: a.Config.Libchdb, Progress: a.Stderr})
	if err != nil {
		return explainLibrary(err, a.Config.Libchdb)
	}
	s := &Services{}
	s.Kafka, err = local.NewKafka(local.KafkaConfig{Dir: filepath.Join(cfg.Dir, "kafka"), Port: a.Config.LocalKafkaPort,
		Log: a.Log})
	if err != nil {
		return explainPort(err)
	}
	services, stopServices := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServices()
	group, failed := errgroup.WithContext(services)
	group.Go(func() error { return s.Kafka.Run(failed) })
	err = func() error {
		s.ClickHouse, err = local.NewClickHouse(local.ClickHouseConfig{
			Library: library, Dir: filepath.Join(cfg.Dir, "clickhouse"),
			NativePort: a.Config.LocalClickHousePort, HTTPPort: a.Config.LocalClickHouseHTTPPort,
			PasswordFile: app.PasswordFile(cfg.Dir), NoPassword: cfg.NoPassword, Log: a.Log,
		})
		if err != nil {
			return explainPort(err)
		}
		group.Go(func() error { return s.ClickHouse.Run(failed) })
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		defer context.AfterFunc(failed, stop)()
		if err := prepare(ctx, a, cfg.Dir, s); err != nil {
			if ctx.Err() != nil { // a signal came, or a service failed; the group has the service's error
				return nil
			}
			return err
		}
		return f(ctx, s)
	}()
	stopServices()
	return errors.Join(err, group.Wait())
}

// prepare sets the addresses of the services in the configuration, and creates the topics and
// tables.
func prepare(ctx context.Context, a *app.App, dir string, s *Services) (err error) {
	a.Config.KafkaBrokers = []string{s.Kafka.Addr()}
	a.Config.ClickHouseDSN = s.ClickHouse.DSN(a.Config.DSN.Database)
	if a.Config.DSN, err = clickhouse.ParseDSN(a.Config.ClickHouseDSN); err != nil {
		return err
	}
	if os.Getenv(app.EnvPrefix+"BUCKET_URL") == "" {
		a.Config.BucketURL = app.BucketURL(dir)
	}
	client, err := a.KafkaClient()
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := kafka.CreateTopics(ctx, client, a.Config.KafkaTopicPrefix, a.Config.EventLimits()); err != nil {
		return err
	}
	if err := s.ClickHouse.WaitReady(ctx); err != nil {
		return err
	}
	_, err = clickhouse.Migrate(ctx, a.Config.DSN, schema.Migrations, "", a.Log)
	return err
}

// explainLibrary adds the environment variable for the path of the ClickHouse engine.
func explainLibrary(err error, path string) error {
	if path != "" {
		return fmt.Errorf("MILLRACE_LIBCHDB: %w", err)
	}
	return fmt.Errorf("%w; MILLRACE_LIBCHDB gives the path of a copy", err)
}

// explainPort adds the environment variable for the port that cannot be listened on.
func explainPort(err error) error {
	var port *local.PortError
	if !errors.As(err, &port) {
		return err
	}
	return fmt.Errorf("%s: %w", map[string]string{
		local.KafkaListener:  "MILLRACE_LOCAL_KAFKA_PORT",
		local.NativeListener: "MILLRACE_LOCAL_CLICKHOUSE_PORT",
		local.HTTPListener:   "MILLRACE_LOCAL_CLICKHOUSE_HTTP_PORT",
	}[port.Listener], err)
}
