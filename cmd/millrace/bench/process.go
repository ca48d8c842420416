package bench

import (
	"math"

	"github.com/prometheus/procfs"
)

// processorTime returns the processor seconds of a process so far, in user and system mode, or NaN
// where the system does not report them.
func processorTime(pid int) float64 {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return math.NaN()
	}
	stat, err := p.Stat()
	if err != nil {
		return math.NaN()
	}
	return stat.CPUTime()
}

// peakMemory returns the peak resident size of a process in bytes, or 0 where the system does not
// report it. The size from wait(2) would include the size of this process, from before the exec.
func peakMemory(pid int) int64 {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return 0
	}
	status, err := p.NewStatus()
	if err != nil {
		return 0
	}
	return int64(status.VmHWM)
}
