package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// measured is what a measurement took. Figures of ClickHouse are of its whole process.
type measured struct {
	took               time.Duration
	rows               int64
	process, server    float64 // processor seconds of the processes and of ClickHouse
	memory             int64   // the largest peak of resident bytes of a process, 0 = not known
	readRows, readSize uint64  // rows and bytes that ClickHouse read from tables
}

// comparer measures processes and the ClickHouse beside them.
type comparer struct {
	conn   driver.Conn
	server int
	pids   []int
}

// processors returns the processor seconds of the processes so far.
func (m comparer) processors() (sum float64) {
	for _, pid := range m.pids {
		sum += processorTime(pid)
	}
	return sum
}

// measure measures f, which returns how many rows it took.
func (m comparer) measure(ctx context.Context, f func() (int64, error)) (x measured, err error) {
	for _, pid := range m.pids {
		resetPeakMemory(pid)
	}
	rows, size, err := m.selected(ctx)
	if err != nil {
		return x, err
	}
	process, server, began := m.processors(), processorTime(m.server), time.Now()
	if x.rows, err = f(); err != nil {
		return x, err
	}
	x.took = time.Since(began)
	x.process, x.server = m.processors()-process, processorTime(m.server)-server
	for _, pid := range m.pids {
		x.memory = max(x.memory, peakMemory(pid))
	}
	x.readRows, x.readSize, err = m.selected(ctx)
	x.readRows, x.readSize = x.readRows-rows, x.readSize-size
	return x, err
}

// selected returns how many rows and bytes ClickHouse has read from tables since it started.
func (m comparer) selected(ctx context.Context) (rows, size uint64, err error) {
	err = m.conn.QueryRow(ctx, "SELECT sumIf(value, event = 'SelectedRows'), sumIf(value, event = 'SelectedBytes') "+
		"FROM system.events").Scan(&rows, &size)
	return rows, size, err
}

// resetPeakMemory makes the system forget the peak of a process, where it can.
func resetPeakMemory(pid int) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// medianOf returns the measurement of the median time.
func medianOf(all []measured) measured {
	sorted := slices.SortedFunc(slices.Values(all), func(x, y measured) int { return int(x.took - y.took) })
	return sorted[len(sorted)/2]
}

// printMeasured prints the measurement of the median time, with the fastest and the slowest time.
func printMeasured(w io.Writer, what string, all []measured) {
	x := medianOf(all)
	fastest, slowest := x.took, x.took
	for _, m := range all {
		fastest, slowest = min(fastest, m.took), max(slowest, m.took)
	}
	million := float64(x.rows) / 1e6
	fmt.Fprintf(w, "%-32s %6.2f s (%.2f to %.2f)  %8.0f rows/s  processor s a million rows: %5.2f, ClickHouse %5.2f  "+
		"read for a row: %.2f rows, %.0f bytes  peak memory %d MiB\n", what, x.took.Seconds(), fastest.Seconds(),
		slowest.Seconds(), float64(x.rows)/x.took.Seconds(), x.process/million, x.server/million,
		float64(x.readRows)/float64(x.rows), float64(x.readSize)/float64(x.rows), x.memory>>20)
}

// storeMeasured appends measurements to a file in the format of Go's benchmarks.
func storeMeasured(name, what string, all []measured) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	what = "Benchmark" + strings.Join(strings.FieldsFunc(what, func(r rune) bool { return r == ' ' || r == ',' }), "_")
	for _, x := range all {
		rows := float64(x.rows)
		if _, err := fmt.Fprintf(f, "%s 1 %d ns/op %.3f cpu-s/Mrow %.3f clickhouse-cpu-s/Mrow "+
			"%.3f read-rows/row %d peak-bytes\n",
			what, x.took.Nanoseconds(), x.process/rows*1e6, x.server/rows*1e6, float64(x.readRows)/rows, x.memory); err != nil {
			return err
		}
	}
	return f.Close()
}
