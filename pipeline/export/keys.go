package export

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/pipeline/export/format"
)

// Names of the objects of an export, after its prefix.
const (
	PlanName     = "plan.json"
	ManifestName = "manifest.json"
	CardName     = "README.md" // the dataset card
	DeletedName  = "deleted.json"
	WindowsDir   = "windows/" // a window's own manifest each
	DataDir      = "data/"    // the fragments
	MetaDir      = "__meta__/"
)

// SplitTrain is the split of records that no split was asked for.
const SplitTrain = format.Train

// Prefix is what the keys of all objects of the export begin with. Ids hold no "/" and do not begin with
// a dot, so that no export's prefix is part of another's.
func (id ID) Prefix() string { return "exports/" + id.WorkspaceID + "/" + id.ExportID + "/" }

// WindowName is the name of a window's manifest.
func WindowName(window int) string { return fmt.Sprintf("%s%05d.json", WindowsDir, window) }

// ParseWindowName returns the number of the window whose manifest has this name.
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

// DataName is the name of a fragment. Attempt makes it one that no other attempt at the window uses
// (invariant 4).
func DataName(split string, window, fragment int, attempt, extension string) string {
	return fmt.Sprintf("%s%s-%05d-%05d-%s.%s", DataDir, split, window, fragment, attempt, extension)
}

// LineageName is the name of the file that says where the records of a window come from.
func LineageName(window int, attempt string) string {
	return fmt.Sprintf("%slineage-%05d-%s.jsonl", MetaDir, window, attempt)
}
