package ingest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// The names of unknown fields are parts of their records, which are not kept in memory for them.
func TestUnknownFieldsKeepNoRecordsInMemory(t *testing.T) {
	m := newMetrics(prometheus.NewRegistry())
	heap := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before := heap()
	for i := range 16 {
		record := fmt.Sprintf("field%d%s", i, strings.Repeat("x", 2<<20))
		m.unknownField(record[:7])
	}
	if after := heap(); after > before+8<<20 || len(m.fields) < 10 {
		t.Errorf("%d fields take %d MiB", len(m.fields), (after-before)>>20)
	}
	runtime.KeepAlive(m)
}
