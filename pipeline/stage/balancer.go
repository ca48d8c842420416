package stage

import (
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// dealer deals the partitions of a topic out to the members of a group in turn: of 4 members, each
// has the partitions with one remainder of 4. The cooperative-sticky balancer that it is based on
// gives each member as many, but any: one slot may then have all partitions that the windows of an
// export use, and work on them one after another while the other slots have nothing to do. Members
// that balance by either can be in one group.
type dealer struct{ kgo.GroupBalancer }

func newDealer() kgo.GroupBalancer { return dealer{kgo.CooperativeStickyBalancer()} }

// MemberBalancer implements [kgo.GroupBalancer].
func (d dealer) MemberBalancer(members []kmsg.JoinGroupResponseMember) (
	kgo.GroupMemberBalancer, map[string]struct{}, error,
) {
	b, err := kgo.NewConsumerBalancer(d, members)
	if err != nil {
		return nil, nil, err
	}
	return b, b.MemberTopics(), nil
}

// Balance implements [kgo.ConsumerBalancerBalance]. All members consume the same topic.
func (d dealer) Balance(b *kgo.ConsumerBalancer, topics map[string]int32) kgo.IntoSyncAssignment {
	plan, members := b.NewPlan(), b.Members()
	for topic, partitions := range topics {
		for p := range partitions {
			plan.AddPartition(&members[int(p)%len(members)], topic, p)
		}
	}
	plan.AdjustCooperative(b)
	return plan
}
