package export

import (
	"slices"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// Codes of the error of an export that a stage could not finish. A refused export has the code of
// its first mistake.
const (
	PlanFailed   = "plan_failed"      // ClickHouse cannot select the rows
	FormatFailed = "format_failed"    // the target cannot write a row
	StoreFailed  = "store_failed"     // the object store did not take a window
	ReadFailed   = "read_failed"      // ClickHouse cannot read a window
	StageGone    = "stage_gone"       // the snapshot was dropped
	TooMany      = "too_many_exports" // the workspace has as many exports as may run at a time
)

// ReplicaBehind is a code of what is tried again, and of no error: the replicas of ClickHouse lag.
const ReplicaBehind = "replica_behind"

// MaxUnfinished is how many exports of a workspace may have been requested and not have ended.
const MaxUnfinished = 100

// OtherLabel is what a metric shows for a value of a request that is not one of the contract.
const OtherLabel = "other"

// ErrorCodes are the codes of errors of exports, and OtherLabel.
var ErrorCodes = func() (codes []string) {
	codes = []string{PlanFailed, FormatFailed, StoreFailed, ReadFailed, StageGone, TooMany, UnknownField, NotPossible}
	for _, code := range strictjson.Codes {
		switch code {
		case strictjson.ClockSkew, strictjson.RowRefused, strictjson.ExportIDConflict, strictjson.UnknownExport: // of records
		default:
			codes = append(codes, string(code))
		}
	}
	return append(codes, OtherLabel)
}()

// PurposeLabels are the values of a label purpose.
var PurposeLabels = append(slices.Clone(format.Purposes), OtherLabel)

// PurposeLabel returns the purpose of a request as a label: a refused request may name any.
func PurposeLabel(purpose string) string {
	if slices.Contains(format.Purposes, purpose) {
		return purpose
	}
	return OtherLabel
}
