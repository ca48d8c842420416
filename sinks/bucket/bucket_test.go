package bucket

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpenNamesTheVariableAndWhatIsSupported(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "/a/folder", "folder", "s3://bucket", "mem://", "file://relative/folder", "file:folder", "file:///a?region=x", "http://x", "\x7f:", "s3://key:secret@host/%zz"} {
		b, err := Open(t.Context(), url)
		if err == nil {
			b.Close()
			t.Errorf("%q opened", url)
			continue
		}
		for _, part := range []string{"MILLRACE_BUCKET_URL", "file:///"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q: the error does not say %s: %v", url, part, err)
			}
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error tells a secret: %v", url, err)
		}
	}
}

func TestProbeRefusesAStoreThatCreatesTwice(t *testing.T) {
	t.Parallel()
	folder, err := openFolder(filepath.Join(t.TempDir(), "b"))
	if err != nil {
		t.Fatal(err)
	}
	for name, broken := range map[string]store{"accepts both": forgetful{folder}, "refuses and overwrites": overwriting{folder}} {
		b := &Bucket{broken}
		err := b.Probe(t.Context())
		if err == nil || !strings.Contains(err.Error(), "MILLRACE_BUCKET_URL") {
			t.Errorf("%s: %v", name, err)
		}
		expectKeys(t, b, "")
	}
}

// forgetful is a store that ignores that a key exists.
type forgetful struct{ *folder }

func (f forgetful) create(ctx context.Context, key string, body []byte) error {
	if err := f.delete(ctx, key); err != nil {
		return err
	}
	return f.folder.create(ctx, key, body)
}

// overwriting is a store that says so and writes nevertheless.
type overwriting struct{ *folder }

func (o overwriting) create(ctx context.Context, key string, body []byte) error {
	err := o.folder.create(ctx, key, body)
	if err != nil {
		_ = forgetful(o).create(ctx, key, body)
	}
	return err
}
