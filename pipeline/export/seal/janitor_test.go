package seal

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/folder"
	"github.com/millrace/millrace/pipeline/local/localtest"
	"github.com/millrace/millrace/sinks/bucket"
)

// estate has the exports that a janitor visits.
type estate struct {
	t      *testing.T
	dsn    *clickhouse.DSN
	conn   driver.Conn
	bucket *bucket.Bucket
}

func newEstate(t *testing.T) *estate {
	dsn := clickhousetest.Database(t)
	e := &estate{t: t, dsn: dsn}
	var err error
	if e.conn, err = dsn.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.conn.Close() })
	if e.bucket, err = bucket.Open(t.Context(), "file://"+t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.bucket.Close() })
	return e
}

func (e *estate) janitor(cfg JanitorConfig) *Janitor {
	cfg.Metrics, cfg.Log = prometheus.NewRegistry(), slog.New(slog.NewTextHandler(e.t.Output(), nil))
	return NewJanitor(cfg, e.dsn, e.bucket)
}

func (e *estate) folder(id string) folder.Folder {
	return folder.Folder{Bucket: e.bucket, ID: export.ID{WorkspaceID: "acme", ExportID: id}}
}

// export creates an export with the objects data/kept, which the manifest of a successful export
// lists, and data/late. An export with a negative age has not ended.
func (e *estate) export(id string, status export.Status, age time.Duration) {
	e.t.Helper()
	f := e.folder(id)
	for _, name := range []string{"plan.json", "windows/00000.json", "data/kept", "data/late", "__meta__/late"} {
		if err := e.bucket.Create(e.t.Context(), f.Key(name), nil); err != nil {
			e.t.Fatal(err)
		}
	}
	insert := "INSERT INTO export_events (workspace_id, export_id, status, requested_at, at) VALUES ('acme', $1, " +
		"'running', now(), now())"
	if err := e.conn.Exec(e.t.Context(), insert, id); err != nil {
		e.t.Fatal(err)
	}
	if age < 0 {
		return
	}
	m := &export.Manifest{ID: f.ID, Status: status}
	if status == export.StatusSucceeded {
		m.Files = []export.File{{Key: "data/kept", Kind: export.Data}}
	}
	if _, _, err := f.CreateManifest(e.t.Context(), m); err != nil {
		e.t.Fatal(err)
	}
	insert = "INSERT INTO export_events (workspace_id, export_id, status, requested_at, completed_at, at) VALUES " +
		"('acme', $1, $2, now(), now64(3) - toIntervalSecond($3), now())"
	for range 2 { // a crash of track appends twice
		if err := e.conn.Exec(e.t.Context(), insert, id, string(status), int64(age/time.Second)); err != nil {
			e.t.Fatal(err)
		}
	}
}

func (e *estate) files(id string) string {
	e.t.Helper()
	objects, err := e.bucket.List(e.t.Context(), e.folder(id).Key(""))
	if err != nil {
		e.t.Fatal(err)
	}
	var names []string
	for _, o := range objects {
		name := strings.TrimPrefix(o.Key, e.folder(id).Key(""))
		if strings.HasPrefix(name, "data/") || strings.HasPrefix(name, "__meta__/") {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

func TestARoundCleansEveryRecentlyEndedExport(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	const all, kept = "__meta__/late data/kept data/late", "data/kept"
	want := map[string]string{}
	for i := range 7 {
		for _, c := range []struct {
			id, files string
			status    export.Status
			age       time.Duration
		}{
			{"succeeded", kept, export.StatusSucceeded, time.Hour}, // all at the same time
			{"failed", "", export.StatusFailed, time.Duration(i) * time.Minute},
			{"cancelled", "", export.StatusCancelled, 23 * time.Hour},
			{"old", all, export.StatusSucceeded, 25 * time.Hour},
			{"running", all, "", -1},
		} {
			id := fmt.Sprintf("%s-%d", c.id, i)
			e.export(id, c.status, c.age)
			want[id] = c.files
		}
	}
	j := e.janitor(JanitorConfig{})
	j.page = 2 // for many pages
	for range 2 {
		if err := j.round(t.Context()); err != nil {
			t.Fatal(err)
		}
		for id, files := range want {
			if got := e.files(id); got != files {
				t.Errorf("%s has the files %q, want %q", id, got, files)
			}
		}
		if got := value(t, j.removed); got != 7*(2+3+3) {
			t.Errorf("%v objects removed", got)
		}
	}
	visits, err := j.ended(t.Context(), e.conn, visit{})
	if err != nil || len(visits) != 2 || !slices.ContainsFunc(visits,
		func(v visit) bool { return v.ExportID == "failed-0" }) {
		t.Errorf("the first page is %v, %v; want the newest exports", visits, err)
	}
}

func TestAJanitorSurvivesFailuresOfItsServices(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	proxy := clickhousetest.NewProxy(t, e.dsn.Addr())
	var err error
	if e.dsn, err = clickhouse.ParseDSN(localtest.ClickHouse(t).DSNAt(proxy.Addr, e.dsn.Database)); err != nil {
		t.Fatal(err)
	}
	proxy.Refuse()
	e.export("broken", export.StatusSucceeded, 0) // the newest: the round visits it first
	if err := e.bucket.Delete(t.Context(), e.folder("broken").Key(export.ManifestName)); err != nil {
		t.Fatal(err)
	}
	if err := e.bucket.Create(t.Context(), e.folder("broken").Key(export.ManifestName), []byte("{")); err != nil {
		t.Fatal(err)
	}
	e.export("e1", export.StatusSucceeded, time.Minute)
	j := e.janitor(JanitorConfig{Every: 10 * time.Millisecond})
	done := make(chan error, 1)
	go func() { done <- j.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	eventually(t, func() bool { return value(t, j.failures) >= 3 })
	if got := e.files("e1"); got != "__meta__/late data/kept data/late" {
		t.Errorf("without ClickHouse it has the files %q", got)
	}
	proxy.Pass()
	eventually(t, func() bool { return e.files("e1") == "data/kept" })
	if got := e.files("broken"); got != "__meta__/late data/kept data/late" {
		t.Errorf("of an export whose manifest was changed it left %q", got)
	}
}

// eventually polls until the condition holds.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(30 * time.Second); !holds(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("it does not come true")
		}
	}
}

func value(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

func TestTheJanitorCountsCancelsWhoseRequestNeverCame(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	f := e.folder("never")
	if _, err := f.CreateCancellation(t.Context(), &export.Cancellation{ID: f.ID}); err != nil {
		t.Fatal(err)
	}
	if err := f.AwaitRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	j := e.janitor(JanitorConfig{})
	for i, age := range []time.Duration{23 * time.Hour, 25 * time.Hour, 26 * time.Hour} {
		if err := j.removeOrphans(t.Context(), time.Now().Add(age)); err != nil {
			t.Fatal(err)
		}
		_, err := f.Cancellation(t.Context())
		if got := value(t, j.orphans); got != float64(min(i, 1)) || errors.Is(err, bucket.ErrNotFound) != (i > 0) {
			t.Errorf("after %s: %v removed, and cancel.json: %v", age, got, err)
		}
	}
}
