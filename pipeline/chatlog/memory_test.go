package chatlog_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// The keys that are counted are few bytes, however large their lines are.
func TestCountedKeysKeepNoLinesInMemory(t *testing.T) {
	c := converter()
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range 16 {
		key := fmt.Sprint("k", i)
		if i%2 == 1 {
			key = strings.Repeat(key, 1<<20)
		}
		line := fmt.Sprintf(`{"messages":[{"role":"user","content":"%s"}],"%s":1}`, strings.Repeat("x", 2<<20), key)
		if _, err := c.Convert([]byte(line), i+1); err != nil {
			t.Fatal(err)
		}
	}
	if after := heap(); after > before+16<<20 || len(c.Ignored) != 16 {
		t.Errorf("%d keys take %d MiB", len(c.Ignored), (after-before)>>20)
	}
	runtime.KeepAlive(c)
}
