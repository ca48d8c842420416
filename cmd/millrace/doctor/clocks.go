package doctor

import (
	"context"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/pipeline/clickhouse"
)

// Clocks that differ by more than slightSkew are warned of. With more than badSkew, incremental exports may
// miss rows, and signed requests may be refused.
const slightSkew, badSkew = 2 * time.Second, 30 * time.Second

// skew returns how far a clock that showed a time between two moments of ours is off: ahead is positive.
func skew(theirs, before, after time.Time) time.Duration {
	switch {
	case theirs.Before(before):
		return theirs.Sub(before)
	case theirs.After(after):
		return theirs.Sub(after)
	}
	return 0
}

// clock compares a clock with this machine's, which asked it between two moments.
func (e *examination) clock(of string, theirs, before, after time.Time) {
	off := skew(theirs, before, after)
	direction := "ahead of"
	if off < 0 {
		off, direction = -off, "behind"
	}
	severity, action := OK, ""
	if off > slightSkew {
		severity, action = Warning, "synchronise the clocks with NTP"
	}
	if off > badSkew {
		severity = Error
	}
	if severity == OK {
		e.ok(areaClocks, "the clock of %s is that of this machine", of)
		return
	}
	e.add(areaClocks, severity, action, "the clock of %s is %s %s that of this machine", of,
		off.Round(100*time.Millisecond), direction)
}

// clickHouseClock compares the clock of the server, or of all servers of the cluster.
func (e *examination) clickHouseClock(ctx context.Context, conn driver.Conn) {
	before := time.Now()
	query := "SELECT hostName(), now64(3) FROM system.one"
	if e.Config.ClickHouseCluster != "" {
		query = "SELECT hostName(), now64(3) FROM clusterAllReplicas(" + clickhouse.QuoteText(e.Config.ClickHouseCluster) +
			", system.one)"
	}
	rows, err := conn.Query(ctx, query)
	if err != nil {
		e.unreachable(err)
		return
	}
	defer rows.Close()
	for rows.Next() {
		var host string
		var at time.Time
		if err := rows.Scan(&host, &at); err != nil {
			e.unreachable(err)
			return
		}
		e.clock("ClickHouse on "+host, at, before, time.Now())
	}
	if err := rows.Err(); err != nil {
		e.unreachable(err)
	}
}

// kafkaClock asks the controller when it last heard of itself, which is now: no other request says what
// time a broker has. Brokers without KRaft do not know it.
func (e *examination) kafkaClock(ctx context.Context, client *kgo.Client) {
	req, topic := kmsg.NewPtrDescribeQuorumRequest(), kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic = "__cluster_metadata"
	topic.Partitions = append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Topics = append(req.Topics, topic)
	before := time.Now()
	resp, err := req.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		e.add(areaClocks, Note, "", "the clock of Kafka is not known: it takes KRaft, and DESCRIBE on the cluster")
		return
	}
	quorum := resp.Topics[0].Partitions[0]
	for _, voter := range quorum.CurrentVoters {
		if voter.ReplicaID == quorum.LeaderID && voter.LastCaughtUpTimestamp > 0 {
			at := time.UnixMilli(voter.LastCaughtUpTimestamp)
			e.clock("Kafka's controller", at, before.Truncate(time.Millisecond), time.Now())
		}
	}
}
