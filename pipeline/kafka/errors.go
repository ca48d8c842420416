package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrAccess is wrapped by errors of Explain that are about credentials or rights.
var ErrAccess = errors.New("kafka refused access")

var accessErrors = []error{
	kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed,
	kerr.ClusterAuthorizationFailed, kerr.SaslAuthenticationFailed,
}

// IsPermanent reports whether only an operator can fix an error: Kafka refused access, a topic was
// recreated, or Permanent marked the error.
func IsPermanent(err error) bool {
	if errors.As(err, new(permanent)) || isRecreated(err) {
		return true
	}
	for _, e := range accessErrors {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func isRecreated(err error) bool {
	return errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.InconsistentTopicID)
}

// Explain adds to a permanent error of Kafka what the operator has to do, and marks the error as
// Permanent. It returns other errors as they are. The topics are the full names of the topics that
// the failed request was about.
func (c *Config) Explain(err error, topics ...string) error {
	if errors.As(err, new(permanent)) || !IsPermanent(err) {
		return err
	}
	name := "topic " + strings.Join(topics, ", topic ")
	if len(topics) == 0 || topics[0] == "" { // the error is about the client as a whole
		name = "the topics of " + c.Name
	}
	switch {
	case isRecreated(err):
		err = fmt.Errorf("%s was deleted or recreated while it was consumed: start again to consume the new one from its "+
			"beginning: %w", name, err)
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		err = fmt.Errorf("%w: check user and password: %w", ErrAccess, err)
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		err = fmt.Errorf("%w: grant READ on group %s: %w", ErrAccess, c.Group(), err)
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		err = fmt.Errorf("%w: grant WRITE on the transactional ids of stage %s: %w", ErrAccess, c.Name, err)
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		err = fmt.Errorf("%w: grant IDEMPOTENT_WRITE on the cluster: %w", ErrAccess, err)
	default:
		err = fmt.Errorf("%w: grant READ on %s where it is consumed, and WRITE where it is produced to: %w", ErrAccess, name,
			err)
	}
	return Permanent(err)
}

// Faults are the errors of a poll.
type Faults struct {
	// Oversize are batches that decompress to more than MaxDecompress. The client has given up
	// their partitions: the consumer has to step over each batch, see SkipOversize and Positions.
	Oversize []*kgo.ErrDecompressTooLarge
	// Transient are errors after which the client continues by itself.
	Transient []error
	// Permanent is an error that ends the consumer, explained; or nil.
	Permanent error
}

// Faults sorts the errors of a poll, and logs those that are no reason to stop. It ignores the end
// of the poll's context and of the client. After a transient error it waits for a moment, or until
// ctx is done: the client fetches again at once, and a batch that is damaged fails every time.
func (c *Config) Faults(ctx context.Context, client *kgo.Client, fetches kgo.Fetches) (f Faults) {
	log := c.Log.With("stage", c.Name)
	fetches.EachError(func(topic string, partition int32, err error) {
		var oversize *kgo.ErrDecompressTooLarge
		var loss *kgo.ErrDataLoss
		var group *kgo.ErrGroupSession
		switch {
		case errors.As(err, &oversize):
			f.Oversize = append(f.Oversize, oversize)
		case IsPermanent(err):
			f.Permanent = fmt.Errorf("consume: %w", c.Explain(err, topic))
		case errors.Is(err, errInflow): // the client fetches the partition again
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, kgo.ErrClientClosed):
		case errors.As(err, &loss):
			log.Error("kafka lost records", "topic", topic, "partition", partition, "error", err)
		case errors.As(err, &group):
			// The client joins again by itself. A new client would be one more member, and two
			// rebalances.
			log.Warn("kafka group session failed; the client joins again", "error", group.Err)
		default:
			f.Transient = append(f.Transient, err)
			if !kgo.IsRetryableBrokerErr(err) {
				log.Warn("fetch failed; trying again", "topic", topic, "partition", partition,
					"offset", nextOffset(client, topic, partition), "error", err)
			}
		}
	})
	if len(f.Transient) > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(faultPause):
		}
	}
	return f
}

// faultPause is the pause after a transient error of a poll. Meanwhile other partitions wait too.
const faultPause = 250 * time.Millisecond

// nextOffset returns the offset that a member of a group fetches next, -1 if it is not known.
func nextOffset(client *kgo.Client, topic string, partition int32) int64 {
	if client == nil {
		return -1
	}
	for _, offsets := range []map[string]map[int32]kgo.EpochOffset{client.UncommittedOffsets(),
		client.CommittedOffsets()} {
		if o, ok := offsets[topic][partition]; ok {
			return o.Offset
		}
	}
	return -1
}
