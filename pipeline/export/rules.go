package export

import (
	"slices"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// Purposes. Package format defines their targets.
const (
	ExportDataset    = format.ExportDataset
	RecipeEvaluation = format.RecipeEvaluation
	NodeEvaluation   = format.NodeEvaluation
	NodeOptimization = format.NodeOptimization
	FineTuning       = format.FineTuning
)

// Canonical is the target whose records keep the events as the producer sent them.
const Canonical = record.Canonical

// Formats and compressions.
const (
	JSONL   = "jsonl"
	JSON    = "json"
	CSV     = "csv"
	Parquet = "parquet"

	NoCompression = "none"
	Gzip          = "gzip"
	Zstd          = "zstd"
)

// Unrated is the rating of rows without any feedback.
const Unrated = "none"

// NotThumbsDown is the rating of all other rows than those that are rated thumbsDown, also without feedback.
const NotThumbsDown = "notThumbsDown"

// ScoreName is the name by which filters.scores calls the score without a name.
const ScoreName = "score"

// Running is the one status that is not in the default of filters.statuses.
const Running = "running"

var (
	sources       = []string{"copilot", "recipe"}
	statuses      = []string{Running, "succeeded", "failed", "cancelled"}
	finalStatuses = []string{"cancelled", "failed", "succeeded"} // sorted
	ratings       = []string{"thumbsUp", "thumbsDown", Unrated, NotThumbsDown}
	formats       = []string{JSONL, JSON, CSV, Parquet}
	compressions  = []string{NoCompression, Gzip, Zstd}
	windowsBy     = []string{ByStartedAt, ByIngestedAt}
)

// allTargets returns the names of the targets of all purposes.
func allTargets() []string {
	var all []string
	for _, purpose := range format.Purposes {
		all = append(all, targets.Names(targets.Targets(purpose))...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Limits of requests. Every entry of a list is a condition of each query of the export.
const (
	maxRunIDs      = 10_000
	maxList        = 100  // entries of every other list
	maxMetadata    = 20   // labels, and names of scores
	maxText        = 1000 // characters of a text that is looked for
	maxRecordsCap  = 1_000_000
	defaultRecords = 150
	parquetRecords = 100_000
	defaultBytes   = 64 << 20
)

// defaultFragment returns the limits of a file where the request sets none. Fine-tuning files have
// only the limits of their target.
func defaultFragment(purpose, format string) Fragment {
	switch {
	case purpose == FineTuning:
		return Fragment{}
	case format == Parquet:
		return Fragment{MaxRecords: parquetRecords, MaxBytes: defaultBytes}
	}
	return Fragment{MaxRecords: defaultRecords, MaxBytes: defaultBytes}
}

// limit lowers the limits to those of the target's readers.
func (f *Fragment) limit(t *format.Target) {
	lower := func(n *int64, limit int64) {
		if limit > 0 && (*n == 0 || *n > limit) {
			*n = limit
		}
	}
	lower(&f.MaxRecords, t.Limits.MaxRecords)
	lower(&f.MaxBytes, t.Limits.MaxBytes)
}
