package format_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

func TestNewNamesWhatIsPossible(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, purpose, target string
		options               map[string]any
		want                  []string // in the error; none: no error
	}{
		{"canonical data set", format.ExportDataset, record.Canonical, nil, nil},
		{"no options given", format.ExportDataset, record.Canonical, map[string]any{}, nil},
		{"unknown option", format.ExportDataset, record.Canonical, map[string]any{"colunms": []any{"id"}},
			[]string{`"colunms"`, "export_dataset", "canonical", "columns"}},
		{"unknown target", format.ExportDataset, "excel", nil, []string{"export_dataset has the targets canonical"}},
		{"unknown purpose", "backup", record.Canonical, nil, []string{`"backup"`, "export_dataset, recipe_evaluation"}},
		{"nothing named", "", "", nil, []string{"export_dataset, recipe_evaluation"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f, err := targets.New(test.purpose, test.target, test.options)
			if (f == nil) == (err == nil) {
				t.Fatalf("formatter %v and error %v", f, err)
			}
			if (err == nil) != (test.want == nil) {
				t.Fatalf("error %v", err)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not name %s", err, part)
				}
			}
		})
	}
}
