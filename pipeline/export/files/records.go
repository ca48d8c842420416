package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/millrace/millrace/sinks/fragment"
)

// Records returns the records as JSON objects, whatever the format: those of each split in their
// order, one split after the other as the manifest has them. A record is valid until the next. It
// reads no more of the objects than it needs, and so does not check their SHA-256: see
// [Dataset.Verify]. It ends with the first error, which may be that of [Dataset.Readable].
func (d *Dataset) Records(ctx context.Context) iter.Seq2[json.RawMessage, error] {
	return d.RecordsOf(ctx, Span{}, 2*fragment.MaxRecord)
}

// RecordsOf iterates over the records of a span as Records does. Files before the span are not opened: the
// manifest has their numbers of records. It ends with [fragment.ErrRecordTooLarge] at a record of more than
// maxRecord bytes, of which it reads no more than that.
func (d *Dataset) RecordsOf(ctx context.Context, s Span, maxRecord int) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		if err := d.Readable(); err != nil {
			yield(nil, err)
			return
		}
		n := 0
		for _, p := range d.parts(s) {
			goOn, err := d.recordsOf(ctx, p, maxRecord, func(record json.RawMessage, err error) bool {
				n++
				return yield(record, err) && n != s.N
			})
			if err != nil {
				yield(nil, fmt.Errorf("%s: %w", p.file.Key, err))
				return
			}
			if !goOn {
				return
			}
		}
	}
}

func (d *Dataset) recordsOf(ctx context.Context, p opened, maxRecord int,
	yield func(json.RawMessage, error) bool) (goOn bool, err error) {
	f := p.file
	r, err := fragment.NewReader(d.Manifest.Format, d.Manifest.Compression, &object{ctx: ctx, d: d, file: f}, f.Bytes)
	if err != nil {
		return false, err
	}
	defer r.Close()
	r.MaxRecord = maxRecord
	if err := r.Skip(p.after); err != nil {
		return false, err
	}
	for {
		record, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil:
			return false, err
		case !yield(record, nil):
			return false, nil
		}
	}
}
