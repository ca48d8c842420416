package files

import (
	"bytes"
	"context"
	"fmt"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/statistics"
)

// Columns returns the statistics of the columns of the records, nil where none were kept: the export has
// no records, or an older release wrote it. The error is that of [Dataset.Readable], or of reading.
func (d *Dataset) Columns(ctx context.Context) (*statistics.Statistics, error) {
	if err := d.Readable(); err != nil {
		return nil, err
	}
	f, ok := d.Find(export.AllColumnsName)
	if !ok {
		return nil, nil
	}
	if f.Bytes > statistics.MaxBytes {
		return nil, fmt.Errorf("object %s has %d bytes, and %d is the most", f.Key, f.Bytes, statistics.MaxBytes)
	}
	var text bytes.Buffer
	if err := d.Copy(ctx, &text, f); err != nil {
		return nil, err
	}
	return statistics.Parse(text.Bytes())
}
