package clickhouse_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/clickhouse"
)

// barrier is a barrier that counts.
type barrier struct {
	tables []string
	pins   []ch.Setting
	err    error
}

func (b *barrier) Pass(_ context.Context, tables []string) ([]ch.Setting, error) {
	b.tables = append(b.tables, tables...)
	return b.pins, b.err
}

// unreachable is a DSN at which nothing listens, so whoever asks it anything fails.
func unreachable(t *testing.T) *clickhouse.DSN {
	t.Helper()
	dsn, err := clickhouse.ParseDSN("clickhouse://127.0.0.1:1/millrace")
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

func TestASingleServerIsAskedNothingByTheBarrier(t *testing.T) {
	t.Parallel()
	done := false
	err := unreachable(t).OnCluster("").Through(t.Context(), []string{"runs"}, func(pins []ch.Setting) error {
		done = pins == nil
		return nil
	})
	if err != nil || !done {
		t.Error(err, done)
	}
	if err := unreachable(t).OnCluster("c").Through(t.Context(), []string{"runs"}, nil); err == nil ||
		errors.Is(err, clickhouse.ErrBehind) {
		t.Errorf("a cluster that does not answer: %v", err)
	}
}

func TestNothingIsReadBeforeTheBarrierIsPassed(t *testing.T) {
	t.Parallel()
	b := &barrier{err: fmt.Errorf("%w: shard 1", clickhouse.ErrBehind)}
	err := unreachable(t).Behind(b).Through(t.Context(), []string{"runs", "nodes"}, func([]ch.Setting) error {
		t.Error("it was passed")
		return nil
	})
	if !clickhouse.IsBehind(err) || !slices.Equal(b.tables, []string{"runs", "nodes"}) {
		t.Error(err, b.tables)
	}
	if text := clickhouse.Explain(err).Error(); !strings.Contains(text, "lag behind: shard 1") ||
		!strings.Contains(text, "wait") {
		t.Error(text)
	}
}

// A statement that a replica beyond the barrier would have answered has failed, and so has all that was
// done with others.
func TestAReadAroundTheBarrierIsOneOfAReplicaThatLags(t *testing.T) {
	t.Parallel()
	b := &barrier{pins: []ch.Setting{ch.SettingInt("max_threads", 1)}}
	for failure, behind := range map[error]bool{
		nil:                  false,
		errors.New("broken"): false,
		&ch.Exception{Code: proto.ErrUnknownTable}:                                 false,
		fmt.Errorf("read: %w", &ch.Exception{Code: proto.ErrUnknownElementOfEnum}): true,
		fmt.Errorf("read: %w", &ch.Exception{Code: proto.ErrAllReplicasAreStale}):  true,
	} {
		err := unreachable(t).Behind(b).Through(t.Context(), nil, func(pins []ch.Setting) error {
			if !slices.Equal(pins, b.pins) {
				t.Errorf("settings %v", pins)
			}
			return failure
		})
		if !errors.Is(err, failure) || errors.Is(err, clickhouse.ErrBehind) != behind {
			t.Errorf("%v: %v", failure, err)
		}
	}
}
