package files

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/sinks/fragment"
)

var (
	// ErrUnnamed says that the records of an export do not name their runs, and that it has no lineage.
	ErrUnnamed = errors.New("its records do not name their runs")
	// ErrTooMuch says that more would have to be read than the caller allows.
	ErrTooMuch = errors.New("it is too large to be looked through")
)

// SoughtRun is a run that [Dataset.FindRun] looks for.
type SoughtRun struct {
	ID        string
	StartedAt time.Time
	// The first and the last start of its node runs; zero where they are not known.
	FirstNode, LastNode time.Time
}

// FindRun returns the number of the first record, from 1, that is made of a run or of one of its node runs, and 0
// where none is. It reads the lineage, or else the records, of the files whose times could have the run, and
// takes the bytes of these files from left. Its error may be ErrUnnamed, ErrTooMuch, or that of
// [Dataset.Readable].
func (d *Dataset) FindRun(ctx context.Context, run *SoughtRun, left *int64) (int64, error) {
	if err := d.Readable(); err != nil {
		return 0, err
	}
	kind := export.Data
	if d.HasOrigins() {
		kind = export.Lineage
	}
	before := int64(0)
	after := map[string]int64{} // of each data file, the records before it
	for _, f := range d.data() {
		after[f.Key] = before
		before += f.Records
	}
	first, last := d.times(run)
	unnamed := false
	for _, f := range d.Manifest.Files {
		if f.Kind != kind || !f.MinStartedAt.IsZero() && !first.IsZero() &&
			(f.MinStartedAt.After(last) || f.MaxStartedAt.Before(first)) {
			continue
		}
		if *left -= d.cost(f); *left < 0 {
			return 0, ErrTooMuch
		}
		find := d.findRecord
		if kind == export.Lineage {
			find = d.findLine
		}
		file, line, err := find(ctx, f, run)
		switch {
		case errors.Is(err, ErrUnnamed):
			unnamed = true
		case err != nil:
			return 0, fmt.Errorf("export %s: %s: %w", d.folder.ID, f.Key, err)
		case line > 0:
			return after[file] + line, nil
		}
	}
	if unnamed {
		return 0, ErrUnnamed
	}
	return 0, nil
}

// times returns the range that the started_at of a record of the run is in, or zero times where a file does not
// tell that of all its rows.
func (d *Dataset) times(run *SoughtRun) (first, last time.Time) {
	r := d.Manifest.Request
	f, err := targets.New(r.Purpose, r.Target, r.Options)
	if _, grouped := f.(format.GroupFormatter); grouped || err != nil {
		return first, last // a record has the time of its first row
	}
	if r.Nodes != nil {
		return run.FirstNode, run.LastNode
	}
	return run.StartedAt, run.StartedAt
}

// packed is how many bytes a byte of a compressed file is taken for.
const packed = 8

func (d *Dataset) cost(f export.File) int64 {
	m := d.Manifest
	if f.Kind == export.Data && (m.Format == fragment.Parquet || m.Compression != fragment.Uncompressed) {
		return packed * f.Bytes
	}
	return f.Bytes
}

// findLine returns the file and the line that a lineage names for the run; 0 for none.
func (d *Dataset) findLine(ctx context.Context, lineage export.File, run *SoughtRun) (string, int64, error) {
	r, _, err := d.folder.Bucket.NewReader(ctx, d.folder.Key(lineage.Key))
	if err != nil {
		return "", 0, d.explain(ctx, err)
	}
	defer r.Close()
	wanted := fmt.Appendf(nil, `"run_id":%q,`, run.ID) // an id has nothing to escape
	for lines := bufio.NewReaderSize(r, originBuffer); ; {
		line, err := lines.ReadSlice('\n')
		if bytes.Contains(line, wanted) {
			o, err := newOrigin(line)
			if err != nil || o.RunID == run.ID {
				return o.File, o.Line, err
			}
		}
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of a long line
			_, err = lines.ReadSlice('\n')
		}
		switch {
		case errors.Is(err, io.EOF):
			return "", 0, nil
		case err != nil:
			return "", 0, err
		}
	}
}

// findRecord returns the number of the run's record in a file; 0 for none. Its error is ErrUnnamed if there is
// a record that names no run, and none that names this one.
func (d *Dataset) findRecord(ctx context.Context, f export.File, run *SoughtRun) (string, int64, error) {
	id := ""
	if d.Manifest.Request.Nodes == nil {
		ids := record.NewIDs(d.Manifest.Purpose, d.Manifest.Target)
		row := &record.Row{WorkspaceID: []byte(d.Manifest.WorkspaceID), RunID: []byte(run.ID)}
		id = strings.Trim(string(ids.Append(nil, row)), `"`)
	}
	var at int64
	var of error
	line := int64(0)
	_, err := d.recordsOf(ctx, opened{file: f}, maxSmall, func(text json.RawMessage, err error) bool {
		line++
		named := runOf(text)
		switch {
		case err != nil:
			of = err
		case named.run == run.ID, named.run == "" && id != "" && named.record == id:
			at, of = line, nil
		case named.run == "" && (id == "" || named.record == ""):
			of = ErrUnnamed
		}
		return at == 0 && (of == nil || errors.Is(of, ErrUnnamed))
	})
	if err != nil {
		return "", 0, err
	}
	return f.Key, at, of
}

// recordNames are the ids that a record has of its run and of itself.
type recordNames struct{ run, record string }

// runOf returns the names of a record, wherever its target has them.
func runOf(text json.RawMessage) recordNames {
	type of struct {
		RunID string `json:"run_id"`
	}
	var r struct {
		of
		ID       string          `json:"id"`
		Other    string          `json:"_id"`
		Metadata json.RawMessage `json:"metadata"`
		More     json.RawMessage `json:"additional_metadata"`
		Tags     json.RawMessage `json:"tags"`
		Item     struct {
			ID       string          `json:"id"`
			Metadata json.RawMessage `json:"metadata"`
		} `json:"item"`
	}
	if !bytes.Contains(text, []byte(`id"`)) || json.Unmarshal(text, &r) != nil {
		return recordNames{}
	}
	n := recordNames{run: r.RunID}
	for _, part := range []json.RawMessage{r.Metadata, r.More, r.Tags, r.Item.Metadata} {
		var inside of
		if n.run == "" && json.Unmarshal(part, &inside) == nil {
			n.run = inside.RunID
		}
	}
	n.record = cmp.Or(r.ID, r.Other, r.Item.ID)
	return n
}
