package message

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
)

// WorkspacePartitions is how many partitions of topic export-windows a workspace uses. Each is
// worked on by one process at a time, so that the windows of one workspace, however many, leave the
// other partitions to others.
const WorkspacePartitions = 4

// Partitioner returns the partitioner of the producers of this package's records: it chooses the
// partitions of windows and of large requests by their workspace, and leaves those of other records to the client.
func Partitioner(topicPrefix string) kgo.Partitioner {
	by := func(choose func(key []byte, n int) int) kgo.Partitioner {
		return kgo.BasicConsistentPartitioner(func(string) func(*kgo.Record, int) int {
			return func(r *kgo.Record, n int) int { return choose(r.Key, n) }
		})
	}
	return &partitioner{
		Partitioner: kgo.UniformBytesPartitioner(64<<10, true, true, nil), // the client's default
		topics: map[string]kgo.Partitioner{
			topicPrefix + event.TopicExportWindows:  by(windowPartition),
			topicPrefix + event.TopicExportRequests: by(largePartition),
		},
	}
}

type partitioner struct {
	kgo.Partitioner
	topics map[string]kgo.Partitioner
}

// ForTopic implements [kgo.Partitioner].
func (p *partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	if of := p.topics[topic]; of != nil {
		return of.ForTopic(topic)
	}
	return p.Partitioner.ForTopic(topic)
}

// largePartition returns the partition of the key of a large request, of n: one for each workspace, so that its
// large requests wait for each other and not those of others.
func largePartition(key []byte, n int) int {
	workspace, _, _ := bytes.Cut(key, []byte{'/'})
	chosen := sha256.Sum256(workspace)
	return int(binary.BigEndian.Uint16(chosen[:])) % n
}

// windowPartition returns the partition of a window's key, of n. The keys of a workspace use
// WorkspacePartitions of them, each with another remainder: a group that deals the partitions out
// in turn gives them to different members. The windows of an export use them in turn, so that none of
// the members has more to do than the others.
func windowPartition(key []byte, n int) int {
	workspace, _, _ := bytes.Cut(key, []byte{'/'})
	last := bytes.LastIndexByte(key, '/')
	window, _ := strconv.Atoi(string(key[last+1:])) // 0 where it is none, which no producer of Millrace sends
	chosen, first := sha256.Sum256(workspace), sha256.Sum256(key[:max(last, 0)])
	few := min(n, WorkspacePartitions)
	remainder := (int(binary.BigEndian.Uint16(first[:])) + max(window, 0)) % few
	choices := (n - remainder + few - 1) / few // partitions with this remainder
	return remainder + few*(int(binary.BigEndian.Uint16(chosen[2*remainder:]))%choices)
}
