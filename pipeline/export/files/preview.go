package files

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/millrace/millrace/pipeline/budget"
	"github.com/millrace/millrace/sinks/fragment"
)

// Preview is some records of an export.
type Preview struct {
	ExportID  string            `json:"export_id"`
	Purpose   string            `json:"purpose"`
	Target    string            `json:"target"`
	Format    string            `json:"format"`
	Records   []json.RawMessage `json:"records" doc:"As JSON, whatever the format."`
	Total     int64             `json:"total" doc:"Records of the export, or of the split."`
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

// Preview reads the records of a span, as many as fit. Its error may be that of [Dataset.Readable], or an
// [UnknownSplit]. What it takes in memory it takes from the [budget.Budget.Scope] of ctx.
func (d *Dataset) Preview(ctx context.Context, s Span) (*Preview, error) {
	if err := d.Readable(); err != nil {
		return nil, err
	}
	if err := budget.Hold(ctx, smallPreview); err != nil {
		return nil, err
	}
	p, err := d.preview(ctx, s, maxSmall)
	if !errors.Is(err, fragment.ErrRecordTooLarge) {
		return p, err
	}
	if err := budget.Hold(ctx, largePreview); err != nil {
		return nil, err
	}
	return d.preview(ctx, s, 2*fragment.MaxRecord)
}

// preview reads records of at most maxRecord bytes each.
func (d *Dataset) preview(ctx context.Context, s Span, maxRecord int) (*Preview, error) {
	m := d.Manifest
	total, err := d.count(s.Split)
	if err != nil {
		return nil, err
	}
	p := &Preview{
		ExportID: m.ExportID, Purpose: m.Purpose, Target: m.Target, Format: m.Format, Records: []json.RawMessage{},
		Total: total,
	}
	size := 0
	for record, err := range d.RecordsOf(ctx, s, maxRecord) {
		if err != nil {
			return nil, err
		}
		size += len(record)
		if p.Truncated = size > maxPreview && len(p.Records) > 0; p.Truncated {
			break
		}
		p.Records = append(p.Records, slices.Clone(record))
	}
	return p, nil
}
