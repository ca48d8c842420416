package client

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/terminal"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/export/statistics"
)

type exportsShow struct {
	ExportArg
	Columns bool `help:"Also the columns of its records: types, nulls, lengths and most frequent values."`
	JSON    bool `name:"json" help:"One JSON object: the fields of its last event, with the request, the files and deleted_at."`
}

// Run shows an export from the documents in its folder. The progress of a running export comes from
// ClickHouse.
func (c exportsShow) Run(ctx context.Context, a *app.App) error {
	return c.with(ctx, a, func(id export.ID, d *files.Dataset) error {
		completion, err := d.Completion()
		if err != nil {
			return err
		}
		s := shown{screen: terminal.Of(a.Stdout), dataset: d, completion: completion}
		if completion == nil {
			s.progress, s.unknown = trackedProgress(ctx, a, d.Plan)
			s.progress.Cancelling = s.progress.Cancelling || d.Cancelling(ctx)
		}
		s.trail, s.noTrail = storedTrail(ctx, a, id)
		if c.Columns && d.Readable() == nil {
			if s.columns, err = d.Columns(ctx); err != nil {
				return err
			}
		}
		if c.JSON {
			return s.writeJSON(a)
		}
		text := s.text()
		if c.Columns {
			text += columnTable(s.columns, s.screen)
		}
		_, err = fmt.Fprint(a.Stdout, text)
		return err
	})
}

// trackedProgress returns the progress of a running export as recorded in ClickHouse. If none is
// recorded yet, it returns a progress of zero rows.
func trackedProgress(ctx context.Context, a *app.App, p *export.Plan) (*export.Progress, error) {
	accepted := export.NewProgress(p, export.StatusAccepted, &export.Tally{}, p.AcceptedAt)
	conn, err := a.Config.DSN.Open()
	if err != nil {
		return accepted, err
	}
	defer conn.Close()
	s, err := live.Stored{Conn: conn}.Get(ctx, p.ID)
	if err != nil || s == nil {
		return accepted, err
	}
	return &export.Progress{State: *s}, nil
}

// shown is an export to show. It has the completion or, while the export runs, the progress.
type shown struct {
	screen     terminal.Screen
	dataset    *files.Dataset
	completion *export.Completion
	progress   *export.Progress
	unknown    error // why the current progress could not be read
	trail      []audit.Entry
	noTrail    error                  // why the trail could not be read
	columns    *statistics.Statistics // nil where none were kept, or wanted
}

// trailShown is how many entries of the trail are shown, the newest.
const trailShown = 20

// storedTrail returns the newest entries of the trail of an export, the newest first.
func storedTrail(ctx context.Context, a *app.App, id export.ID) ([]audit.Entry, error) {
	conn, err := a.Config.DSN.Open()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return audit.Stored{Conn: conn}.OfExport(ctx, id, trailShown)
}

// writeJSON writes the fields of the last event, together with the request, the files and the time
// of deletion.
func (s shown) writeJSON(a *app.App) error {
	var last any = s.progress
	if s.completion != nil {
		last = s.completion
	}
	text, err := json.Marshal(last)
	if err != nil {
		return err
	}
	fields := map[string]any{}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil {
		return err
	}
	fields["trail"] = s.trail
	fields["request"] = s.dataset.Plan.Request
	fields["files"] = []export.File{}
	if m := s.dataset.Manifest; m != nil {
		fields["files"], fields["schema_id"], fields["compression"] = m.Files, m.SchemaID, m.Compression
	}
	if s.columns != nil {
		fields["columns"] = s.columns
	}
	if deletion := s.dataset.Deletion; deletion != nil {
		fields["deleted_at"], fields["deleted_by"] = deletion.DeletedAt, deletion.DeletedBy
	}
	return a.PrintJSON(fields)
}

// sheet is a table of names and values, one pair a line. Values have any length.
type sheet struct{ terminal.Table }

func newSheet() *sheet {
	return &sheet{terminal.Table{Indent: "  ", Columns: make([]terminal.Column, 2)}}
}

func (s *sheet) add(name, format string, args ...any) {
	s.Add(name, printable(fmt.Sprintf(format, args...)))
}

// addIf adds a line unless the value is empty.
func (s *sheet) addIf(name, value string) {
	if value != "" {
		s.add(name, "%s", value)
	}
}

func (s shown) text() string {
	t := newSheet()
	p, r := s.dataset.Plan, s.dataset.Plan.Request
	t.add("export", "%s", p.ExportID)
	t.add("workspace", "%s", p.WorkspaceID)
	s.status(t)
	t.addIf("purpose", joined(" ", r.Purpose, prefixed("of ", joined(" ", r.Source, r.AppID.String()))))
	t.addIf("nodes", strings.Join(r.Nodes, ", "))
	t.addIf("records as", joined(", ", r.Target, r.Format, prefixed("compression ", r.Compression)))
	t.addIf("selection", describeSelection(r.Selection))
	t.addIf("filters", describeFilters(r.Filters))
	if len(r.Options) > 0 {
		t.add("options", "%s", compactJSON(r.Options))
	}
	t.add("asked for", "%s", joined(" by ", moment(p.RequestedAt), r.RequestedBy))
	t.addIf("on behalf of", r.OnBehalfOf)
	if s.completion != nil {
		s.ending(t)
	} else {
		t.add("rows", "%d of %d", s.progress.RowsDone, s.progress.RowsPlanned)
		t.add("written", "%s in %s, %s so far", plural(s.progress.Records, "record"), plural(s.progress.Fragments, "file"),
			files.Size(s.progress.Bytes))
	}
	if s.noTrail != nil {
		t.add("note", "the trail could not be read: %v", s.noTrail)
	}
	if s.unknown != nil {
		t.add("note", "the progress could not be read: %v", s.unknown)
	}
	return printable(cmp.Or(r.Name, "(no name)")) + "\n" + t.String() + s.files() + s.trailed()
}

