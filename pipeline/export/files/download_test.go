package files

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/sinks/fragment"
)

// tree lists the files under a folder.
func tree(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(dir, path)
			names = append(names, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func readFile(t *testing.T, path ...string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// onlyStream decompresses a file that must be one stream, since there are readers that stop after
// the first.
func onlyStream(t *testing.T, compression string, body []byte) []byte {
	t.Helper()
	switch compression {
	case export.Gzip:
		src := bytes.NewReader(body)
		z, err := gzip.NewReader(src)
		if err != nil {
			t.Fatal(err)
		}
		z.Multistream(false)
		plain, err := io.ReadAll(z)
		if err != nil || src.Len() > 0 {
			t.Errorf("%d bytes after the first gzip member, %v", src.Len(), err)
		}
		return plain
	case export.Zstd:
		if n := bytes.Count(body, []byte{0x28, 0xb5, 0x2f, 0xfd}); n != 1 {
			t.Errorf("%d zstd frames", n)
		}
		d, err := zstd.NewReader(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		plain, err := d.DecodeAll(body, nil)
		if err != nil {
			t.Fatal(err)
		}
		return plain
	}
	return body
}

func TestFragmentsOfJSONLAndCSVBecomeOneFileASplit(t *testing.T) {
	t.Parallel()
	every(t, func(t *testing.T, format, compression string) {
		if format != export.JSONL && format != export.CSV {
			return
		}
		d := writeExport(t, openBucket(t, "mem"), format, compression, part{"train", 25}, part{"validation", 10})
		dir := filepath.Join(t.TempDir(), "new", "folder")
		files, err := d.Download(t.Context(), dir, DownloadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, extension, _ := strings.Cut(d.Manifest.Files[0].Key, ".")
		want := []string{"__meta__/README.md", "__meta__/manifest.json", "train." + extension, "validation." + extension}
		if got := tree(t, dir); !reflect.DeepEqual(got, want) {
			t.Errorf("downloaded %v, want %v", got, want)
		}
		if files[0].Path != filepath.Join(dir, want[2]) || files[0].Records != 25 || files[1].Records != 10 ||
			files[0].Kind != export.Data {
			t.Errorf("said to be %+v", files)
		}
		next := 0
		for _, name := range want[2:] {
			body := readFile(t, dir, name)
			for _, record := range recordsOf(t, format, onlyStream(t, compression, body)) {
				if w := wanted(t, format, next); !reflect.DeepEqual(record, w) {
					t.Errorf("record %d is %v, want %v", next, record, w)
				}
				next++
			}
		}
		if next != 35 {
			t.Errorf("%d records, want 35", next)
		}
	})
}

// recordsOf reads a plain file with a reader that is not Millrace's.
func recordsOf(t *testing.T, format string, body []byte) (records []map[string]any) {
	t.Helper()
	if format == export.JSONL {
		for line := range bytes.Lines(body) {
			records = append(records, value(t, line))
		}
		return records
	}
	rows, err := csv.NewReader(bytes.NewReader(body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows[1:] {
		record := map[string]any{}
		for i, cell := range row {
			record[rows[0][i]] = cell
		}
		records = append(records, record)
	}
	return records
}

func TestFragmentsStayAsInTheBucketWhereTheyAreDocumentsOrAreAskedFor(t *testing.T) {
	t.Parallel()
	every(t, func(t *testing.T, format, compression string) {
		b := openBucket(t, "mem")
		d := writeExport(t, b, format, compression, part{"train", 25})
		dir := t.TempDir()
		asked := format == export.JSONL || format == export.CSV
		if _, err := d.Download(t.Context(), dir, DownloadOptions{Fragments: asked}); err != nil {
			t.Fatal(err)
		}
		want := []string{export.CardName, export.ManifestName}
		for _, f := range d.data() {
			want = append(want, f.Key)
		}
		slices.Sort(want)
		if got := tree(t, dir); !reflect.DeepEqual(got, want) {
			t.Errorf("downloaded %v, want %v", got, want)
		}
		for _, name := range want {
			if !bytes.Equal(readFile(t, dir, name), read(t, b, exportID.Prefix()+name)) {
				t.Errorf("%s is not the bucket's", name)
			}
		}
	})
}

func TestADownloadNeverReplacesAnotherFileUnlessForced(t *testing.T) {
	t.Parallel()
	d := writeExport(t, openBucket(t, "mem"), export.JSONL, export.NoCompression, part{"train", 25}, part{"validation", 5})
	dir := t.TempDir()
	other := []byte("my own work\n")
	if err := os.WriteFile(filepath.Join(dir, "validation.jsonl"), other, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Download(t.Context(), dir, DownloadOptions{}); !errors.Is(err, ErrExists) ||
		!strings.Contains(err.Error(), "validation.jsonl") {
		t.Errorf("over another file: %v", err)
	}
	if got := tree(t, dir); !reflect.DeepEqual(got, []string{"validation.jsonl"}) || !bytes.Equal(readFile(t, dir, got[0]),
		other) {
		t.Errorf("left are %v", got)
	}
	if _, err := d.Download(t.Context(), dir, DownloadOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	before := stamp(t, dir)
	if _, err := d.Download(t.Context(), dir, DownloadOptions{}); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if after := stamp(t, dir); len(before) != 4 || !reflect.DeepEqual(after, before) {
		t.Errorf("the same again changed %v to %v", before, after)
	}
	if lines := bytes.Count(readFile(t, dir, "validation.jsonl"), []byte("\n")); lines != 5 {
		t.Errorf("%d lines, want 5", lines)
	}
}

// stamp tells whether files were written.
func stamp(t *testing.T, dir string) map[string]time.Time {
	t.Helper()
	times := map[string]time.Time{}
	for _, name := range tree(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		times[name] = info.ModTime()
	}
	return times
}

func TestADownloadThatEndsEarlyLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(d *Dataset, body []byte) []byte // of the second fragment
		says    string
	}{
		"a byte changed": {func(_ *Dataset, b []byte) []byte { b[7] ^= 1; return b },
			"data/train-00000-00001-abc.jsonl has the SHA-256"},
		"cut short": {func(_ *Dataset, b []byte) []byte { return b[:9] },
			"data/train-00000-00001-abc.jsonl has 9 bytes instead of"},
		"removed": {func(*Dataset, []byte) []byte { return nil }, "data/train-00000-00001-abc.jsonl"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := openBucket(t, "mem")
			d := writeExport(t, b, export.JSONL, export.NoCompression, part{"train", 25})
			key := exportID.Prefix() + d.Manifest.Files[1].Key
			body := c.prepare(d, bytes.Clone(read(t, b, key)))
			if err := b.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			if body != nil {
				put(t, b, key, body)
			}
			dir := t.TempDir()
			if _, err := d.Download(t.Context(), dir, DownloadOptions{}); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
			if left := tree(t, dir); left != nil {
				t.Errorf("left are %v", left)
			}
		})
	}
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		d := writeExport(t, openBucket(t, "mem"), export.JSONL, export.NoCompression, part{"train", 25})
		ctx, cancel := context.WithCancel(t.Context())
		dir := t.TempDir()
		_, err := d.Download(ctx, dir, DownloadOptions{Progress: func(int64) { cancel() }})
		if left := tree(t, dir); !errors.Is(err, context.Canceled) || left != nil {
			t.Errorf("left are %v, %v", left, err)
		}
	})
}

func TestAManifestThatSomebodyChangedLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*export.Manifest){
		"a key above":   func(m *export.Manifest) { m.Files[0].Key = "../../evil.jsonl" },
		"a hidden key":  func(m *export.Manifest) { m.Files[2].Key = ".bashrc" },
		"a split above": func(m *export.Manifest) { m.Files[0].Split = "../evil" },
		"no split":      func(m *export.Manifest) { m.Files[0].Split = "" },
		"a root":        func(m *export.Manifest) { m.Files[0].Split = "/evil" },
	} {
		for _, fragments := range []bool{false, true} {
			b := openBucket(t, "mem")
			writeExport(t, b, export.JSONL, export.NoCompression, part{"train", 20})
			rewrite(t, b, change)
			dir := t.TempDir()
			_, err := open(t, b).Download(t.Context(), filepath.Join(dir, "in"), DownloadOptions{Fragments: fragments})
			for _, left := range tree(t, dir) {
				if !strings.HasPrefix(left, "in/data/") && left != "in/README.md" && left != "in/manifest.json" {
					t.Errorf("%s: wrote %s", name, left)
				}
			}
			if err == nil && !fragments {
				t.Errorf("%s: not refused", name)
			}
		}
	}
}

func TestJoiningTakesWhatAFileHasOnceFromTheFirstFragment(t *testing.T) {
	t.Parallel()
	const mark = "\ufeff"
	for _, c := range []struct {
		name, format string
		parts        []string
		want         string // "" = refused
	}{
		{"a byte order mark of JSONL", export.JSONL, []string{mark + "{}\n", mark + "{}\n"}, mark + "{}\n{}\n"},
		{"a byte order mark of CSV", export.CSV, []string{mark + "a,b\r\n1,2\r\n", mark + "a,b\r\n3,4\r\n"},
			mark + "a,b\r\n1,2\r\n3,4\r\n"},
		{"a header with a line break in a name", export.CSV, []string{"\"a\r\n\"\"x\"\"\",b\r\n1,2\r\n",
			"\"a\r\n\"\"x\"\"\",b\r\n3,4\r\n"}, "\"a\r\n\"\"x\"\"\",b\r\n1,2\r\n3,4\r\n"},
		{"a header and nothing else", export.CSV, []string{"a,b\r\n", "a,b\r\n1,2\r\n"}, "a,b\r\n1,2\r\n"},
		{"a line that equals the header", export.CSV, []string{"a\r\na\r\n", "a\r\na\r\n"}, "a\r\na\r\na\r\n"},
		{"other columns", export.CSV, []string{"a,b\r\n1,2\r\n", "b,a\r\n3,4\r\n"}, ""},
		{"a header without an end", export.CSV, []string{"\"" + strings.Repeat("x", maxHeader)}, ""},
	} {
		for _, compression := range []string{export.NoCompression, export.Gzip, export.Zstd} {
			var out bytes.Buffer
			j, err := newJoiner(&out, c.format, compression)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range c.parts {
				path := filepath.Join(t.TempDir(), "part")
				if writeErr := os.WriteFile(path, compressed(t, compression, p), 0o600); writeErr != nil {
					t.Fatal(writeErr)
				}
				if err = j.add(path); err != nil {
					break
				}
			}
			if (err != nil) != (c.want == "") {
				t.Errorf("%s, %s: %v", c.name, compression, err)
			}
			if err != nil {
				continue
			}
			if err := j.close(); err != nil {
				t.Fatal(err)
			}
			if got := string(onlyStream(t, compression, out.Bytes())); got != c.want {
				t.Errorf("%s, %s: %q, want %q", c.name, compression, got, c.want)
			}
		}
	}
}

func compressed(t *testing.T, compression, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser = nopCloser{&out}
	switch compression {
	case export.Gzip:
		w = gzip.NewWriter(&out)
	case export.Zstd:
		var err error
		if w, err = zstd.NewWriter(&out); err != nil {
			t.Fatal(err)
		}
	}
	_, err := io.WriteString(w, text)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Millrace can read the joined file too.
func TestAJoinedFileIsAFragmentOfItsOwn(t *testing.T) {
	t.Parallel()
	every(t, func(t *testing.T, format, compression string) {
		if format != export.JSONL && format != export.CSV {
			return
		}
		d := writeExport(t, openBucket(t, "mem"), format, compression, part{"train", 25})
		files, err := d.Download(t.Context(), t.TempDir(), DownloadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		body := readFile(t, files[0].Path)
		if n, err := fragment.Count(format, compression, bytes.NewReader(body), int64(len(body))); n != 25 || err != nil {
			t.Errorf("%d records, %v", n, err)
		}
	})
}
