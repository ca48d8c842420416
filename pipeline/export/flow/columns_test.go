package flow_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/export/seal"
	"github.com/millrace/millrace/pipeline/export/statistics"
)

// verifyColumns checks that a manifest lists all objects of __meta__, and among them the statistics of the columns of
// all records.
func (f *flow) verifyColumns(c *export.Completion, m *export.Manifest) {
	f.t.Helper()
	var listed []string
	for _, file := range m.Files {
		if strings.HasPrefix(file.Key, export.MetaDir) {
			listed = append(listed, file.Key)
		}
	}
	if there := f.objects(c.ID, export.MetaDir); !slices.Equal(there, slices.Sorted(slices.Values(listed))) {
		f.t.Errorf("objects %v, listed %v", there, listed)
	}
	want := c.Records > 0 && !f.withoutColumns(c.ID)
	if got := slices.Contains(listed, export.AllColumnsName); got != want {
		f.t.Errorf("of %d records, statistics are there: %v", c.Records, got)
	}
	if want {
		if s := f.columns(c.ID); s.Records != c.Records {
			f.t.Errorf("the statistics count %d of %d records", s.Records, c.Records)
		}
	}
}

// withoutColumns tells whether a window with records has no statistics, as those of older releases.
func (f *flow) withoutColumns(id export.ID) bool {
	f.t.Helper()
	dir := folder.Folder{Bucket: f.bucket, ID: id}
	windows, err := dir.Windows(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	return slices.ContainsFunc(windows, func(n int) bool {
		w, err := dir.Window(f.t.Context(), n)
		if err != nil {
			f.t.Fatal(err)
		}
		return w.Records > 0 && w.Columns == ""
	})
}

func (f *flow) columns(id export.ID) *statistics.Statistics {
	f.t.Helper()
	text, err := f.bucket.Read(f.t.Context(), id.Prefix()+export.AllColumnsName)
	if err != nil {
		f.t.Fatal(err)
	}
	s, err := statistics.Parse(text)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// The statistics of six windows are merged. Seal crashes when it has swept those of the windows, and finds the merged
// ones.
func TestStatisticsOfWindowsAreMergedOnce(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.windowRecords = 50
	f.insertRuns(300)
	crashed := f.crashOnce(export.StageSeal, seal.BeforeManifest)
	f.start()
	f.send(request("e1", `,"selection":{"limit":300},"fragment":{"max_records":50}`))
	c := f.completion("e1")
	f.verify(c)
	if !crashed() {
		t.Error("seal has not crashed")
	}
	columns := map[string]*statistics.Column{}
	s := f.columns(c.ID)
	for i := range s.Columns {
		columns[s.Columns[i].Name] = &s.Columns[i]
	}
	status, question, feedback := columns["status"], columns["question"], columns["feedback"]
	if status == nil || len(status.Frequent.Values) != 1 || status.Frequent.Values[0].Count != 300 ||
		status.Frequent.Missing != 0 {
		t.Errorf("status is %+v", status)
	}
	if question == nil || question.Types[statistics.Text] != 300 || question.Lengths[statistics.Text].Min != 10 ||
		question.Lengths[statistics.Text].Max != 12 || len(question.Frequent.Values) > 0 {
		t.Errorf("question is %+v", question)
	}
	if feedback == nil || feedback.Types[statistics.Null] != 200 || feedback.Types[statistics.Object] != 100 {
		t.Errorf("feedback is %+v", feedback)
	}
}

// Windows of an older release have no statistics, and so the export has none.
func TestAnExportWithWindowsOfAnOlderReleaseHasNoStatistics(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.windowRecords, f.windowsInFlight = 50, 1
	f.insertRuns(100)
	id := export.ID{WorkspaceID: "acme", ExportID: "e1"}
	dir := folder.Folder{Bucket: f.bucket, ID: id}
	body := []byte(strings.Repeat(`{"run_id":"older"}`+"\n", 50))
	file := export.File{Key: export.DataName(export.SplitTrain, 1, 0, "older", "jsonl"), Kind: export.Data,
		Split: export.SplitTrain, Window: 1, Records: 50, Bytes: int64(len(body)), SHA256: export.HashText(body)}
	if err := f.bucket.Create(t.Context(), dir.Key(file.Key), body); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.CreateWindow(t.Context(), &export.WindowManifest{ID: id, Window: 1, Attempt: "older", Rows: 50,
		RowsUsed: 50, Records: 50, Files: []export.File{file}}); err != nil {
		t.Fatal(err)
	}
	f.start()
	f.send(request("e1", `,"selection":{"limit":100},"fragment":{"max_records":50}`))
	c := f.completion("e1")
	if meta := f.objects(id, export.MetaDir); c.Status != export.StatusSucceeded || c.Records != 100 || len(meta) > 0 {
		t.Errorf("%s with %d records, and %v", c.Status, c.Records, meta)
	}
}
