package client

import (
	"bytes"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/millrace/millrace/cmd/millrace/app"
)

// What a few bytes ask for is not allocated: a window of zstd, and a request that never ends.
func TestInputsOfCommandsTakeBoundedMemory(t *testing.T) {
	var file bytes.Buffer
	z, err := zstd.NewWriter(&file, zstd.WithWindowSize(512<<20), zstd.WithSingleSegment(false))
	if err != nil {
		t.Fatal(err)
	}
	for range 64 {
		z.Write(make([]byte, 10<<20))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func() error{
		"a window of zstd": func() error {
			in, err := openEvents(&app.App{Stdin: bytes.NewReader(file.Bytes())}, "-")
			if err != nil {
				return err
			}
			defer in.Close()
			_, err = io.Copy(io.Discard, in)
			return err
		},
		"a request": func() error {
			_, err := readRequest(&app.App{Stdin: io.LimitReader(endless{}, 256<<20)}, "-")
			return err
		},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := read()
		runtime.ReadMemStats(&after)
		if took := (after.TotalAlloc - before.TotalAlloc) >> 20; err == nil || took > 64 {
			t.Errorf("%s: %d MiB were allocated, %v", name, took, err)
		}
	}
	small := &app.App{Stdin: strings.NewReader("\ufeff{}")}
	if text, err := readRequest(small, "-"); err != nil || string(text) != "{}" {
		t.Errorf("%q, %v", text, err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, strings.Repeat(" ", len(p))), nil }
