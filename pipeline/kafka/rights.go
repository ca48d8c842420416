package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/pipeline/rights"
)

// RequireRights waits until Kafka answers, and returns an error that names every right that the user
// of the client lacks. Without this check a role would find out much later: that it may not write dead
// letters, when there is one. It returns nil when ctx is done.
func (c *Config) RequireRights(ctx context.Context, needed []rights.Right) error {
	client, err := kgo.NewClient(append([]kgo.Opt{c.Hooks()}, c.Options...)...)
	if err != nil {
		return fmt.Errorf("%s: kafka client: %w", c.Name, err)
	}
	defer client.Close()
	var missing []rights.Right
	err = c.Retrier().Do(ctx, listTopics, c.Name, func() error {
		asking, cancel := context.WithTimeout(ctx, listTimeout)
		defer cancel()
		var err error
		if missing, err = MissingRights(asking, client, needed); err != nil {
			return c.Explain(err)
		}
		return nil
	})
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", c.Name, err)
	case len(missing) > 0:
		return fmt.Errorf("%s: %w: grant %s", c.Name, ErrAccess, JoinRights(missing))
	}
	return nil
}

// Lacking adds to an error of a request that Kafka refused for want of rights what to grant. It returns
// other errors as they are.
func Lacking(err error, needed ...rights.Right) error {
	// Who may write no topic at all gets the error of the cluster.
	for _, refusal := range []error{kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed,
		kerr.ClusterAuthorizationFailed} {
		if errors.Is(err, refusal) {
			return fmt.Errorf("%w: grant %s: %w", ErrAccess, JoinRights(needed), err)
		}
	}
	return err
}

// On returns the right to an operation on a topic.
func On(topic string, operation rights.Operation) rights.Right {
	return rights.Right{Operation: operation, Kind: rights.Topic, Name: topic}
}

// JoinRights lists rights in a sentence.
func JoinRights(list []rights.Right) string {
	texts := make([]string, len(list))
	for i, r := range list {
		texts[i] = r.String()
	}
	return strings.Join(texts, ", ")
}

// MissingRights returns the rights that the user of a client lacks. It changes nothing: it asks for what
// the user may do with topics, and sends requests that Kafka refuses for another reason if the user has
// the right. It does not find out about CREATE and ALTER_CONFIGS, nor about brokers before Kafka 2.3.
func MissingRights(ctx context.Context, client *kgo.Client, needed []rights.Right) (missing []rights.Right, err error) {
	allowed, err := allowedOnTopics(ctx, client, rights.TopicsOf(needed))
	if err != nil {
		return nil, err
	}
	for _, r := range needed {
		var refused error
		switch {
		case r.Kind == rights.Topic && !r.Prefixed:
			if !allowed(r) {
				missing = append(missing, r)
			}
			continue
		case r.Kind == rights.Group && r.Operation == rights.Read:
			refused, err = refusedHeartbeat(ctx, client, r.Name)
		case r.Kind == rights.Group && !r.Prefixed:
			found := kadm.NewClient(client).FindGroupCoordinators(ctx, r.Name)
			refused = found[r.Name].Err
		case r.Kind == rights.TransactionalID:
			refused, err = refusedEnd(ctx, client, r.Name+"rights")
		}
		if err != nil && !isAccess(err) {
			return nil, err
		}
		if isAccess(err) || isAccess(refused) {
			missing = append(missing, r)
		}
		err = nil
	}
	return missing, nil
}

func isAccess(err error) bool {
	return errors.Is(err, kerr.GroupAuthorizationFailed) || errors.Is(err, kerr.TransactionalIDAuthorizationFailed)
}

var operationBits = map[rights.Operation]kmsg.ACLOperation{
	rights.Read: kmsg.ACLOperationRead, rights.Write: kmsg.ACLOperationWrite,
	rights.Describe: kmsg.ACLOperationDescribe, rights.DescribeConfigs: kmsg.ACLOperationDescribeConfigs,
}

// allowedOnTopics asks for the rights on topics. Topics that do not exist, and brokers that do not tell,
// count as allowed: the error is another one.
func allowedOnTopics(ctx context.Context, client *kgo.Client, topics []string) (func(rights.Right) bool, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.IncludeTopicAuthorizedOperations = true
	req.Topics = []kmsg.MetadataRequestTopic{}
	for _, topic := range topics {
		req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: &topic})
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	bits := map[string]int32{}
	for _, t := range resp.Topics {
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case t.Topic == nil:
		case errors.Is(err, kerr.TopicAuthorizationFailed):
			bits[*t.Topic] = 0
		case err == nil && t.AuthorizedOperations != math.MinInt32:
			bits[*t.Topic] = t.AuthorizedOperations
		}
	}
	return func(r rights.Right) bool {
		known, ok := bits[r.Name]
		return !ok || known&(1<<operationBits[r.Operation]) != 0
	}, nil
}

// refusedHeartbeat sends a heartbeat of a member that the group does not have, which needs READ on it.
func refusedHeartbeat(ctx context.Context, client *kgo.Client, group string) (refused, err error) {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = group, "rights", 1
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	return kerr.ErrorForCode(resp.ErrorCode), nil
}

// refusedEnd ends a transaction that no producer has begun, which needs WRITE on its id.
func refusedEnd(ctx context.Context, client *kgo.Client, id string) (refused, err error) {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID = id
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	return kerr.ErrorForCode(resp.ErrorCode), nil
}
