package live

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/millrace/millrace/pipeline/budget"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/sinks/fragment"
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

// A preview takes from the memory budget what its records, up to maxSmall bytes each, and the answer
// take. Where a record is larger, the preview is read again with the bytes of the largest record.
const (
	maxSmall     = 2 << 20
	smallPreview = 2*maxPreview + 4*maxSmall
	largePreview = 4 * fragment.MaxRecord
)

// Preview reads the first n records. Its error is one of Dataset or of [files.Dataset.Readable]. What
// it takes in memory it takes from the [budget.Budget.Scope] of ctx.
func (e *Exports) Preview(ctx context.Context, id export.ID, n int) (*Preview, error) {
	d, err := e.Dataset(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := d.Readable(); err != nil {
		return nil, err
	}
	if err := budget.Hold(ctx, smallPreview); err != nil {
		return nil, err
	}
	p, err := preview(ctx, id, d, n, maxSmall)
	if !errors.Is(err, fragment.ErrRecordTooLarge) {
		return p, err
	}
	if err := budget.Hold(ctx, largePreview); err != nil {
		return nil, err
	}
	return preview(ctx, id, d, n, 2*fragment.MaxRecord)
}

// preview reads the first n records, which have at most maxRecord bytes each.
func preview(ctx context.Context, id export.ID, d *files.Dataset, n, maxRecord int) (*Preview, error) {
	m := d.Manifest
	p := &Preview{
		ExportID: id.ExportID, Purpose: m.Purpose, Target: m.Target, Format: m.Format, Records: []json.RawMessage{},
		Total: m.Totals.Records,
	}
	size := 0
	for record, err := range d.RecordsUpTo(ctx, maxRecord) {
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
