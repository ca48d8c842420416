package plan

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/stage"
	"github.com/millrace/millrace/pipeline/strictjson"
	"github.com/millrace/millrace/sinks/bucket"
)

var day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// planner is the stage without Kafka: a test gives it records, and decides where it is killed.
type planner struct {
	*testing.T
	stage  *Stage
	bucket *bucket.Bucket
	at     func(point string) error // the failpoints
}

func newPlanner(t *testing.T) *planner {
	b, err := bucket.Open(t.Context(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	p := &planner{T: t, bucket: b}
	p.stage = New(Config{Config: stage.Config{
		Config:    kafka.Config{TopicPrefix: event.DefaultPrefix, Log: slog.New(slog.DiscardHandler)},
		Failpoint: func(point string) error { return p.at(point) },
	}}, clickhousetest.Database(t), b)
	return p
}

// record returns a request or a cancel of the export. The two are in different partitions.
func record(id string, isCancel bool, at time.Time) *kgo.Record {
	r := &kgo.Record{Topic: event.DefaultPrefix + event.TopicExportRequests, Timestamp: at}
	if r.Value = fmt.Appendf(nil, `{"export_id":%q,"workspace_id":"acme","purpose":"export_dataset","source":"recipe",`+
		`"app_id":"app","selection":{"limit":5}}`, id); isCancel {
		r.Partition = 1
		r.Value = fmt.Appendf(nil, `{"type":"dev.millrace.export.cancelled.v1","export_id":%q,"workspace_id":"acme"}`, id)
	}
	return r
}

var errKilled = errors.New("killed")

// handle handles a record until it is not killed, and returns whether it asks for the end of a
// cancelled export.
func (p *planner) handle(r *kgo.Record) (isCancelled bool) {
	p.Helper()
	for {
		out, err := p.stage.handle(p.Context(), r)
		if errors.Is(err, errKilled) {
			continue // what was returned is not committed, and the record comes again
		}
		if err != nil {
			p.Fatal(err)
		}
		for _, sent := range out {
			result, err := stage.Decode[export.Result](sent, export.TypeResult)
			isCancelled = isCancelled || err == nil && result.Kind == export.Cancelled
		}
		return isCancelled
	}
}

// Whatever the order, each of the two may be killed at any of its steps, and the other may be
// handled as a whole between any two of them.
func TestARequestOrItsCancelSeesTheOther(t *testing.T) {
	t.Parallel()
	p := newPlanner(t)
	ofRequest, ofCancel := []string{"", AfterPlan, BeforeCommit}, []string{"", AfterCancel, BeforeCommit}
	n := 0
	for _, cancelFirst := range []bool{false, true} {
		outer, inner := ofRequest, ofCancel // of the record that is begun first, and the other
		if cancelFirst {
			outer, inner = ofCancel, ofRequest
		}
		for _, killOuter := range outer {
			for _, killInner := range inner {
				for _, between := range outer { // "": after the outer one
					n++
					id := fmt.Sprint("e", n)
					first, second := record(id, cancelFirst, day), record(id, !cancelFirst, day)
					killed, nested, inside := map[string]bool{}, false, false
					cancelled := false
					p.at = func(point string) error {
						if point == between && !nested && !inside {
							nested, inside = true, true
							cancelled = p.handle(second) || cancelled
							inside = false
						}
						who, kill := "outer ", killOuter
						if inside {
							who, kill = "inner ", killInner
						}
						if point == kill && !killed[who] {
							killed[who] = true
							return errKilled
						}
						return nil
					}
					cancelled = p.handle(first) || cancelled
					if !nested {
						inside = true
						cancelled = p.handle(second) || cancelled
					}
					if !cancelled {
						t.Errorf("cancel first %t, killed at %q and %q, the second at %q of the first: the cancel is lost",
							cancelFirst, killOuter, killInner, between)
					}
				}
			}
		}
	}
}

func TestACancelReachesRequestsOfADay(t *testing.T) {
	t.Parallel()
	p := newPlanner(t)
	p.at = func(string) error { return nil }
	for i, c := range []struct {
		after time.Duration // the request is filed this long after the cancel
		want  bool
	}{{-48 * time.Hour, true}, {0, true}, {24 * time.Hour, true}, {24*time.Hour + time.Millisecond, false}} {
		id := fmt.Sprint("e", i)
		if p.handle(record(id, true, day)) {
			t.Error("a cancel without a request ended something")
		}
		if got := p.handle(record(id, false, day.Add(c.after))); got != c.want {
			t.Errorf("a request %s after its cancel: cancelled %t", c.after, got)
		}
		if !p.handle(record(id, true, day.Add(72*time.Hour))) {
			t.Errorf("a request %s after its cancel: a later cancel does not end it", c.after)
		}
	}
	p.handle(record("twice", true, day))
	p.handle(record("twice", true, day.Add(time.Hour)))
	var refusal *strictjson.Refusal
	_, err := p.stage.handle(t.Context(), record("twice", true, day.Add(25*time.Hour)))
	if !errors.As(err, &refusal) || refusal.Code != strictjson.UnknownExport {
		t.Errorf("a cancel that an older one hides: %v", err)
	}
	removed, err := folder.RemoveOrphans(t.Context(), p.bucket, time.Now().Add(25*time.Hour))
	if err != nil || removed != 1 {
		t.Errorf("removed %d, %v", removed, err)
	}
	p.handle(record("twice", true, day.Add(25*time.Hour)))
	if !p.handle(record("twice", false, day.Add(26*time.Hour))) {
		t.Error("after the first cancel was removed, the second is lost")
	}
}

func TestACancelOfAnEndedExportChangesNothing(t *testing.T) {
	t.Parallel()
	p := newPlanner(t)
	p.at = func(string) error { return nil }
	f := folder.Folder{Bucket: p.bucket, ID: export.ID{WorkspaceID: "acme", ExportID: "e"}}
	p.handle(record("e", false, day))
	if _, _, err := f.CreateManifest(t.Context(), &export.Manifest{ID: f.ID}); err != nil {
		t.Fatal(err)
	}
	out, err := p.stage.handle(t.Context(), record("e", true, day))
	if _, none := f.Cancellation(t.Context()); len(out) > 0 || err != nil || !errors.Is(none, bucket.ErrNotFound) {
		t.Errorf("%d records, %v; cancel.json: %v", len(out), err, none)
	}
}
