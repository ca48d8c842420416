package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"golang.org/x/sync/errgroup"
)

// Barrier stands before every count, freeze and read of an export, see [DSN.Through].
type Barrier interface {
	// Pass waits until a read of the tables finds all rows that were stored before the call. It returns the
	// settings with which a statement reads that or fails. The error wraps ErrBehind if another call may
	// pass later.
	Pass(ctx context.Context, tables []string) ([]ch.Setting, error)
}

// ErrBehind means that the replicas of ClickHouse that answer lack rows that were stored.
var ErrBehind = errors.New("the replicas of ClickHouse lag behind")

// IsBehind reports whether a statement failed since the replicas lag behind. What a statement that
// has the settings of a barrier returns need not be wrapped yet.
func IsBehind(err error) bool {
	switch Code(err) {
	case proto.ErrUnknownElementOfEnum, // of fence: a server that has not passed the barrier would have answered
		proto.ErrAllReplicasAreStale:
		return true
	}
	return errors.Is(err, ErrBehind)
}

// Through calls do with the settings of statements that must find all rows of the tables that were
// stored before the call. A single server needs no settings, and Through asks it nothing. The error
// wraps ErrBehind if the replicas lag behind: then nothing of what do has read may be used.
func (d *DSN) Through(ctx context.Context, tables []string, do func(pins []ch.Setting) error) error {
	if d == nil || d.barrier == nil {
		return do(nil)
	}
	var pins []ch.Setting
	err := d.Timer().Time(ctx, QueryBarrier, func() (err error) {
		pins, err = d.barrier.Pass(ctx, tables)
		return err
	})
	if err != nil {
		return err
	}
	err = do(pins)
	switch {
	case errors.Is(err, ErrBehind):
	case Code(err) == proto.ErrUnknownElementOfEnum:
		err = fmt.Errorf("%w: ClickHouse read another replica than the one that had caught up, which it always does if "+
			"remote_servers gives that one a later priority: %w", ErrBehind, err)
	case IsBehind(err):
		err = fmt.Errorf("%w: %w", ErrBehind, err)
	}
	return err
}

// Behind returns the DSN with a barrier.
func (d *DSN) Behind(b Barrier) *DSN {
	behind := *d
	behind.barrier = b
	return &behind
}

// OnCluster returns the DSN with the barrier of a cluster of replicated tables, or d if the name is
// empty.
func (d *DSN) OnCluster(cluster string) *DSN {
	if cluster == "" {
		return d
	}
	return d.Behind(Replicas(d, cluster, syncReplica))
}

// Replicas returns the barrier of a cluster. sync waits until the server of a client has the rows of a table
// of its shard that all replicas of the shard had at the call.
func Replicas(d *DSN, cluster string, sync func(ctx context.Context, client *ch.Client, table string) error) Barrier {
	return &replicas{d, cluster, sync}
}

// replicas is the barrier of a cluster. In each shard, the first replica that answers catches up, as far
// as all replicas had got when it was asked; where it cannot, the next one. Ingest writes to the first
// one that answers too, so as a rule there is nothing to wait for.
type replicas struct {
	dsn     *DSN
	cluster string
	sync    func(ctx context.Context, client *ch.Client, table string) error
}

// catchUpTime is how long a replica may take to catch up, before the next one is asked.
const catchUpTime = 5 * time.Second

