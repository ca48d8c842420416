package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestAllPositionsAreSetWithAnEpochThatIsNew(t *testing.T) {
	t.Parallel()
	var p Positions
	if got := p.Offsets(); len(got) != 0 {
		t.Errorf("no positions: %v", got)
	}
	one, other := Partition{"t", 1}, Partition{"u", 2}
	p.Set(one, 5)
	p.Set(other, 7)
	p.Set(other, 8)
	first, second := p.Offsets(), p.Offsets()
	for _, got := range []map[string]map[int32]kgo.EpochOffset{first, second} {
		if len(got) != 2 || got["t"][1].Offset != 5 || got["u"][2].Offset != 8 {
			t.Errorf("got %v", got)
		}
	}
	if a, b := first["t"][1].Epoch, second["t"][1].Epoch; a >= -1 || b >= -1 || a == b {
		t.Errorf("epochs %d and %d", a, b)
	}
	p.Forget(one)
	if got := p.Offsets(); len(got) != 1 || p.Next(one) != 0 || p.Next(other) != 8 {
		t.Errorf("got %v", got)
	}
}
