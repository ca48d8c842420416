package app

import (
	"runtime"
	"testing"
)

func TestOneGoroutineMoreThanComputeMayRun(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, c := range []struct {
		processors, compute, want int
		env                       string
	}{
		{2, 4, 5, ""}, {1, 4, 3, ""}, {2, 1, 2, ""}, {4, 4, 5, ""}, {8, 4, 8, ""}, {2, 256, 6, ""}, {2, 4, 2, "2"},
	} {
		runtime.GOMAXPROCS(c.processors)
		t.Setenv("GOMAXPROCS", c.env)
		SpareProcessors(c.compute)
		if n := runtime.GOMAXPROCS(0); n != c.want {
			t.Errorf("%+v: %d", c, n)
		}
	}
}