func (s shown) status(t *sheet) {
	switch {
	case s.dataset.Deletion != nil:
		d := s.dataset.Deletion
		t.add("status", "%s, and deleted %s", s.completion.Status, joined(" by ", moment(d.DeletedAt), d.DeletedBy))
	case s.completion != nil:
		t.add("status", "%s", s.completion.Status)
	case s.progress.Status == export.StatusAccepted:
		t.add("status", "accepted%s", isCancelling(s.progress))
	default:
		t.add("status", "running %.0f%%%s", s.progress.PercentDone, isCancelling(s.progress))
	}
	if s.completion == nil && s.progress.Retrying != nil {
		t.add("retrying", "%s", describeRetrying(s.progress.Retrying))
	}
}

// ending adds the lines that come from the completion.
func (s shown) ending(t *sheet) {
	c := s.completion
	t.add("ended", "%s, after %s", moment(*c.CompletedAt), c.CompletedAt.Sub(c.RequestedAt).Round(time.Millisecond))
	if e := c.Failure(); e != nil {
		t.add("error", "%s", joined(": ", e.Pointer, e.Error()))
		if e.Retryable {
			t.add("", "asking again may succeed")
		}
	}
	t.add("rows", "%d planned, %d used", c.RowsPlanned, c.RowsUsed)
	for _, reason := range slices.Sorted(maps.Keys(c.Dropped)) {
		t.add("dropped", "%s: %s", plural(c.Dropped[reason], "row"), reason)
	}
	if c.Vanished > 0 {
		t.add("vanished", "%s", plural(c.Vanished, "row"))
	}
	for _, w := range c.Warnings {
		t.add("warning", "%s: %s", w.Code, w.Message)
	}
	if c.Status == export.StatusSucceeded {
		t.add("written", "%s in %s, %s", plural(c.Records, "record"), plural(c.Fragments, "file"), files.Size(c.Bytes))
	}
	if c.Watermark != nil {
		t.add("watermark", "%s", c.Watermark.Format(time.RFC3339Nano))
	}
	t.add("manifest", "%s", c.ManifestURI)
	if s.dataset.Deletion == nil {
		t.addIf("load with", c.LoadWith)
	}
}

// trailed lists the newest entries of the trail.
func (s shown) trailed() string {
	if len(s.trail) == 0 {
		return ""
	}
	t := terminal.Table{Indent: "  ", Columns: []terminal.Column{{Title: "WHEN"}, {Title: "WHO", Min: 8},
		{Title: "WHAT", Min: 12}, {Title: "OUTCOME", Min: 10}, {Title: "FROM", Min: 8, Optional: 1}}}
	for _, e := range s.trail {
		t.Add(moment(e.At), printable(cmp.Or(e.Subject, "–")), printable(joined(" ", e.Action, e.File)), printable(e.Outcome),
			printable(joined(" by ", e.Address, e.Via)))
	}
	return t.On(s.screen)
}

// filesShown is the largest number of files listed, so that the other lines stay on the screen.
// --json lists all.
const filesShown = 20

// files lists the objects of the manifest.
func (s shown) files() string {
	if s.dataset.Manifest == nil || s.dataset.Deletion != nil || len(s.dataset.Manifest.Files) == 0 {
		return ""
	}
	objects := s.dataset.Manifest.Files
	t := terminal.Table{Indent: "  ", Columns: []terminal.Column{{Title: "FILE", Min: 30}, {Title: "KIND"},
		{Title: "RECORDS", Right: true}, {Title: "SIZE", Right: true}}}
	for _, f := range objects[:min(len(objects), filesShown)] {
		t.Add(printable(f.Key), string(f.Kind), fmt.Sprint(f.Records), files.Size(f.Bytes))
	}
	more := ""
	if n := len(objects) - filesShown; n > 0 {
		more = fmt.Sprintf("  and %s more; --json lists all\n", plural(int64(n), "file"))
	}
	return "\n" + t.On(s.screen) + more
}

// moment writes a time for people.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000 UTC") }

// joined joins the parts that are not empty.
func joined(separator string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), separator)
}

// prefixed puts a prefix before s, unless s is empty.
func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

func describeSelection(s export.Selection) string {
	var parts []string
	if n := len(s.RunIDs); n > 0 {
		parts = append(parts, plural(int64(n), "run")+" by id")
	}
	if s.Limit > 0 {
		parts = append(parts, fmt.Sprintf("the most recent %d", s.Limit))
	}
	if s.LimitRuns > 0 {
		parts = append(parts, fmt.Sprintf("the most recent %s", plural(s.LimitRuns, "run")))
	}
	if s.Sample != nil {
		parts = append(parts, "sample "+compactJSON(s.Sample))
	}
	if w := s.Window; w != nil {
		parts = append(parts, fmt.Sprintf("%s from %s until before %s", w.By, w.From.Format(time.RFC3339Nano),
			w.To.Format(time.RFC3339Nano)))
	}
	return strings.Join(parts, ", ")
}

// describeFilters writes the filters in the form of the request.
func describeFilters(f export.Filters) string {
	text := compactJSON(f)
	if text == "{}" {
		return ""
	}
	return text
}

func compactJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
