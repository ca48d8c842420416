package live

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/millrace/millrace/pipeline/export"
)

// Preview is the first records of an export.
type Preview struct {
	ExportID  string            `json:"export_id"`
	Purpose   string            `json:"purpose"`
	Target    string            `json:"target"`
	Format    string            `json:"format"`
	Records   []json.RawMessage `json:"records" doc:"As JSON, whatever the format."`
	Total     int64             `json:"total" doc:"Records of the export."`
	Truncated bool              `json:"truncated,omitempty" doc:"The records would be too large: fewer than asked for are shown."`
}

// maxPreview bounds the bytes of a preview. The first record may be larger.
const maxPreview = 8 << 20

// Preview reads the first n records. Its error is one of Dataset or of [files.Dataset.Readable].
func (e *Exports) Preview(ctx context.Context, id export.ID, n int) (*Preview, error) {
	d, err := e.Dataset(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := d.Readable(); err != nil {
		return nil, err
	}
	m := d.Manifest
	p := &Preview{
		ExportID: id.ExportID, Purpose: m.Purpose, Target: m.Target, Format: m.Format, Records: []json.RawMessage{},
		Total: m.Totals.Records,
	}
	size := 0
	for record, err := range d.Records(ctx) {
		if err != nil {
			return nil, err
		}
		size += len(record)
		if p.Truncated = size > maxPreview && len(p.Records) > 0; p.Truncated {
			break
		}
		if p.Records = append(p.Records, slices.Clone(record)); len(p.Records) == n {
			break
		}
	}
	return p, nil
}
