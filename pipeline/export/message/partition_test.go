package message

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
)

// used counts the windows of many exports of a workspace by their partition.
func used(workspace string, n int) map[int]int {
	topic := Partitioner("t.").ForTopic("t." + event.TopicExportWindows)
	partitions := map[int]int{}
	for e := range 50 {
		id := export.ID{WorkspaceID: workspace, ExportID: fmt.Sprint("export-", e)}
		for window := range 40 {
			partitions[topic.Partition(&kgo.Record{Key: id.WindowKey(window)}, n)]++
		}
	}
	return partitions
}

func TestTheWindowsOfAWorkspaceUseFewPartitions(t *testing.T) {
	t.Parallel()
	shared := map[int]int{} // how many workspaces have so many partitions in common with the first
	first := used("workspace-0", 24)
	all := map[int]bool{}
	for i := range 100 {
		partitions := used(fmt.Sprint("workspace-", i), 24)
		if len(partitions) != WorkspacePartitions {
			t.Fatalf("workspace %d uses %d partitions: %v", i, len(partitions), partitions)
		}
		common, members := 0, map[int]bool{}
		for p, windows := range partitions {
			if p < 0 || p >= 24 || windows < 300 || windows > 700 { // of 2,000
				t.Fatalf("workspace %d has %d windows in partition %d", i, windows, p)
			}
			if first[p] > 0 {
				common++
			}
			members[p%WorkspacePartitions], all[p] = true, true
		}
		if len(members) != WorkspacePartitions {
			t.Fatalf("the partitions of workspace %d have remainders %v", i, members)
		}
		shared[common]++
	}
	if len(all) != 24 {
		t.Errorf("100 workspaces use %d partitions", len(all))
	}
	if shared[0] < 30 || shared[4] > 3 { // of 100: (5/6)^4 = 48 % and (1/6)^4 = 0.1 % are expected, and itself
		t.Errorf("workspaces by how many partitions they share: %v", shared)
	}
}

func TestTheWindowsOfAnExportUseTheirPartitionsInTurn(t *testing.T) {
	t.Parallel()
	topic := Partitioner("").ForTopic(event.TopicExportWindows)
	id := export.ID{WorkspaceID: "acme", ExportID: "a/b"}
	partitions := map[int]int{}
	for window := range 17 {
		partitions[topic.Partition(&kgo.Record{Key: id.WindowKey(window)}, 24)]++
	}
	for p, windows := range partitions {
		if windows > 5 {
			t.Errorf("partition %d has %d of 17 windows", p, windows)
		}
	}
}

func TestATopicWithFewPartitionsHasRoomForTheWindowsOfAWorkspace(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{1: 1, 2: 2, 3: 3, 4: 4, 5: 4, 6: 4, 7: 4, 13: 4} {
		partitions := used("acme", n)
		for p := range partitions {
			if p < 0 || p >= n {
				t.Errorf("of %d partitions: partition %d", n, p)
			}
		}
		if len(partitions) != want {
			t.Errorf("of %d partitions: %v", n, partitions)
		}
	}
}

func TestTheLargeRequestsOfAWorkspaceUseOnePartition(t *testing.T) {
	t.Parallel()
	topic := Partitioner("t.").ForTopic("t." + event.TopicExportRequests)
	of := map[int]int{} // workspaces by their partition
	for w := range 600 {
		partitions := map[int]bool{}
		for e := range 10 {
			id := export.ID{WorkspaceID: fmt.Sprint("workspace-", w), ExportID: fmt.Sprint("export-", e)}
			partition := topic.Partition(Large(id, &kgo.Record{Key: []byte("of the producer")}), 6)
			partitions[partition] = true
			if e == 0 {
				of[partition]++
			}
		}
		if len(partitions) != 1 {
			t.Fatalf("workspace %d uses %d partitions", w, len(partitions))
		}
	}
	for p := range 6 {
		if of[p] < 60 {
			t.Errorf("%d of 600 workspaces use partition %d", of[p], p)
		}
	}
}
