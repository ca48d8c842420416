package bucket

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
)

func TestOpenSaysWhatIsSupported(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "/a/folder", "folder", "file://relative/folder", "file:folder",
		"file:///a?region=x", "file:///a?mode=0755", "file:///a?mode=0400", "file:///a?mode=x", "file:///a?mode=0600&x=1",
		"http://x", "\x7f:", "mem://name", "mem:///", "mem:", "mem://?a=b", "s3://key:secret@host/%zz"} {
		b, err := Open(t.Context(), url)
		if err == nil {
			b.Close()
			t.Errorf("%q opened", url)
			continue
		}
		for _, part := range []string{"the URL of the object store", "file:///"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q: the error does not say %s: %v", url, part, err)
			}
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error tells a secret: %v", url, err)
		}
	}
}

func TestOpenSaysWhatIsWrongWithAnS3URL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ url, want string }{
		{"s3://", "must name a bucket"},
		{"s3:bucket", "must name a bucket"},
		{"s3:///bucket", "must name a bucket"},
		{"s3://127.0.0.1:9000/bucket", "endpoint="},
		{"s3://key:secret@bucket", "AWS_ACCESS_KEY_ID"},
		{"s3://bucket?region", "must give region= one value"},
		{"s3://bucket?regoin=x", `unknown parameter "regoin"; possible are region, endpoint`},
		{"s3://bucket?access_key=secret", `unknown parameter "access_key"`},
		{"s3://bucket?region=a&region=b", "region= one value"},
		{"s3://bucket?region=", "region= one value"},
		{"s3://bucket?region=a;b", "name=value&name=value"},
		{"s3://bucket#secret", "name=value&name=value"},
		{"s3://bucket/a//b?region=x", "prefix after the bucket's name that has an empty part"},
		{"s3://bucket/../b?region=x", "starts with a dot"},
		{"s3://bucket?use_path_style=yes", "use_path_style=true or use_path_style=false"},
		{"s3://bucket?disable_https=1&region=x", "without an endpoint="},
		{"s3://bucket?disable_https=1&endpoint=https://x", "drop one of them"},
		{"s3://bucket?endpoint=ftp://x", "endpoint= such as http://"},
		{"s3://bucket?endpoint=http://x/bucket", "without a path"},
		{"s3://bucket?endpoint=http://key:secret@x", "without credentials"},
		{"s3://bucket?endpoint=http://x&anonymous=perhaps", "anonymous=true or anonymous=false"},
		{"s3://bucket?endpoint=http://x&role=admin", "role"},
		{"s3://bucket?endpoint=http://x&timeout=1", "timeout= of at least a second"},
		{"s3://bucket?endpoint=http://x&timeout=10ms", "timeout= of at least a second"},
	} {
		b, err := Open(t.Context(), test.url)
		if err == nil {
			b.Close()
			t.Errorf("%s opened", test.url)
			continue
		}
		for _, part := range []string{"the object store", test.want} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: the error does not say %s: %v", test.url, part, err)
			}
		}
		if strings.Contains(err.Error(), "secret@") || strings.Contains(err.Error(), "=secret") {
			t.Errorf("%s: the error tells a secret: %v", test.url, err)
		}
	}
}

func TestS3URLsSayWhereTheStoreIs(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]s3Config{
		"s3://bucket?region=eu-west-1":      {bucket: "bucket"},
		"s3://bucket/a/b/?region=eu-west-1": {bucket: "bucket", prefix: "a/b/"},
		"s3://bucket/?endpoint=http://127.0.0.1:9000": {bucket: "bucket", endpoint: "http://127.0.0.1:9000",
			pathStyle: true},
		"s3://bucket?endpoint=store:9000&disable_https=true": {bucket: "bucket", endpoint: "http://store:9000",
			pathStyle: true},
		"s3://bucket?endpoint=store.example&use_path_style=false": {bucket: "bucket", endpoint: "https://store.example"},
		"s3://bucket?endpoint=https%3A%2F%2Fstore.example%2F&role=x": {bucket: "bucket", endpoint: "https://store.example/",
			pathStyle: true},
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := parseS3(u)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
		}
		got := s3Config{bucket: cfg.bucket, prefix: cfg.prefix, endpoint: cfg.endpoint, pathStyle: cfg.pathStyle}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", raw, got, want)
		}
		for name := range cfg.sdk {
			if name != "region" && name != "role" {
				t.Errorf("%s: %s is left for the SDK", raw, name)
			}
		}
	}
}

func TestProbeRefusesAStoreThatCreatesTwice(t *testing.T) {
	t.Parallel()
	folder, err := openFolder(filepath.Join(t.TempDir(), "b"), defaultMode)
	if err != nil {
		t.Fatal(err)
	}
	for name, broken := range map[string]store{"accepts both": forgetful{folder},
		"refuses and overwrites": overwriting{folder}} {
		b := &Bucket{broken}
		err := b.Probe(t.Context())
		if err == nil || !strings.Contains(err.Error(), "probe the object store") {
			t.Errorf("%s: %v", name, err)
		}
		expectKeys(t, b, "")
	}
}

func TestProbeRefusesAStoreWhereSeveralWritersWinARace(t *testing.T) {
	t.Parallel()
	folder, err := openFolder(filepath.Join(t.TempDir(), "b"), defaultMode)
	if err != nil {
		t.Fatal(err)
	}
	b := &Bucket{&racy{folder: folder, second: make(chan struct{})}}
	if err := b.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "writers created the same key at once") {
		t.Errorf("%v", err)
	}
	expectKeys(t, b, "")
}

// racy is a store that looks first whether a key exists, and creates it later: when another has looked too.
type racy struct {
	*folder
	mu     sync.Mutex
	looked int
	second chan struct{}
}

func (r *racy) create(ctx context.Context, key string, body []byte) error {
	_, _, err := r.open(ctx, key, 0, 0)
	if !errors.Is(err, ErrNotFound) {
		return ErrExists
	}
	r.mu.Lock()
	r.looked++
	if r.looked == 3 { // the first was alone
		close(r.second)
	}
	alone := r.looked == 1
	r.mu.Unlock()
	if !alone {
		<-r.second
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.delete(ctx, key); err != nil {
		return err
	}
	return r.folder.create(ctx, key, body)
}

// forgetful is a store that overwrites an existing key.
type forgetful struct{ *folder }

func (f forgetful) create(ctx context.Context, key string, body []byte) error {
	if err := f.delete(ctx, key); err != nil {
		return err
	}
	return f.folder.create(ctx, key, body)
}

// overwriting is a store that returns ErrExists and overwrites the object all the same.
type overwriting struct{ *folder }

func (o overwriting) create(ctx context.Context, key string, body []byte) error {
	err := o.folder.create(ctx, key, body)
	if err != nil {
		_ = forgetful(o).create(ctx, key, body)
	}
	return err
}
