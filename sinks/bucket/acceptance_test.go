package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// accept runs the tests that every store must pass. open returns an empty store.
func accept(t *testing.T, open func(t *testing.T) *Bucket) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, b *Bucket)
	}{
		{"what is created is read back", readBack},
		{"a key is created once", createOnce},
		{"the key of a large object is created once", createLargeOnce},
		{"one of several writers wins", oneWins},
		{"nothing is visible before commit", invisible},
		{"abort leaves nothing", aborted},
		{"a failed context fails the write", cancelled},
		{"objects are listed by prefix in order", listed},
		{"more than a page of objects is listed", listedPages},
		{"ranges are read", ranges},
		{"anybody can read a signed URL", signed},
		{"deleting is repeatable", deleted},
		{"hostile keys are refused", hostile},
		{"an object stands where a folder would", nestedUnderObject},
		{"sync fails if an object is missing", synced},
		{"the probe passes and leaves nothing", probed},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			t.Cleanup(func() {
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
			test.run(t, b)
		})
	}
}

func readBack(t *testing.T, b *Bucket) {
	large := noise(2*partSize + 7)
	for key, body := range map[string][]byte{
		"empty": {}, "small.json": []byte(`{}`), "exports/acme/e~1:2/data/train-00000-00000-a.jsonl": []byte("a\nb\n"),
		"spaces and ümlauts/漢字 % ? # +.txt": []byte("text"), "a../b": []byte("dots"),
		"a__0x2f__b": []byte("an escape of gocloud's"),
		"deep/" + strings.Repeat("d/", 100) + "x":                               []byte("deep"),
		strings.Repeat("k", maxSegment) + "/" + strings.Repeat("k", maxSegment): []byte("long"), "large": large,
		"a part": large[:partSize], "a part and a byte": large[:partSize+1], "two parts": large[:2*partSize],
	} {
		if err := b.Create(t.Context(), "created/"+key, body); err != nil {
			t.Fatalf("create %.50s: %v", key, err)
		}
		w, err := b.NewWriter(t.Context(), "streamed/"+key)
		if err != nil {
			t.Fatal(err)
		}
		for piece := range slices.Chunk(body, 1<<20-1) {
			if n, err := w.Write(piece); n != len(piece) || err != nil {
				t.Fatalf("write %.50s: %d, %v", key, n, err)
			}
		}
		if err := w.Commit(); err != nil {
			t.Fatalf("commit %.50s: %v", key, err)
		}
		if err := b.Sync(t.Context(), []string{"streamed/" + key}); err != nil {
			t.Fatalf("sync %.50s: %v", key, err)
		}
		for _, key := range []string{"created/" + key, "streamed/" + key} {
			if got := mustRead(t, b, key); !bytes.Equal(got, body) {
				t.Errorf("%.50s: %d bytes read back, not the %d written", key, len(got), len(body))
			}
			r, size, err := b.NewReader(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || size != int64(len(body)) || !bytes.Equal(got, body) {
				t.Errorf("%.50s: size %d, %d bytes streamed, %v", key, size, len(got), err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	for _, key := range []string{"missing", "created", "created/missing", "created/empty/below"} {
		if _, err := b.Read(t.Context(), key); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), key) {
			t.Errorf("read %s: %v", key, err)
		}
	}
}

func createOnce(t *testing.T, b *Bucket) {
	if err := b.Create(t.Context(), "a/b", []byte("first")); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"second", "first", ""} {
		if err := b.Create(t.Context(), "a/b", []byte(body)); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(),
			"a/b") {
			t.Errorf("created again with %q: %v", body, err)
		}
		w, err := b.NewWriter(t.Context(), "a/b")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, body)
		if err := w.Commit(); !errors.Is(err, ErrExists) {
			t.Errorf("committed again with %q: %v", body, err)
		}
		if err := w.Commit(); err == nil {
			t.Error("committed after that")
		}
		w.Abort()
	}
	if got := mustRead(t, b, "a/b"); string(got) != "first" {
		t.Errorf("the object is %q", got)
	}
	expectKeys(t, b, "", "a/b")
}