// Pass implements [Barrier].
func (r *replicas) Pass(ctx context.Context, tables []string) ([]ch.Setting, error) {
	shards, err := r.shards(ctx)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(shards))
	group, ctx := errgroup.WithContext(ctx)
	for i, addresses := range shards {
		group.Go(func() (err error) {
			if names[i], err = r.first(ctx, addresses, tables); err != nil {
				err = fmt.Errorf("shard %d of cluster %s: %w", i+1, r.cluster, err)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return r.pins(names, tables), nil
}

// shards returns the addresses of the replicas of each shard, in their order.
func (r *replicas) shards(ctx context.Context) (shards [][]string, err error) {
	var b Binder
	query := b.Query("SELECT arrayStringConcat(arrayMap(r -> concat(r.2, ':', toString(r.3)), " +
		"arraySort(groupArray((replica_num, host_name, port)))), ' ') FROM system.clusters WHERE cluster = " +
		b.ID("cluster", r.cluster) + " GROUP BY shard_num ORDER BY shard_num")
	client, err := r.dsn.Dial(ctx)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	list, err := ReadTexts(ctx, client, query)
	if err != nil {
		return nil, err
	}
	for _, addresses := range list {
		shards = append(shards, strings.Fields(addresses))
	}
	if shards == nil {
		return nil, fmt.Errorf("ClickHouse knows no cluster %s: correct MILLRACE_CLICKHOUSE_CLUSTER, or remote_servers of "+
			"ClickHouse", r.cluster)
	}
	return shards, nil
}

// first lets the first replica of a shard catch up that can, and returns its name.
func (r *replicas) first(ctx context.Context, addresses, tables []string) (name string, err error) {
	behind := ErrBehind
	for _, address := range addresses {
		name, err := r.catchUp(ctx, address, tables)
		switch {
		case err == nil:
			return name, nil
		case ctx.Err() != nil:
			return "", context.Cause(ctx)
		case Code(err) != 0 && Classify(err) != Retry: // such as a right that is missing
			return "", fmt.Errorf("%s: %w", address, err)
		}
		behind = fmt.Errorf("%w: %s: %w", behind, address, err)
	}
	return "", behind
}

// replicaName is the expression of the name of a server, as [engine] names it in Keeper.
const replicaName = "concat(getMacro('shard'), '/', getMacro('replica'))"

// catchUp waits until a replica has what all replicas of its shard had, and returns its name. Merges
// and mutations are not waited for: they add no rows.
func (r *replicas) catchUp(ctx context.Context, address string, tables []string) (name string, err error) {
	ctx, cancel := context.WithTimeout(ctx, catchUpTime)
	defer cancel()
	client, err := r.dsn.dialAt(ctx, address)
	if err != nil {
		return "", err
	}
	defer client.Close()
	for _, table := range tables {
		if err := r.sync(ctx, client, shardTable(table)); err != nil {
			return "", fmt.Errorf("table %s: %w", table, err)
		}
	}
	names, err := ReadTexts(ctx, client, Query{SQL: "SELECT " + replicaName})
	if err != nil {
		return "", err
	}
	return names[0], nil
}

// syncReplica is the sync of replicated tables.
func syncReplica(ctx context.Context, client *ch.Client, table string) error {
	return Do(ctx, client, ch.Query{Body: "SYSTEM SYNC REPLICA " + table + " LIGHTWEIGHT",
		Settings: []ch.Setting{ch.SettingInt("receive_timeout", int(catchUpTime/time.Second))}})
}

// pins returns the settings of a statement that reads these replicas. The server prefers the first
// replica of each shard that answers, and passes over those that lag by seconds. It never goes on
// with another replica on the way. But it may have to, and says nothing then. So the statement is
// fenced too: on any other replica it fails.
func (r *replicas) pins(names, tables []string) []ch.Setting {
	fence, filters := fence(names), make([]string, len(tables))
	for i, table := range tables {
		filters[i] = QuoteText(r.dsn.Database+"."+shardTable(table)) + ":" + QuoteText(fence)
	}
	important := func(key, value string) ch.Setting { return ch.Setting{Key: key, Value: value, Important: true} }
	return []ch.Setting{
		important("load_balancing", "in_order"),
		important("prefer_localhost_replica", "0"),
		important("use_hedged_requests", "0"),
		important("distributed_replica_max_ignored_errors", "1000000"),
		important("max_replica_delay_for_distributed_queries", fmt.Sprint(int(catchUpTime/time.Second))),
		important("fallback_to_stale_replicas_for_distributed_queries", "0"),
		important("parallel_distributed_insert_select", "0"),
		important("additional_table_filters", "{"+strings.Join(filters, ",")+"}"),
	}
}

// fence returns a condition that is true on the servers of the names. Elsewhere it is an error, in
// the analysis of the query, so that it is one for a table without rows too: a name is cast to an
// enumeration that lacks it.
func fence(names []string) string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = QuoteText(name)
	}
	return "CAST(" + replicaName + ", " + QuoteText("Enum16("+strings.Join(list, ",")+")") + ") IS NOT NULL"
}
