package extract

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/pipeline/export/statistics"
	"github.com/millrace/millrace/sinks/fragment"
)

// maxOpen is how many fragments of a window are open concurrently. Where records of more partitions
// alternate, the partitions get more fragments than necessary.
const maxOpen = 8

// files are the files that an attempt writes: the fragments of each split and partition, the
// lineage, and the statistics of columns. It is the output of the attempt's stream.
type files struct {
	ctx     context.Context
	attempt *attempt
	open    []*openFiles   // in the order of their last use
	next    map[string]int // number of the next fragment, by split
	names   []string       // of all objects that were started
	lineage *openFiles     // nil before the first line
	line    []byte         // buffer of a lineage line
	sample  statistics.Sample
	columns *statistics.Counter // nil where no records of the window are counted
}

// openFiles are the fragments of one split and partition, of which the last one is open.
type openFiles struct {
	split, partition string
	kind             export.FileKind
	writer           *fragment.Writer
	names            []string
}

func newFiles(ctx context.Context, a *attempt) *files {
	f := &files{ctx: ctx, attempt: a, next: map[string]int{},
		sample: statistics.NewSample(a.plan.Rows, len(a.plan.Windows))}
	if f.sample.Window(a.window) {
		f.columns = &statistics.Counter{}
	}
	return f
}

// Record implements [format.Output].
func (f *files) Record(r *format.Record) error {
	m := &f.attempt.manifest
	if len(r.JSON) > fragment.MaxRecord {
		f.Drop(format.RecordTooLarge, r.Rows)
		return nil
	}
	o, err := f.writerOf(r.Split, r.Partition)
	if err != nil {
		return err
	}
	if err := o.writer.Write(r.JSON, r.StartedAt); err != nil {
		return storeError{err}
	}
	if f.columns != nil && f.sample.Record(m.Records) {
		f.columns.Add(r.JSON)
	}
	m.RowsUsed += r.Rows
	m.Records++
	if r.Label != "" && r.Split == format.Train {
		add(&m.Labels, r.Label, 1)
	}
	for _, of := range r.Lineage {
		if err := f.writeLineage(o, of, r.StartedAt); err != nil {
			return err
		}
	}
	return nil
}

// Drop implements [format.Output].
func (f *files) Drop(reason string, rows int64) { add(&f.attempt.manifest.Dropped, reason, rows) }

// Warn implements [format.Output].
func (f *files) Warn(code string, run []byte) { f.attempt.manifest.Warn(code, run) }

func add(counts *map[string]int64, name string, n int64) {
	if *counts == nil {
		*counts = map[string]int64{}
	}
	(*counts)[name] += n
}

// writerOf returns the files of a split and partition. It finishes the least recently used files
// where too many are open.
func (f *files) writerOf(split, partition string) (*openFiles, error) {
	last := len(f.open) - 1
	for i := last; i >= 0; i-- {
		if o := f.open[i]; o.split == split && o.partition == partition {
			copy(f.open[i:], f.open[i+1:])
			f.open[last] = o
			return o, nil
		}
	}
	if len(f.open) == maxOpen {
		if err := f.finish(f.open[0]); err != nil {
			return nil, err
		}
		f.open = f.open[1:]
	}
	r, p := f.attempt.plan.Request, f.attempt.plan
	metadata := map[string]string{"export_id": p.ExportID, "schema_id": export.SchemaID(r.Purpose, r.Target)}
	encoder, err := targets.NewEncoder(r.Purpose, r.Target, r.Format, r.Compression, p.Options, metadata)
	if err != nil {
		return nil, err
	}
	o := &openFiles{split: split, partition: partition, kind: export.Data}
	limits := fragment.Limits{MaxRecords: r.Fragment.MaxRecords, MaxBytes: r.Fragment.MaxBytes}
	o.writer = fragment.NewWriter(encoder, limits, func(int) (fragment.Destination, error) {
		name := export.DataName(split, f.attempt.window, f.next[split], f.attempt.id, encoder.Extension())
		f.next[split]++
		return f.create(o, name)
	})
	f.open = append(f.open, o)
	return o, nil
}

func (f *files) create(o *openFiles, name string) (fragment.Destination, error) {
	f.names, o.names = append(f.names, name), append(o.names, name)
	return f.attempt.stage.bucket.NewWriter(f.ctx, f.attempt.folder.Key(name))
}

// writeLineage writes where the last record of o comes from. Of is a JSON object without its
// opening brace.
func (f *files) writeLineage(o *openFiles, of []byte, startedAt int64) error {
	if f.lineage == nil {
		encoder, err := fragment.NewEncoder(fragment.JSONL, fragment.Uncompressed, fragment.Settings{})
		if err != nil {
			return err
		}
		f.lineage = &openFiles{kind: export.Lineage}
		f.lineage.writer = fragment.NewWriter(encoder, fragment.Limits{}, func(int) (fragment.Destination, error) {
			return f.create(f.lineage, export.LineageName(f.attempt.window, f.attempt.id))
		})
	}
	f.line = format.AppendLineage(f.line[:0], o.names[len(o.names)-1], o.writer.Line(), of)
	if err := f.lineage.writer.Write(f.line, startedAt); err != nil {
		return storeError{err}
	}
	return nil
}

// finish closes files and lists them in the manifest.
func (f *files) finish(o *openFiles) error {
	fragments, err := o.writer.Close()
	if err != nil {
		return storeError{err}
	}
	for i, info := range fragments {
		f.attempt.manifest.Files = append(f.attempt.manifest.Files, export.File{
			Key: o.names[i], Kind: o.kind, Split: o.split, Window: f.attempt.window,
			Records: info.Records, Bytes: info.Bytes, SHA256: info.SHA256,
			MinStartedAt: time.UnixMilli(info.MinStartedAt).UTC(), MaxStartedAt: time.UnixMilli(info.MaxStartedAt).UTC(),
		})
	}
	return nil
}

// close finishes all files and sorts their list by name, with the lineage last.
func (f *files) close() error {
	for _, o := range f.open {
		if err := f.finish(o); err != nil {
			return err
		}
	}
	slices.SortFunc(f.attempt.manifest.Files, func(a, b export.File) int { return strings.Compare(a.Key, b.Key) })
	if f.lineage != nil {
		if err := f.finish(f.lineage); err != nil {
			return err
		}
	}
	return f.writeColumns()
}

// writeColumns writes the statistics of columns. Seal merges them, and deletes those of the windows.
func (f *files) writeColumns() error {
	m := &f.attempt.manifest
	if f.columns == nil || m.Records == 0 {
		return nil
	}
	name := export.ColumnsName(m.Window, f.attempt.id)
	f.names = append(f.names, name)
	w, err := f.attempt.stage.bucket.NewWriter(f.ctx, f.attempt.folder.Key(name))
	if err != nil {
		return storeError{err}
	}
	defer w.Abort()
	if _, err := w.Write(f.columns.Statistics().JSON()); err != nil {
		return storeError{err}
	}
	if err := w.Commit(); err != nil {
		return storeError{err}
	}
	m.Columns = name
	return nil
}

// abort gives up the open files. After close it does nothing.
func (f *files) abort() {
	for _, o := range f.open {
		o.writer.Abort()
	}
	if f.lineage != nil {
		f.lineage.writer.Abort()
	}
}
