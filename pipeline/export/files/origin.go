package files

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/millrace/millrace/pipeline/export"
)

// Origin is a row that a record is made of.
type Origin struct {
	Record     int64      `json:"-"` // records before it, of the split of the span
	File       string     `json:"file"`
	Line       int64      `json:"line"`
	RunID      string     `json:"run_id"`
	NodeRunID  string     `json:"node_run_id"`
	AppVersion string     `json:"app_version"`
	Rating     string     `json:"rating"`
	Score      *float64   `json:"score"`
	StartedAt  *time.Time `json:"started_at"`
}

// MaxOrigins is how many rows Origins returns at most.
const MaxOrigins = 1000

// originBuffer has a line of a lineage up to the metadata of the run, which may be longer.
const originBuffer = 64 << 10

// HasOrigins reports whether the export has a lineage.
func (d *Dataset) HasOrigins() bool {
	return d.Manifest != nil && slices.ContainsFunc(d.Manifest.Files, func(f export.File) bool {
		return f.Kind == export.Lineage
	})
}

// Origins returns the rows that the N records of a span are made of, from the lineage of their windows,
// and whether there are more than MaxOrigins of them, which are left out. Its error may be that of [Dataset.Readable].
func (d *Dataset) Origins(ctx context.Context, s Span) (origins []Origin, more bool, err error) {
	if err := d.Readable(); err != nil {
		return nil, false, err
	}
	next, left := s.After, int64(s.N)
	for _, p := range d.parts(s) {
		n := min(left, p.file.Records-p.after)
		if n == 0 {
			break
		}
		i := slices.IndexFunc(d.Manifest.Files, func(f export.File) bool {
			return f.Kind == export.Lineage && f.Window == p.file.Window
		})
		if i >= 0 {
			found, err := d.originsOf(ctx, d.Manifest.Files[i], p, n)
			if err != nil {
				return nil, false, fmt.Errorf("%s: %w", d.Manifest.Files[i].Key, err)
			}
			for _, o := range found {
				o.Record = next + o.Line - 1 - p.after
				origins = append(origins, o)
			}
		}
		next, left = next+n, left-n
	}
	return origins[:min(len(origins), MaxOrigins)], len(origins) > MaxOrigins, nil
}

// originsOf returns the rows of n records of a file, MaxOrigins and one more at most.
func (d *Dataset) originsOf(ctx context.Context, lineage export.File, p opened, n int64) (found []Origin, err error) {
	r, _, err := d.folder.Bucket.NewReader(ctx, d.folder.Key(lineage.Key))
	if err != nil {
		return nil, d.explain(ctx, err)
	}
	defer r.Close()
	prefix := fmt.Appendf(nil, `{"file":%q,"line":`, p.file.Key) // a key has nothing to escape
	for lines := bufio.NewReaderSize(r, originBuffer); ; {
		line, err := lines.ReadSlice('\n')
		if bytes.HasPrefix(line, prefix) {
			o, err := newOrigin(line)
			if err != nil {
				return nil, err
			}
			if o.Line > p.after+n || len(found) > MaxOrigins {
				return found, nil
			}
			if o.Line > p.after {
				found = append(found, o)
			}
		}
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of a long line
			_, err = lines.ReadSlice('\n')
		}
		switch {
		case errors.Is(err, io.EOF):
			return found, nil
		case err != nil:
			return nil, err
		}
	}
}

// newOrigin reads a line of a lineage up to its metadata.
func newOrigin(line []byte) (o Origin, err error) {
	head, _, ok := bytes.Cut(line, []byte(`,"metadata":`))
	if !ok || json.Unmarshal(append(slices.Clone(head), '}'), &o) != nil {
		return o, errLineage
	}
	return o, nil
}
