package plan

import (
	"maps"
	"slices"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format"
)

// withNodes is the one option of the purpose that is not there yet.
const withNodes = "with_nodes"

// unsupported returns what a valid request asks for that this release does not do, and what is wrong with its
// options, which only format knows. It asks the packages that would do it, so that it shrinks as they grow.
func unsupported(r *export.Request) (mistakes export.Mistakes) {
	add := func(pointer, message string) {
		mistakes = append(mistakes, export.Mistake{Code: export.NotSupportedYet, Pointer: pointer, Message: message})
	}
	options := maps.Clone(r.Options)
	if _, asked := options[withNodes]; asked {
		add("/options/"+withNodes, "node runs are not nested in records yet: leave it out")
		delete(options, withNodes)
	}
	wrong := func(err error) { // no release takes them
		mistakes = append(mistakes, export.Mistake{Code: export.NotPossible, Pointer: "/options", Message: err.Error()})
	}
	if _, err := format.New(r.Purpose, r.Target, nil); err != nil {
		at := "/target"
		if r.Purpose != export.ExportDataset {
			at = "/purpose"
		}
		add(at, err.Error())
	} else if _, err := format.New(r.Purpose, r.Target, options); err != nil {
		wrong(err)
	}
	if len(mistakes) == 0 {
		encoder := func(options map[string]any) error {
			_, err := format.NewEncoder(r.Purpose, r.Target, r.Format, r.Compression, options, nil)
			return err
		}
		if err := encoder(nil); err != nil {
			add("/format", err.Error())
		} else if err := encoder(options); err != nil {
			wrong(err)
		}
	}
	if r.Split != nil {
		add("/split", "splits are not written yet: leave split out")
	}
	if len(r.Nodes) > 0 && !slices.ContainsFunc(mistakes, func(m export.Mistake) bool { return m.Pointer == "/purpose" }) {
		add("/nodes", "node runs are not exported yet: leave nodes out")
	}
	return mistakes
}
