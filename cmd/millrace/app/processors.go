package app

import (
	"os"
	"runtime"
)

// SpareProcessors lets the Go runtime run one goroutine more than compute for long, unless GOMAXPROCS is set or there
// are as many processors. The operating system then divides the processors, and favours who has waited. Otherwise, what
// comes from Kafka or ClickHouse while all compute is noticed each 10 ms only, and a small export waits for
// some thirty such answers: in millrace local on two processors, beside one with a file a window, it took 0.61 s
// in the median, and 0.41 with this. Beside one with 150 records a file it took as long. The runtime then does not
// follow a limit of the container that changes later.
func SpareProcessors(compute int) {
	processors := runtime.GOMAXPROCS(0)
	if os.Getenv("GOMAXPROCS") == "" && processors <= compute {
		runtime.GOMAXPROCS(min(compute+1, 3*processors)) // the garbage collector takes a quarter
	}
}
