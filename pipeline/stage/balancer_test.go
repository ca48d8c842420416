package stage

import (
	"fmt"
	"maps"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// balance returns the partitions of topic "t" that each member gets, by how many members have which now.
func balance(t *testing.T, owned map[string][]int32, members ...string) map[string][]int32 {
	t.Helper()
	d := newDealer()
	var joined []kmsg.JoinGroupResponseMember
	for _, id := range members {
		m := kmsg.NewJoinGroupResponseMember()
		m.MemberID = id
		m.ProtocolMetadata = d.JoinGroupMetadata([]string{"t"}, map[string][]int32{"t": owned[id]}, 1)
		joined = append(joined, m)
	}
	b, topics, err := d.MemberBalancer(joined)
	if err != nil || len(topics) != 1 {
		t.Fatalf("topics %v, %v", topics, err)
	}
	got := map[string][]int32{}
	balancer, ok := b.(kgo.GroupMemberBalancerOrError)
	if !ok {
		t.Fatalf("%T is none that the client asks for an error", b)
	}
	plan, err := balancer.BalanceOrError(map[string]int32{"t": 24})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range plan.IntoSyncAssignment() {
		partitions, err := d.ParseSyncAssignment(m.MemberAssignment)
		if err != nil {
			t.Fatal(err)
		}
		got[m.MemberID] = partitions["t"]
	}
	return got
}

func TestPartitionsAreDealtOutInTurn(t *testing.T) {
	t.Parallel()
	for n := range 9 {
		var members []string
		for i := range n + 1 {
			members = append(members, fmt.Sprint("m", i))
		}
		owners := map[int32]int{}
		for i, id := range members {
			for _, p := range balance(t, nil, members...)[id] {
				owners[p]++
				if int(p)%len(members) != i {
					t.Errorf("%d members: %s has partition %d", len(members), id, p)
				}
			}
		}
		if len(owners) != 24 {
			t.Errorf("%d members have %d partitions", len(members), len(owners))
		}
	}
}

// A partition that another member still consumes is free only after that member has given it back.
func TestAPartitionMovesInTwoSteps(t *testing.T) {
	t.Parallel()
	all := make([]int32, 24)
	for i := range all {
		all[i] = int32(i)
	}
	first := balance(t, map[string][]int32{"a": all}, "a", "b")
	if len(first["a"]) != 12 || len(first["b"]) != 0 {
		t.Fatalf("at first the members have %v", first)
	}
	if second := balance(t, first, "a", "b"); len(second["a"]) != 12 || len(second["b"]) != 12 {
		t.Errorf("then the members have %v", second)
	} else if third := balance(t, second, "a", "b"); !maps.EqualFunc(second, third,
		func(x, y []int32) bool { return fmt.Sprint(x) == fmt.Sprint(y) }) {
		t.Errorf("members that own their partitions get %v, after %v", third, second)
	}
}
