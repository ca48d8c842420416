package formattest

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// Update is the flag -update of `make golden`.
var Update = flag.Bool("update", false, "write the golden files anew")

// NewRowFormatter returns the formatter of a target with a record for each row.
func NewRowFormatter(t testing.TB, purpose, target string, options map[string]any) format.RowFormatter {
	t.Helper()
	f, err := targets.New(purpose, target, options)
	if err != nil {
		t.Fatal(err)
	}
	return f.(format.RowFormatter)
}

// KeysOf returns the keys of a record, in order.
func KeysOf(t *testing.T, record []byte) (keys []string) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(record))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key.(string))
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

// Golden compares got with a file of testdata. With -update, it writes the file.
func Golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *Update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; make golden writes it", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s changed; make golden, and read the difference", path)
	}
}

// IDNamespace is the namespace of all UUIDs that Millrace derives.
var IDNamespace = uuid.MustParse("b0759858-e76b-5bf2-83cd-2b119a052fbf")