func oneWins(t *testing.T, b *Bucket) {
	const writers, keys = 8, 50
	var mu sync.Mutex
	winners := map[string][]string{}
	var group sync.WaitGroup
	for writer := range writers {
		group.Go(func() {
			for i := range keys {
				key, body := fmt.Sprintf("race/%d/%d", i%7, i), fmt.Sprintf("writer %d", writer)
				err := b.Create(t.Context(), key, []byte(body))
				if err != nil && !errors.Is(err, ErrExists) {
					t.Error(err)
				}
				if err == nil {
					mu.Lock()
					winners[key] = append(winners[key], body)
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	if len(winners) != keys {
		t.Errorf("%d keys created, want %d", len(winners), keys)
	}
	for key, won := range winners {
		if got := string(mustRead(t, b, key)); len(won) != 1 || won[0] != got {
			t.Errorf("%s: won by %q, holds %q", key, won, got)
		}
	}
}

func invisible(t *testing.T, b *Bucket) {
	w, err := b.NewWriter(t.Context(), "folder/object")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Read(t.Context(), "folder/object"); !errors.Is(err, ErrNotFound) {
		t.Errorf("read before commit: %v", err)
	}
	expectKeys(t, b, "")
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	expectKeys(t, b, "", "folder/object")
	if _, err := w.Write([]byte("more")); err == nil {
		t.Error("wrote after commit")
	}
	w.Abort()
	if got := mustRead(t, b, "folder/object"); len(got) != 1<<20 {
		t.Errorf("%d bytes", len(got))
	}
}

func aborted(t *testing.T, b *Bucket) {
	w, err := b.NewWriter(t.Context(), "folder/object")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(w, "text")
	w.Abort()
	w.Abort()
	if err := w.Commit(); err == nil {
		t.Error("committed after abort")
	}
	if _, err := w.Write([]byte("more")); err == nil {
		t.Error("wrote after abort")
	}
	expectKeys(t, b, "")
	if err := b.Create(t.Context(), "folder/object", []byte("other")); err != nil {
		t.Errorf("the key of an aborted object: %v", err)
	}
}

func cancelled(t *testing.T, b *Bucket) {
	ctx, cancel := context.WithCancel(t.Context())
	w, err := b.NewWriter(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	w.Write([]byte("text"))
	if err := w.Commit(); !errors.Is(err, context.Canceled) {
		t.Errorf("commit: %v", err)
	}
	if err := b.Create(ctx, "b", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("create: %v", err)
	}
	expectKeys(t, b, "")
}

func listed(t *testing.T, b *Bucket) {
	before := time.Now().Add(-2 * time.Second) // some file systems store whole seconds
	keys := []string{"a", "a../b", "a__0x2f__b/c", "a-b/c", "a.b", "a/b", "a/b-c", "a/c/d", "ab/c", "b/windows/00000.json",
		"b/windows/00001.json", "b/windows~/1"}
	shuffled := slices.Clone(keys)
	shuffled[0] = "a0" // a file system cannot have both objects, a and a/b
	keys[0] = "a0"
	rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	for _, key := range shuffled {
		if err := b.Create(t.Context(), key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(keys)
	for _, prefix := range []string{"", "a", "a/", "a/b", "a/c", "a/c/", "a/c/d", "a/c/d/", "a..", "a../", "a__0x2f__b/",
		"b/win", "b/windows/", "b/windows/00001.json", "c", "missing/"} {
		var want []string
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) {
				want = append(want, key)
			}
		}
		expectKeys(t, b, prefix, want...)
	}
	objects, err := b.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if o.Size != int64(len(o.Key)) || o.ModTime.Before(before) || o.ModTime.After(time.Now().Add(2*time.Second)) {
			t.Errorf("%+v", o)
		}
		if url := b.URL(o.Key); !strings.Contains(url, "://") || !strings.HasSuffix(url, o.Key) {
			t.Errorf("URL of %s: %s", o.Key, url)
		}
	}
	for _, prefix := range []string{"../", "a/../", "/", "a//", ".incomplete/"} {
		if objects, err := b.List(t.Context(), prefix); err == nil {
			t.Errorf("listed %q: %v", prefix, objects)
		}
	}
}

func deleted(t *testing.T, b *Bucket) {
	for _, key := range []string{"a/b", "a/c"} {
		if err := b.Create(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"a/b", "a/b", "a", "missing", "missing/x", "a/c/x"} {
		if err := b.Delete(t.Context(), key); err != nil {
			t.Errorf("delete %s: %v", key, err)
		}
	}
	expectKeys(t, b, "", "a/c")
	if err := b.Create(t.Context(), "a/b", nil); err != nil {
		t.Errorf("create again what was deleted: %v", err)
	}
}

func hostile(t *testing.T, b *Bucket) {
	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/..", "./a", "a/./b", ".incomplete/x", "a/.hidden",
		"a\\..\\b", `C:\a`,
		"nul\x00", "line\nfeed", "tab\t", "del\x7f", "esc\x1b[2J", "bad\xff", strings.Repeat("x/", 512) + "x",
		strings.Repeat("y", maxSegment+1),
	} {
		if err := b.Create(t.Context(), key, []byte("x")); err == nil {
			t.Errorf("created %.60q", key)
		} else if strings.ContainsAny(err.Error(), "\x00\n\x1b") || len(err.Error()) > 500 {
			t.Errorf("the error repeats the key as it is: %q", err)
		}
		if w, err := b.NewWriter(t.Context(), key); err == nil {
			w.Abort()
			t.Errorf("a writer for %.60q", key)
		}
		if _, err := b.Read(t.Context(), key); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("read %.60q: %v", key, err)
		}
		if err := b.Delete(t.Context(), key); err == nil {
			t.Errorf("deleted %.60q", key)
		}
		if err := b.Sync(t.Context(), []string{key}); err == nil {
			t.Errorf("synced %.60q", key)
		}
	}
	expectKeys(t, b, "")
}

// nestedUnderObject creates an object below another one. It may succeed, as on S3, or fail, as on a
// file system. The other object stays unchanged.
func nestedUnderObject(t *testing.T, b *Bucket) {
	if err := b.Create(t.Context(), "a", []byte("object")); err != nil {
		t.Fatal(err)
	}
	if err := b.Create(t.Context(), "a/b", []byte("nested")); errors.Is(err, ErrExists) {
		t.Errorf("a/b: %v", err)
	}
	if got := mustRead(t, b, "a"); string(got) != "object" {
		t.Errorf("a is %q", got)
	}
}

func synced(t *testing.T, b *Bucket) {
	var keys []string
	for i := range 40 {
		key := fmt.Sprintf("x/%d/data/%d", i%3, i)
		w, err := b.NewWriter(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, i)
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	if err := b.Sync(t.Context(), keys); err != nil {
		t.Error(err)
	}
	if err := b.Sync(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if err := b.Sync(t.Context(), append(keys, "x/missing")); !errors.Is(err, ErrNotFound) {
		t.Errorf("a missing object: %v", err)
	}
}

func probed(t *testing.T, b *Bucket) {
	for range 2 {
		if err := b.Probe(t.Context()); err != nil {
			t.Error(err)
		}
		if err := b.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	expectKeys(t, b, "")
}

func mustRead(t *testing.T, b *Bucket, key string) []byte {
	t.Helper()
	body, err := b.Read(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func expectKeys(t *testing.T, b *Bucket, prefix string, want ...string) {
	t.Helper()
	objects, err := b.List(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range objects {
		got = append(got, o.Key)
	}
	if !slices.Equal(got, want) {
		t.Errorf("prefix %q lists %q, want %q", prefix, got, want)
	}
}
