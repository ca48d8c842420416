package statistics

import "math"

// Numbers of what is counted of a large export.
const (
	maxRecords = 10_000 // about; at least half of them
	maxWindows = 64
)

// Sample says which records of an export are counted. It depends on the plan alone, so that a window that is written
// again has the same statistics. It is all records of a small export; of a large one it is some, evenly spread.
type Sample struct {
	windows int    // every so many-th window is counted
	below   uint64 // of such a window, the records whose place in a sequence is not greater
}

// NewSample returns the sample of an export of so many rows.
func NewSample(rows int64, windows int) Sample {
	s := Sample{windows: 1 + (windows-1)/maxWindows, below: math.MaxUint64}
	if one := 1 + (rows/int64(s.windows)-1)/maxRecords; one > 1 {
		s.below = math.MaxUint64 / uint64(one)
	}
	return s
}

// Window says whether records of a window are counted.
func (s Sample) Window(window int) bool { return window%s.windows == 0 }

// Record says whether a record of a counted window is counted. Records have numbers from 0.
func (s Sample) Record(number int64) bool {
	// Multiples of the golden ratio are spread evenly. Every tenth record would be an uneven sample of records that
	// come in turn.
	const golden = 0x9e3779b97f4a7c15
	return uint64(number)*golden <= s.below
}
