package app

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/millrace/millrace/pipeline/budget"
	"github.com/millrace/millrace/pipeline/event"
)

// EventLimits returns the limits of run events.
func (c *Config) EventLimits() event.Limits {
	return event.Limits{Value: c.MaxEventBytes, String: c.MaxStringBytes, Skew: c.MaxClockSkew}
}

// defaultBudget is the memory budget of a process without a limit of its memory.
const defaultBudget = 512 << 20

// MemoryBudget returns the memory budget of the process, see MEMORY_BUDGET_BYTES.
func (c *Config) MemoryBudget() *budget.Budget {
	size := c.MemoryBudgetBytes
	if size == 0 {
		size = defaultBudget
		if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
			size = max(limit/2, 1)
		}
	}
	return budget.New(size)
}

// CollectAt makes the garbage collector begin when the heap has grown by so many percent, unless GOGC is set. The
// default is 100.
func CollectAt(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// LimitMemory tells the garbage collector the memory limit of the container, unless GOMEMLIMIT is
// set. Without it, garbage may fill the container while little is in use.
func LimitMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		// Version 2 has "max" for no limit, version 1 a number near 2⁶³.
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && limit < 1<<50 {
			debug.SetMemoryLimit(limit / 10 * 8)
		}
		return
	}
}
