package flow_test

import (
	"testing"

	"github.com/millrace/millrace/pipeline/export"
)

// ClickHouse reads the windows of large exports in the background, and small exports and plans as others.
func TestOnlyTheWindowsOfLargeExportsAreReadInTheBackground(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.insertRuns(400)
	f.replaceRuns("getSetting('os_thread_priority') = 0") // in the background, there are no runs
	f.windowRecords = 200
	f.start()
	f.send(request("small", `,"selection":{"limit":5}`))
	f.send(request("large", limit1000))
	small, large := f.completion("small"), f.completion("large")
	if small.Status != export.StatusSucceeded || small.Records != 5 {
		t.Errorf("small export: %s, %d records", small.Status, small.Records)
	}
	if large.Status != export.StatusSucceeded || large.RowsPlanned != 400 || large.Vanished != 400 {
		t.Errorf("large export: %s, %d rows, of which %d were not read in the background", large.Status,
			large.RowsPlanned, large.RowsPlanned-large.Vanished)
	}
}
