package files

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/sinks/bucket"
)

func TestAnExportThatNobodyTouchedVerifies(t *testing.T) {
	t.Parallel()
	every(t, func(t *testing.T, format, compression string) {
		d := writeExport(t, openBucket(t, "mem"), format, compression, part{"train", 25}, part{"test", 3})
		report, err := d.Verify(t.Context(), nil)
		if err != nil || len(report.Problems) > 0 || report.Records != 28 || report.Objects != 5 || report.ID != exportID {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

// rewrite changes manifest.json.
func rewrite(t *testing.T, b *bucket.Bucket, change func(*export.Manifest)) {
	t.Helper()
	var m export.Manifest
	key := exportID.Prefix() + export.ManifestName
	if err := json.Unmarshal(read(t, b, key), &m); err != nil {
		t.Fatal(err)
	}
	change(&m)
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	put(t, b, key, text)
}

func TestVerifyNamesEveryObjectThatIsNotAsTheManifestSays(t *testing.T) {
	t.Parallel()
	const first, second = "data/train-00000-00000-abc.jsonl", "data/train-00000-00001-abc.jsonl"
	edit := func(key string, change func([]byte) []byte) func(*testing.T, *bucket.Bucket) {
		return func(t *testing.T, b *bucket.Bucket) {
			key := exportID.Prefix() + key
			put(t, b, key, change(bytes.Clone(read(t, b, key))))
		}
	}
	remove := func(key string) func(*testing.T, *bucket.Bucket) {
		return func(t *testing.T, b *bucket.Bucket) {
			if err := b.Delete(t.Context(), exportID.Prefix()+key); err != nil {
				t.Fatal(err)
			}
		}
	}
	manifest := func(change func(*export.Manifest)) func(*testing.T, *bucket.Bucket) {
		return func(t *testing.T, b *bucket.Bucket) { rewrite(t, b, change) }
	}
	flip := func(body []byte) []byte { body[bytes.IndexByte(body, '0')]++; return body }
	type problem struct{ key, code string }
	for name, c := range map[string]struct {
		spoil func(*testing.T, *bucket.Bucket)
		want  []problem
	}{
		"one byte changed":     {edit(first, flip), []problem{{first, WrongHash}}},
		"one byte of the card": {edit(export.CardName, flip), []problem{{export.CardName, WrongHash}}},
		"cut inside of a record": {edit(second, func(b []byte) []byte { return b[:len(b)-5] }),
			[]problem{{second, WrongSize}, {second, WrongHash}, {second, Unreadable}}},
		"cut between records": {edit(second, func(b []byte) []byte { return b[:bytes.IndexByte(b, '\n')+1] }),
			[]problem{{second, WrongSize}, {second, WrongHash}, {second, WrongRecords}}},
		"a record more": {edit(first, func(b []byte) []byte { return append(b, "{}\n"...) }),
			[]problem{{first, WrongSize}, {first, WrongHash}, {first, WrongRecords}}},
		"emptied": {edit(first, func([]byte) []byte { return nil }),
			[]problem{{first, WrongSize}, {first, WrongHash}, {first, WrongRecords}}},
		"removed": {remove(second), []problem{{second, Missing}}},
		"two objects at once": {func(t *testing.T, b *bucket.Bucket) { remove(second)(t, b); edit(first, flip)(t, b) },
			[]problem{{first, WrongHash}, {second, Missing}}},
		"a count in the manifest": {manifest(func(m *export.Manifest) { m.Files[0].Records-- }),
			[]problem{{export.ManifestName, WrongTotals}, {first, WrongRecords}}},
		"a total in the manifest": {manifest(func(m *export.Manifest) { m.Totals.Files++ }),
			[]problem{{export.ManifestName, WrongTotals}}},
		"a file left out of it": {manifest(func(m *export.Manifest) { m.Files = m.Files[1:] }),
			slices.Repeat([]problem{{export.ManifestName, WrongTotals}}, 3)},
		// and its bytes
		"a file listed twice": {manifest(func(m *export.Manifest) { m.Files[1] = m.Files[0] }),
			slices.Repeat([]problem{{export.ManifestName, WrongTotals}}, 2)},
		"a key that is no key": {manifest(func(m *export.Manifest) { m.Files[0].Key = "../x" }),
			[]problem{{"../x", Unreadable}}},
		"an object nobody listed": {func(t *testing.T, b *bucket.Bucket) { put(t, b, exportID.Prefix()+"data/zombie", nil) },
			nil},
		"nothing": {func(*testing.T, *bucket.Bucket) {}, nil},
		"the hash in the manifest": {manifest(func(m *export.Manifest) { m.Files[1].SHA256 = "" }),
			[]problem{{second, WrongHash}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := openBucket(t, "mem")
			writeExport(t, b, export.JSONL, export.NoCompression, part{"train", 20})
			c.spoil(t, b)
			report, err := open(t, b).Verify(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []problem
			for _, p := range report.Problems {
				got = append(got, problem{p.Key, p.Code})
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("problems %v, want %v", report.Problems, c.want)
			}
		})
	}
}

func TestVerifyEndsWhereTheExportIsDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	b := openBucket(t, "mem")
	d := writeExport(t, b, export.JSONL, export.NoCompression, part{"train", 20})
	if err := open(t, b).Delete(t.Context(), "another"); err != nil {
		t.Fatal(err)
	}
	if report, err := d.Verify(t.Context(), nil); !errors.Is(err, ErrDeleted) {
		t.Errorf("%+v, %v", report, err)
	}
	if _, err := d.Download(t.Context(), t.TempDir(), DownloadOptions{}); !errors.Is(err, ErrDeleted) {
		t.Errorf("%v", err)
	}
	for _, err := range d.Records(t.Context()) {
		if !errors.Is(err, ErrDeleted) {
			t.Errorf("%v", err)
		}
	}
}

// An object that is larger than the cached part is read correctly at every offset and in every
// order.
func TestAnObjectIsReadInAnyOrder(t *testing.T) {
	t.Parallel()
	b := openBucket(t, "file")
	body := make([]byte, blockSize*(blocksKept+3)+17)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(body)
	put(t, b, exportID.Prefix()+"data/x", body)
	o := &object{ctx: t.Context(), d: &Dataset{}, file: export.File{Key: "data/x", Bytes: int64(len(body))}}
	o.d.folder.Bucket, o.d.folder.ID = b, exportID
	dice := rand.New(r)
	for range 300 {
		offset := dice.IntN(len(body) + 10)
		p := make([]byte, dice.IntN(3*blockSize))
		n, err := o.ReadAt(p, int64(offset))
		want := body[min(offset, len(body)):min(offset+len(p), len(body))]
		if !bytes.Equal(p[:n], want) || (err != nil) != (n < len(p)) {
			t.Fatalf("%d bytes at %d: %d bytes, %v", len(p), offset, n, err)
		}
		if len(o.blocks) > blocksKept {
			t.Fatalf("%d blocks are kept", len(o.blocks))
		}
	}
}
