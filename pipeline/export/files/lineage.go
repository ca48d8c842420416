package files

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/millrace/millrace/pipeline/export"
)

// place is where the lines of a fragment are in the file that it was joined into.
type place struct {
	file  string
	after int64 // lines before its first
}

// relocations are the places of all fragments that get another name or other line numbers.
func relocations(targets []target) map[string]place {
	moved := map[string]place{}
	for _, t := range targets {
		if t.kind != export.Data {
			continue
		}
		after := int64(0)
		for _, f := range t.objects {
			if t.path != f.Key {
				moved[f.Key] = place{t.path, after}
			}
			after += f.Records
		}
	}
	return moved
}

// maxLineage bounds a line of a lineage, in bytes: it has ids, and the metadata of a run.
const maxLineage = 33 << 20

var errLineage = errors.New("it is not a lineage as Millrace writes it")

// relocate copies a lineage, whose lines begin with the file and the line that they are about
// (format.AppendLineage), and names the files and lines of the download.
func relocate(w io.Writer, path string, moved map[string]place) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	out := bufio.NewWriterSize(w, 64<<10)
	lines := bufio.NewReaderSize(in, maxLineage)
	for {
		line, err := lines.ReadSlice('\n') // which ends with an error at a line that does not fit
		if errors.Is(err, bufio.ErrBufferFull) {
			return errLineage
		}
		if len(line) > 0 {
			if err := relocateLine(out, line, moved); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return out.Flush()
		}
		if err != nil {
			return err
		}
	}
}

func relocateLine(w io.Writer, line []byte, moved map[string]place) error {
	file, rest, ok := bytes.Cut(bytes.TrimPrefix(line, []byte(`{"file":"`)), []byte(`","line":`))
	number, rest, ok2 := bytes.Cut(rest, []byte(","))
	var n int64
	if _, err := fmt.Sscan(string(number), &n); err != nil || !ok || !ok2 {
		return errLineage
	}
	to, ok := moved[string(file)]
	if !ok {
		to.file = string(file)
	}
	_, err := fmt.Fprintf(w, `{"file":"%s","line":%d,%s`, to.file, to.after+n, rest)
	return err
}
