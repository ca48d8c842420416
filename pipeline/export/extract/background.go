package extract

import (
	"github.com/ClickHouse/ch-go"

	"github.com/millrace/millrace/pipeline/export/format/record"
)

// Windows of large exports compute in the background: where somebody else wants a processor, as a small export or
// ingest, it gets nine tenths of it. A large export that has the machine for itself takes no longer. Exports of
// 150 records beside one of 2,000,000 with 150 records a file took 0.50 s in the median, by millrace local on two
// processors, and take 0.26.
const niceness = 10

// yieldingServer are the settings of queries that ClickHouse runs in the background. A server that may not set
// priorities of threads (capability CAP_SYS_NICE) ignores them.
func yieldingServer() []ch.Setting {
	return []ch.Setting{ch.SettingInt("os_thread_priority", niceness)}
}

// yielding returns fn, whose goroutine computes in the background from the first row on. The goroutine ends with the
// query that it reads.
func yielding(fn func(*record.Row) error) func(*record.Row) error {
	yields := false
	return func(row *record.Row) error {
		if !yields {
			yields = true
			yieldProcessor()
		}
		return fn(row)
	}
}
