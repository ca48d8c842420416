package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kfake"
)

// KafkaConfig says how the embedded Kafka runs.
type KafkaConfig struct {
	// Dir keeps the records, offsets and transactions. Every produce is
	// synced to it before it is acknowledged.
	//
	// If this process is killed, transactions that were open are aborted at
	// the next start, but without the marker that tells readers where they
	// end. So a producer must come back with a transactional id that was not
	// in use, as Millrace's stages do: under the old one, what it commits
	// next would be taken for part of the aborted transaction.
	Dir string

	// Port is the port on 127.0.0.1; 0 picks a free one.
	Port int

	// Ephemeral keeps everything in memory instead of Dir.
	Ephemeral bool

	// Log is told about the broker's own errors. Nil: slog's default.
	Log *slog.Logger
}

// Kafka is an embedded one-broker Kafka.
type Kafka struct {
	lock    *os.File // nil: ephemeral
	cluster *kfake.Cluster
	addr    string
}

// NewKafka takes the folder and the port and starts the broker over what the
// folder has. An error names what to change: a port in use, or a folder that
// another process uses. Run must be called, if only with a context that is
// done, to close it.
//
// Topics are not created by use: producing to an unknown one is an error, as
// on a production cluster. A topic takes records up to its max.message.bytes,
// 1 MiB if it was created without.
func NewKafka(cfg KafkaConfig) (*Kafka, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	k := new(Kafka)
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("millrace-local"),
		kfake.WithLogger(kafkaLog{cfg.Log}),
		kfake.ListenFn(func(_, addr string) (net.Listener, error) {
			l, err := listen(cfg.Port, "Kafka", "MILLRACE_LOCAL_KAFKA_PORT")
			if err != nil {
				return nil, err // not l: a nil *TCPListener is not a nil Listener
			}
			k.addr = l.Addr().String()
			return l, nil
		}),
	}
	if !cfg.Ephemeral {
		if cfg.Dir == "" {
			return nil, errors.New("the embedded Kafka needs a folder, or to be ephemeral")
		}
		var err error
		if k.lock, err = lockDir(cfg.Dir, "Kafka"); err != nil {
			return nil, err
		}
		opts = append(opts, kfake.DataDir(filepath.Join(cfg.Dir, "data")), kfake.SyncWrites())
	}
	var err error
	if k.cluster, err = kfake.NewCluster(opts...); err != nil {
		k.lock.Close()
		return nil, fmt.Errorf("start the embedded Kafka: %w", err)
	}
	return k, nil
}

// Addr is the host:port to bootstrap from.
func (k *Kafka) Addr() string { return k.addr }

// Run keeps the broker up until ctx is done, then closes it in order and
// returns nil.
func (k *Kafka) Run(ctx context.Context) error {
	<-ctx.Done()
	k.cluster.Close()
	k.lock.Close()
	return nil
}

// kafkaLog passes on what an operator would act on.
type kafkaLog struct{ log *slog.Logger }

func (l kafkaLog) Logf(level kfake.LogLevel, format string, args ...any) {
	switch level {
	case kfake.LogLevelError:
		l.log.Error("embedded kafka: " + fmt.Sprintf(format, args...))
	case kfake.LogLevelWarn:
		l.log.Warn("embedded kafka: " + fmt.Sprintf(format, args...))
	}
}
