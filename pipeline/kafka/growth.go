package kafka

import (
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// GrowthInterval is how often clients ask which partitions their topics have. Until then nobody reads
// partitions that were added. The client's default is five minutes.
const GrowthInterval = 30 * time.Second

// Adopt makes the client consume the partitions of which Positions does not know, from their first
// records: they were added to their topics since. First is what the topics have. The client is one that
// takes its partitions from AddConsumePartitions; clients of a group find new partitions by themselves.
func (p *Positions) Adopt(client *kgo.Client, first kadm.ListedOffsets) {
	added := map[string]map[int32]kgo.Offset{}
	first.Each(func(o kadm.ListedOffset) {
		at := Partition{Topic: o.Topic, ID: o.Partition}
		if _, known := p.next[at]; known || o.Err != nil {
			return
		}
		p.Set(at, o.Offset)
		if added[o.Topic] == nil {
			added[o.Topic] = map[int32]kgo.Offset{}
		}
		added[o.Topic][o.Partition] = kgo.NewOffset().At(o.Offset)
	})
	client.AddConsumePartitions(added)
}

// Lacks reports whether one of the partitions is none of those of which Positions knows.
func (p *Positions) Lacks(list kadm.ListedOffsets) (lacks bool) {
	list.Each(func(o kadm.ListedOffset) {
		if _, known := p.next[Partition{Topic: o.Topic, ID: o.Partition}]; !known {
			lacks = true
		}
	})
	return lacks
}
