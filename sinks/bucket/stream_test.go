package bucket

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/millrace/millrace/sinks/bucket/buckettest"
)

// Not parallel, since it counts the allocations of the process: parallel top-level tests wait for
// it.
func TestStreamsTakeBoundedMemory(t *testing.T) {
	const size, bound = 100 << 20, 2*partSize + partSize/2
	for name, url := range map[string]func(t *testing.T) string{
		"file": func(t *testing.T) string { return fileURL(t.TempDir()) },
		"s3":   func(t *testing.T) string { url, _ := buckettest.S3(t); return url },
	} {
		t.Run(name, func(t *testing.T) {
			b := openURL(t, url(t))
			defer b.Close()
			piece := noise(64 << 10)
			allocated := func(do func()) uint64 {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				do()
				runtime.ReadMemStats(&after)
				return after.TotalAlloc - before.TotalAlloc
			}
			written := allocated(func() {
				w, err := b.NewWriter(t.Context(), "large")
				if err != nil {
					t.Fatal(err)
				}
				for range size / len(piece) {
					if _, err := w.Write(piece); err != nil {
						t.Fatal(err)
					}
				}
				if err := w.Commit(); err != nil {
					t.Fatal(err)
				}
			})
			read := allocated(func() {
				r, n, err := b.NewReader(t.Context(), "large")
				if err != nil || n != size {
					t.Fatal(n, err)
				}
				defer r.Close()
				got := make([]byte, len(piece))
				for i := range size / len(piece) {
					if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, piece) {
						t.Fatalf("piece %d is another: %v", i, err)
					}
				}
				if n, err := r.Read(got); n != 0 || err != io.EOF {
					t.Fatal(n, err)
				}
			})
			t.Logf("%d MiB: allocated %d KiB while writing, %d KiB while reading", size>>20, written>>10, read>>10)
			if written > bound || read > bound {
				t.Errorf("allocated %d bytes while writing and %d while reading, more than %d", written, read, bound)
			}
		})
	}
}

// A window of 30,000 runs is 200 fragments of 150. extract writes them one after another.
func BenchmarkWindow(b *testing.B) {
	body := noise(165 << 10)
	for _, test := range []struct {
		name string
		url  func(b *testing.B) string
		sync bool
	}{
		{"file, create each", func(b *testing.B) string { return fileURL(b.TempDir()) }, false},
		{"file, commit and sync together", func(b *testing.B) string { return fileURL(b.TempDir()) }, true},
		{"s3, create each", func(b *testing.B) string { url, _ := buckettest.S3(b); return url }, false},
		{"s3, commit and sync together", func(b *testing.B) string { url, _ := buckettest.S3(b); return url }, true},
	} {
		b.Run(test.name, func(b *testing.B) {
			bucket, err := Open(b.Context(), test.url(b))
			if err != nil {
				b.Fatal(err)
			}
			defer bucket.Close()
			write := bucket.Create
			if test.sync {
				write = func(ctx context.Context, key string, body []byte) error { return commitTo(ctx, bucket, key, body) }
			}
			b.SetBytes(int64(200 * len(body)))
			b.ReportAllocs()
			for window := 0; b.Loop(); window++ {
				var keys []string
				for i := range 200 {
					keys = append(keys, fmt.Sprintf("exports/acme/e/data/train-%05d-%05d-a.jsonl", window, i))
					if err := write(b.Context(), keys[i], body); err != nil {
						b.Fatal(err)
					}
				}
				if !test.sync {
					continue
				}
				if err := bucket.Sync(b.Context(), keys); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func commitTo(ctx context.Context, b *Bucket, key string, body []byte) error {
	w, err := b.NewWriter(ctx, key)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(body); err != nil {
		return err
	}
	return w.Commit()
}
