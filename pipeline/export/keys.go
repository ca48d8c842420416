package export

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/pipeline/export/format"
)

// Names of the objects of an export, relative to its prefix.
const (
	PlanName     = "plan.json"
	CancelName   = "cancel.json" // somebody asked to cancel
	ManifestName = "manifest.json"
	CardName     = "README.md" // the dataset card
	DeletedName  = "deleted.json"
	WindowsDir   = "windows/" // a manifest for each window
	DataDir      = "data/"    // the fragments
	MetaDir      = "__meta__/"
	// AllColumnsName is the object with the statistics of the columns of all records.
	AllColumnsName = MetaDir + "columns.json"
)

// SplitTrain is the split of all records of a request without splits.
const SplitTrain = format.Train

// Prefix returns the prefix of the keys of all objects of the export. Ids contain no "/" and do not
// start with a dot, so that no export's prefix is a part of another export's prefix.
func (id ID) Prefix() string { return "exports/" + id.WorkspaceID + "/" + id.ExportID + "/" }

// WindowName returns the name of a window's manifest.
func WindowName(window int) string { return fmt.Sprintf("%s%05d.json", WindowsDir, window) }

// ParseWindowName returns the number of the window whose manifest has the name.
func ParseWindowName(name string) (window int, ok bool) {
	digits, ok := strings.CutPrefix(name, WindowsDir)
	if !ok {
		return 0, false
	}
	if digits, ok = strings.CutSuffix(digits, ".json"); !ok {
		return 0, false
	}
	window, err := strconv.Atoi(digits)
	return window, err == nil && window >= 0 && WindowName(window) == name
}

// DataName returns the name of a fragment. Attempt makes the name unique among all attempts at the
// window (invariant 4).
func DataName(split string, window, fragment int, attempt, extension string) string {
	return fmt.Sprintf("%s%s-%05d-%05d-%s.%s", DataDir, split, window, fragment, attempt, extension)
}

// LineageName returns the name of the file that records where each record of a window comes from.
func LineageName(window int, attempt string) string {
	return fmt.Sprintf("%slineage-%05d-%s.jsonl", MetaDir, window, attempt)
}

// ColumnsName returns the name of the object with the statistics of a window's columns.
func ColumnsName(window int, attempt string) string {
	return fmt.Sprintf("%scolumns-%05d-%s.json", MetaDir, window, attempt)
}
