package files

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/sinks/bucket"
)

// objectsAtOnce hides the time that an object store takes to answer.
const objectsAtOnce = 4

// measured is what an object turned out to be.
type measured struct {
	bytes  int64
	sha256 string
}

// copyTo copies an object to w and measures it. It tells progress about bytes as they come.
func (d *Dataset) copyTo(ctx context.Context, w io.Writer, f export.File, progress func(bytes int64)) (measured,
	error) {
	r, _, err := d.folder.Bucket.NewReader(ctx, d.folder.Key(f.Key))
	if err != nil {
		return measured{}, d.explain(ctx, err)
	}
	defer r.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum, count(progress)), r)
	if err != nil {
		return measured{}, d.explain(ctx, fmt.Errorf("read object %s: %w", f.Key, err))
	}
	return measured{n, hex.EncodeToString(sum.Sum(nil))}, nil
}

type count func(bytes int64)

func (c count) Write(p []byte) (int, error) {
	if c != nil {
		c(int64(len(p)))
	}
	return len(p), nil
}

// explain finds out whether an object is gone because the export was deleted meanwhile.
func (d *Dataset) explain(ctx context.Context, err error) error {
	if errors.Is(err, bucket.ErrNotFound) {
		if by, _ := d.folder.Deletion(ctx); by != nil {
			return deleted(by)
		}
	}
	return err
}

// differences holds an object against the manifest.
func (m measured) differences(f export.File) (problems []Problem) {
	if m.bytes != f.Bytes {
		problems = append(problems, Problem{f.Key, WrongSize, fmt.Sprintf("has %d bytes instead of %d", m.bytes, f.Bytes)})
	}
	if m.sha256 != f.SHA256 {
		problems = append(problems, Problem{f.Key, WrongHash, fmt.Sprintf("has the SHA-256 %s instead of %s", m.sha256,
			f.SHA256)})
	}
	return problems
}
