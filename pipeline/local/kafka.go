package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"
)

// KafkaConfig is the configuration of the embedded Kafka.
type KafkaConfig struct {
	// Dir is the folder of the records, offsets and transactions. Records are synced to disk before
	// they are acknowledged.
	//
	// If this process is killed, open transactions are aborted at the next start, but without the
	// marker that tells readers where a transaction ends. So a producer must use a new
	// transactional id after a restart, as Millrace's stages do. With the old id, readers would
	// take its next records for part of the aborted transaction.
	Dir string

	// Port is the port on 127.0.0.1; 0 picks a free one.
	Port int

	// Ephemeral keeps everything in memory instead of Dir.
	Ephemeral bool

	// Log reports errors of the broker. Nil: slog's default.
	Log *slog.Logger
}

// Kafka is an embedded one-broker Kafka.
type Kafka struct {
	lock    *os.File // nil: ephemeral
	cluster *kfake.Cluster
	addr    string
}

// NewKafka locks the folder, binds the port and starts the broker with the data in the folder. The
// error is a *PortError if the port is in use, and names the folder if another process uses it. Run
// must be called to close the broker; its context may already be done.
//
// Topics are not created automatically: producing to an unknown topic is an error, as on a
// production cluster. A topic accepts batches up to its max.message.bytes, by default 1 MiB.
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
			l, err := listen(cfg.Port, KafkaListener)
			if err != nil {
				return nil, err // not l: a nil *TCPListener would be a Listener that is not nil
			}
			k.addr = l.Addr().String()
			return newFrameListener(l, defaultFrameLimits, cfg.Log), nil
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

// Addr returns the host:port of the broker.
func (k *Kafka) Addr() string { return k.addr }

// Run keeps the broker running until ctx is done. Then it closes the broker in order and returns
// nil.
func (k *Kafka) Run(ctx context.Context) error {
	<-ctx.Done()
	k.cluster.Close()
	k.lock.Close()
	return nil
}

// kafkaLog passes on errors and warnings of kfake. What kfake says of its clients as a warning, such
// as that a transaction took 5 ms to end, is for who debugs it: the clients report what fails.
type kafkaLog struct{ log *slog.Logger }

func (l kafkaLog) Logf(level kfake.LogLevel, format string, args ...any) {
	to := slog.LevelWarn
	switch {
	case level == kfake.LogLevelError:
		to = slog.LevelError
	case level != kfake.LogLevelWarn:
		return
	case strings.HasPrefix(format, "txn"), strings.HasPrefix(format, "consumer"),
		strings.HasPrefix(format, "OffsetCommit"):
		to = slog.LevelDebug
	}
	if ctx := context.Background(); l.log.Enabled(ctx, to) {
		l.log.Log(ctx, to, "embedded kafka: "+fmt.Sprintf(format, args...))
	}
}
