package bucket

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func openTemp(t *testing.T) *Bucket {
	t.Helper()
	return openURL(t, fileURL(filepath.Join(t.TempDir(), "new", "bücket %")))
}

func fileURL(dir string) string { return (&url.URL{Scheme: "file", Path: dir}).String() }

func openURL(t *testing.T, url string) *Bucket {
	t.Helper()
	b, err := Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFileStore(t *testing.T) {
	t.Parallel()
	accept(t, openTemp)
}

func TestFileURLsArePaths(t *testing.T) {
	t.Parallel()
	b := openTemp(t)
	defer b.Close()
	if err := b.Create(t.Context(), "a b/ü?.txt", []byte("text")); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(b.URL("a b/ü?.txt"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(u.Path)
	if err != nil || string(body) != "text" {
		t.Errorf("%s: %q, %v", u, body, err)
	}
}

func TestFileKeysDoNotFollowLinksOutOfTheFolder(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	b := openURL(t, fileURL(dir))
	defer b.Close()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if body, err := b.Read(t.Context(), "link/secret"); err == nil {
		t.Errorf("read %q", body)
	}
	if err := b.Create(t.Context(), "link/new", nil); err == nil {
		t.Error("created outside of the folder")
	}
	if err := b.Delete(t.Context(), "link/secret"); err == nil {
		t.Error("deleted outside of the folder")
	}
	expectKeys(t, b, "")
}

func TestFileLeftByAKilledProcessIsNoObjectAndIsRemovedLater(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd, _, out := start(t, nil, "die", fileURL(dir))
	if !out.Scan() || out.Text() != "written" {
		t.Fatalf("%q", out.Text())
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()

	b := openURL(t, fileURL(dir))
	defer b.Close()
	expectKeys(t, b, "")
	left, err := os.ReadDir(filepath.Join(dir, incomplete))
	if err != nil || len(left) != 1 {
		t.Fatalf("%d incomplete files: %v", len(left), err)
	}
	w, err := b.NewWriter(t.Context(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-staleAfter - time.Minute)
	if err := os.Chtimes(filepath.Join(dir, incomplete, left[0].Name()), old, old); err != nil {
		t.Fatal(err)
	}
	second := openURL(t, fileURL(dir))
	defer second.Close()
	if _, err := os.Stat(filepath.Join(dir, incomplete, left[0].Name())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the dead writer's file: %v", err)
	}
	fmt.Fprint(w, "alive")
	if err := w.Commit(); err != nil {
		t.Errorf("the living writer: %v", err)
	}
	expectKeys(t, second, "", "a/b")
}

func TestFileSweptFromUnderItsWriterIsNotCommitted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := openURL(t, fileURL(dir))
	defer b.Close()
	w, err := b.NewWriter(t.Context(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(w, "text")
	b.store.(*folder).sweep(time.Now().Add(time.Hour))
	if err := w.Commit(); err == nil {
		t.Error("committed")
	}
	expectKeys(t, b, "")
}

func TestFilesAreForTheirUserAloneUnlessTheURLSaysOtherwise(t *testing.T) {
	t.Parallel()
	for query, want := range map[string][2]fs.FileMode{
		"":           {0o700, 0o600},
		"?mode=0640": {0o750, 0o640},
		"?mode=644":  {0o755, 0o644},
	} {
		dir := filepath.Join(t.TempDir(), "parent", "bucket")
		b, err := Open(t.Context(), "file://"+dir+query)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		if err := b.Create(t.Context(), "exports/acme/1/manifest.json", []byte("{}")); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "exports", "acme", "1", "manifest.json")
		for path := file; path != filepath.Dir(filepath.Dir(dir)); path = filepath.Dir(path) {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			mode := want[0]
			if path == file {
				mode = want[1]
			}
			if info.Mode().Perm() != mode {
				t.Errorf("%q: %s has mode %04o, want %04o", query, path, info.Mode().Perm(), mode)
			}
		}
	}
}
