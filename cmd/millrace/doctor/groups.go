package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/rights"
)

// consumer is a consumer group of a role.
type consumer struct {
	role, group string
	topics      []string
}

// consumers are all groups, without the prefix.
func consumers() []consumer {
	list := []consumer{{rights.Ingest, rights.Ingest, []string{event.TopicRuns}}}
	for _, group := range export.PlanGroups() {
		list = append(list, consumer{rights.Export, group, []string{event.TopicExportRequests}})
	}
	return append(list,
		consumer{rights.Export, export.StageExtract, []string{event.TopicExportWindows}},
		consumer{rights.Export, export.StageExtract + "-direct", []string{event.TopicExportWindows}},
		consumer{rights.Export, export.StageSeal, []string{event.TopicExportResults}},
		consumer{rights.Export, export.StageTrack, []string{event.TopicExportProgress, event.TopicExportCompletions,
			event.TopicAudit}})
}

// transactional are the topics in which the marker of a transaction stands behind the last record. A group
// that is one offset behind their end has consumed everything.
var transactional = []string{event.TopicExportWindows, event.TopicExportResults, event.TopicExportProgress,
	event.TopicExportCompletions, event.TopicAudit}

// stuckAfter is how long a group that is behind may commit nothing.
const stuckAfter = 10 * time.Second

// groups checks that each group has a process, and gets on.
func (e *examination) groups(ctx context.Context, admin *kadm.Client) {
	prefix := e.Config.KafkaTopicPrefix
	idle := map[string][]string{} // role → groups without a process
	waiting := map[string]int64{} // role → records that wait for them
	bad := len(e.findings)
	for _, c := range consumers() {
		found, err := admin.DescribeGroups(ctx, prefix+c.group)
		if err == nil && found[prefix+c.group].Err != nil && !errors.Is(found[prefix+c.group].Err, kerr.GroupIDNotFound) {
			err = found[prefix+c.group].Err
		}
		var lag, committed int64
		if err == nil {
			lag, committed, err = e.lag(ctx, admin, c)
		}
		switch {
		case errors.Is(err, kerr.GroupAuthorizationFailed), errors.Is(err, kerr.TopicAuthorizationFailed):
			e.add(areaGroups, Note, "grant DESCRIBE on group "+prefix+c.group+" and its topics", "group %s may not be seen: %v",
				prefix+c.group, err)
		case errors.Is(err, kerr.UnknownTopicOrPartition): // said before
		case err != nil:
			e.add(areaGroups, Error, "look at the logs of the brokers", "ask for group %s: %v", prefix+c.group, err)
		case len(found[prefix+c.group].Members) == 0:
			idle[c.role] = append(idle[c.role], prefix+c.group)
			waiting[c.role] += lag
		case lag > 0 && e.isStuck(ctx, admin, c, committed):
			e.add(areaGroups, Warning, "read the log of the role "+c.role, "group %s is %d records behind and has committed "+
				"nothing for %s", prefix+c.group, lag, stuckAfter)
		}
	}
	for _, role := range []string{rights.Ingest, rights.Export} {
		switch groups := strings.Join(idle[role], ", "); {
		case waiting[role] > 0:
			e.add(areaGroups, Error, "start `millrace "+role+"`", "no process consumes as %s, and %d records wait", groups,
				waiting[role])
		case groups != "":
			e.add(areaGroups, Warning, "start `millrace "+role+"`", "no process consumes as %s", groups)
		}
	}
	if len(e.findings) == bad {
		e.ok(areaGroups, "each of the %d consumer groups has a process, and none is stuck", len(consumers()))
	}
}

// lag returns how many records a group has not committed, and the sum of what it has.
func (e *examination) lag(ctx context.Context, admin *kadm.Client, c consumer) (lag, committed int64, err error) {
	offsets, err := admin.FetchOffsets(ctx, e.Config.KafkaTopicPrefix+c.group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return 0, 0, err
	}
	for _, topic := range c.topics {
		name := e.Config.KafkaTopicPrefix + topic
		starts, err := admin.ListStartOffsets(ctx, name)
		if err == nil {
			err = starts.Error()
		}
		if err != nil {
			return 0, 0, err
		}
		ends, err := admin.ListCommittedOffsets(ctx, name)
		if err == nil {
			err = ends.Error()
		}
		if err != nil {
			return 0, 0, err
		}
		ends.Each(func(end kadm.ListedOffset) {
			start, _ := starts.Lookup(name, end.Partition)
			at := start.Offset
			if o, ok := offsets.Lookup(name, end.Partition); ok && o.Err == nil {
				at = max(at, o.At)
			}
			committed += at
			if behind := end.Offset - at; behind > 1 || behind == 1 && !slices.Contains(transactional, topic) {
				lag += behind
			}
		})
	}
	return lag, committed, nil
}

// isStuck waits until a group that is behind has committed something, and reports whether it has not.
func (e *examination) isStuck(ctx context.Context, admin *kadm.Client, c consumer, before int64) bool {
	ctx, cancel := context.WithTimeout(ctx, stuckAfter)
	defer cancel()
	err := app.Poll(ctx, func() (bool, error) {
		lag, committed, err := e.lag(ctx, admin, c)
		return lag == 0 || committed > before, err
	})
	return errors.Is(err, context.DeadlineExceeded)
}
