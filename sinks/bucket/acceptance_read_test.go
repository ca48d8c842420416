package bucket

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// noise returns bytes that no compression makes smaller.
func noise(size int) []byte {
	body := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(body)
	return body
}

func createLargeOnce(t *testing.T, b *Bucket) {
	body := noise(partSize + 1)
	var writers []*Writer
	for i := range 3 {
		w, err := b.NewWriter(t.Context(), "a/large")
		if err != nil {
			t.Fatal(err)
		}
		defer w.Abort()
		body[0] = byte(i)
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
		writers = append(writers, w)
	}
	expectKeys(t, b, "")
	if err := writers[1].Commit(); err != nil {
		t.Fatal(err)
	}
	if err := writers[0].Commit(); !errors.Is(err, ErrExists) {
		t.Errorf("the second commit: %v", err)
	}
	writers[2].Abort()
	if err := b.Create(t.Context(), "a/large", body); !errors.Is(err, ErrExists) {
		t.Errorf("created again: %v", err)
	}
	body[0] = 1
	if got := mustRead(t, b, "a/large"); !bytes.Equal(got, body) {
		t.Errorf("the object is not the winner's: %d bytes, the first %d", len(got), got[0])
	}
}

func listedPages(t *testing.T, b *Bucket) {
	const objects = 1100 // a page of S3 has 1,000
	var group errgroup.Group
	group.SetLimit(16)
	for i := range objects {
		group.Go(func() error { return b.Create(t.Context(), fmt.Sprintf("windows/%05d.json", i), []byte("{}")) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range objects {
		want = append(want, fmt.Sprintf("windows/%05d.json", i))
	}
	expectKeys(t, b, "windows/", want...)
}

func ranges(t *testing.T, b *Bucket) {
	large := string(noise(partSize + 100))
	for key, body := range map[string]string{"empty": "", "digits": "0123456789", "large": large,
		"a../b__0x2f__c": "0123"} {
		w, err := b.NewWriter(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, body)
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		size := int64(len(body))
		for _, test := range []struct{ offset, length int64 }{
			{0, -1}, {0, 0}, {0, 1}, {0, size}, {0, size + 5}, {1, 3}, {3, -1}, {size - 4, 4}, {size - 4, 9}, {size, -1},
			{size, 0}, {size, 1}, {size + 7, 3}, {size + 7, -1},
		} {
			if test.offset < 0 {
				continue
			}
			from := min(test.offset, size)
			to := size
			if test.length >= 0 {
				to = min(from+test.length, size)
			}
			r, total, err := b.NewRangeReader(t.Context(), key, test.offset, test.length)
			if err != nil {
				t.Errorf("%s %+v: %v", key, test, err)
				continue
			}
			got, err := io.ReadAll(r)
			if err != nil || total != size || string(got) != body[from:to] {
				t.Errorf("%s %+v: %d bytes, want %d; size %d, want %d; %v", key, test, len(got), to-from, total, size, err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	for _, length := range []int64{-1, 0, 1} {
		if _, _, err := b.NewRangeReader(t.Context(), "missing", 0, length); !errors.Is(err, ErrNotFound) {
			t.Errorf("%d bytes of a missing object: %v", length, err)
		}
	}
	if _, _, err := b.NewRangeReader(t.Context(), "digits", -1, 1); err == nil {
		t.Error("read from -1")
	}
}

func signed(t *testing.T, b *Bucket) {
	key, body := "exports/a../x__0x2f__y/data 漢+%.jsonl", []byte("line\n")
	if err := b.Create(t.Context(), key, body); err != nil {
		t.Fatal(err)
	}
	for _, expiry := range []time.Duration{-1, 0, 8 * 24 * time.Hour} {
		if url, err := b.SignedURL(t.Context(), key, expiry); err == nil {
			t.Errorf("signed for %s: %s", expiry, url)
		}
	}
	url, err := b.SignedURL(t.Context(), key, time.Minute)
	if !strings.HasPrefix(b.URL(key), "s3:") {
		if !errors.Is(err, ErrNotSupported) {
			t.Errorf("%s: %v", b.URL(key), err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if got, status := get(t, url); !bytes.Equal(got, body) {
		t.Errorf("%s: %s %q", url, status, got)
	}
	forged := strings.Replace(url, "X-Amz-Expires=60", "X-Amz-Expires=6000", 1)
	if got, status := get(t, forged); status != "403 Forbidden" {
		t.Errorf("%s: %s %q", forged, status, got)
	}
}

func get(t *testing.T, url string) (body []byte, status string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body, resp.Status
}
