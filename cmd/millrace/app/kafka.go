package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/kafka"
)

// kafkaOptions returns the client options for the brokers' addresses, TLS and SASL.
func (c *Config) kafkaOptions() ([]kgo.Opt, error) {
	options := kafka.ClientOptions(c.KafkaBrokers)
	if c.KafkaTLSEnabled {
		t, err := c.tlsConfig()
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.DialTLSConfig(t))
	}
	switch c.KafkaSASLMechanism {
	case "PLAIN":
		options = append(options, kgo.SASL(plain.Auth{User: c.KafkaSASLUser, Pass: c.KafkaSASLPassword}.AsMechanism()))
	case "SCRAM-SHA-256":
		options = append(options, kgo.SASL(scram.Auth{User: c.KafkaSASLUser, Pass: c.KafkaSASLPassword}.AsSha256Mechanism()))
	case "SCRAM-SHA-512":
		options = append(options, kgo.SASL(scram.Auth{User: c.KafkaSASLUser, Pass: c.KafkaSASLPassword}.AsSha512Mechanism()))
	}
	return options, nil
}

func (c *Config) tlsConfig() (*tls.Config, error) {
	t := &tls.Config{ServerName: c.KafkaTLSServerName, MinVersion: tls.VersionTLS12}
	if c.KafkaTLSCAFile != "" {
		pem, err := os.ReadFile(c.KafkaTLSCAFile)
		if err != nil {
			return nil, fmt.Errorf("MILLRACE_KAFKA_TLS_CA_FILE: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("MILLRACE_KAFKA_TLS_CA_FILE: no certificate in %s", c.KafkaTLSCAFile)
		}
	}
	if c.KafkaTLSCertFile != "" {
		pair, err := loadKeyPair("MILLRACE_KAFKA_TLS_", c.KafkaTLSCertFile, c.KafkaTLSKeyFile)
		if err != nil {
			return nil, err
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// KafkaClient returns a client with the configured options and the given ones.
func (a *App) KafkaClient(options ...kgo.Opt) (*kgo.Client, error) {
	base, err := a.Config.kafkaOptions()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(base, options...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	return client, nil
}

// RequireKafka returns an error if no broker answers within ten seconds.
func (a *App) RequireKafka(ctx context.Context, client *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		return fmt.Errorf("no Kafka broker answers at %v: start `millrace local`, or set MILLRACE_KAFKA_BROKERS: %w",
			a.Config.KafkaBrokers, err)
	}
	return nil
}

// KafkaConfig returns the configuration that every consumer needs.
func (a *App) KafkaConfig(registry prometheus.Registerer) (kafka.Config, error) {
	options, err := a.Config.kafkaOptions()
	return kafka.Config{TopicPrefix: a.Config.KafkaTopicPrefix, Options: options, Metrics: registry, Log: a.Log,
		Limits: a.Config.EventLimits()}, err
}

// ExplainAccess adds to an error of Kafka or ClickHouse the environment variables whose values may
// be wrong. Other errors are returned unchanged.
func ExplainAccess(err error) error {
	switch {
	case errors.Is(err, kafka.ErrAccess):
		return fmt.Errorf("%w; or change MILLRACE_KAFKA_SASL_USER and MILLRACE_KAFKA_SASL_PASSWORD", err)
	case errors.Is(err, clickhouse.ErrUnreachable), errors.Is(err, clickhouse.ErrCredentials),
		errors.Is(err, clickhouse.ErrRights):
		return fmt.Errorf("%w; set MILLRACE_CLICKHOUSE_DSN", err)
	}
	return err
}
