package documents

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace/millrace"
	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/local/localtest"
	"github.com/millrace/millrace/pipeline/sample"
)

// operator is somebody who pastes what the operator's document says, on a site.
type operator struct {
	*e2etest.Site
	dir     string // where the commands run
	bucket  string // the folder
	address *strings.Replacer
}

func newOperator(t *testing.T) *operator {
	t.Helper()
	o := &operator{Site: e2etest.NewSite(t), dir: t.TempDir()}
	dsn, err := url.Parse(o.DSN)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range o.Env {
		if text, ok := strings.CutPrefix(v, "BUCKET_URL=file://"); ok {
			o.bucket = text
		}
	}
	o.address = strings.NewReplacer("127.0.0.1:8123", strings.TrimPrefix(localtest.ClickHouse(t).HTTPURL, "http://"),
		"database=millrace", "database="+strings.TrimPrefix(dsn.Path, "/"), "/var/lib/millrace/bucket", o.bucket)
	if err := os.Mkdir(filepath.Join(o.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(o.Env.Command(t.Context()).Path, filepath.Join(o.dir, "bin", "millrace")); err != nil {
		t.Fatal(err)
	}
	return o
}

// section returns a section of the operator's document, up to the next heading of any level.
func section(t *testing.T, heading string) string {
	t.Helper()
	d, ok := millrace.FindDocument("operations")
	if !ok {
		t.Fatal("no operator's document")
	}
	_, text, found := strings.Cut(d.Text(), "\n"+heading+"\n")
	if !found {
		t.Fatalf("the operator's document has no section %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n#")
	return text
}

// paste runs the commands of a section, one block after another.
func (o *operator) paste(t *testing.T, heading string) {
	t.Helper()
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllStringSubmatch(section(t, heading), -1)
	if blocks == nil {
		t.Fatalf("section %q has no commands", heading)
	}
	for _, b := range blocks {
		cmd := exec.CommandContext(t.Context(), "bash", "-c", prelude+o.address.Replace(b[1]))
		cmd.Dir, cmd.Env = o.dir, o.Env.Command(t.Context()).Env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("section %q: %v\n%s\n%s", heading, err, b[1], out)
		}
	}
}

// replay publishes lines of run events.
func (o *operator) replay(t *testing.T, lines ...string) {
	t.Helper()
	if got := o.Env.Try(t, strings.Join(lines, "\n"), "replay", "-"); got.Code != 0 {
		t.Fatal(got.Stderr)
	}
}

// request exports the runs of the app of RunLine and the sample's first copilot, and returns the completion.
func (o *operator) request(t *testing.T, id, app string) export.Completion {
	t.Helper()
	b := e2etest.NewBatch(t, o.Site)
	b.File(t, e2etest.Object{"export_id": id, "workspace_id": "default", "purpose": "export_dataset", "source": "copilot",
		"app_id": app, "selection": e2etest.Object{"limit": 1000}})
	return b.Wait(t)[export.ID{WorkspaceID: "default", ExportID: id}]
}

// files returns the files of a downloaded export, by name.
func (o *operator) files(t *testing.T, id string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	o.Env.Run(t, "exports", "download", id, dir, "--force", "--fragments")
	all := map[string]string{}
	for _, name := range e2etest.ListFiles(t, dir) {
		body, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(body)
	}
	return all
}

func TestABackupIsRestoredAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	cfg := sample.Config{Seed: 5, Runs: 120, Start: time.Now().Add(-48 * time.Hour).Truncate(time.Second)}
	ingest := o.Env.Start(t, "ingest")
	exporter := o.Env.Start(t, "export")
	o.Env.Run(t, "replay", e2etest.SampleFile(t, cfg))
	rows := e2etest.SampleRows(cfg)
	e2etest.WaitForCounts(t, o.Conn, time.Minute, rows)
	app := e2etest.QueryTexts(t, o.Conn,
		"SELECT app_id FROM runs_latest WHERE source = 'copilot' ORDER BY app_id LIMIT 1")[0]
	before := o.request(t, "before", app)
	files := o.files(t, "before")
	if before.Records == 0 || len(files) < 3 {
		t.Fatalf("export before has %d records and the files %v", before.Records, files)
	}

	o.paste(t, "### Back up")
	o.replay(t, e2etest.RunLine("after-the-backup"))
	ofAll := "SELECT count() FROM runs_latest"
	rows[ofAll]++
	for _, query := range []string{"SELECT uniqExact(run_id) FROM runs_latest",
		"SELECT count() FROM runs_latest WHERE status = 'succeeded'"} {
		rows[query]++
	}
	e2etest.WaitForCounts(t, o.Conn, time.Minute, rows)
	ingest.Stop(t)
	exporter.Stop(t)
	name := strings.TrimPrefix(o.DSN[strings.LastIndex(o.DSN, "/"):], "/")
	if err := o.Conn.Exec(t.Context(), "DROP DATABASE "+name+" SYNC"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(o.bucket); err != nil {
		t.Fatal(err)
	}

	o.paste(t, "### Restore")
	o.Env.Run(t, "exports", "verify", "before")
	if got := o.files(t, "before"); !reflect.DeepEqual(got, files) {
		t.Error("the files of the restored export differ from what they were")
	}
	if out := o.Env.Run(t, "exports", "ls", "--json"); !strings.Contains(out, `"export_id":"before"`) ||
		!strings.Contains(out, `"status":"succeeded"`) {
		t.Errorf("exports ls: %s", out)
	}
	if n := e2etest.Count(t, o.Conn, ofAll); n != rows[ofAll]-1 {
		t.Errorf("%d runs are restored, want %d", n, rows[ofAll]-1)
	}
	groups := []string{"millrace.ingest", "millrace.track"} // what kafka-consumer-groups.sh deletes
	for _, g := range groups {
		if !strings.Contains(section(t, "### Restore"), "--group "+g) {
			t.Errorf("the document does not delete group %s", g)
		}
	}
	admin := kadm.NewClient(e2etest.KafkaClient(t, o.Kafka))
	deleted, err := admin.DeleteGroups(t.Context(), groups...)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	o.Env.Start(t, "ingest")
	o.Env.Start(t, "export")
	e2etest.WaitForCounts(t, o.Conn, time.Minute, rows) // with what came after the backup, from Kafka
	again := o.request(t, "again", app)
	if want, got := e2etest.RecordsOf(t, &before), e2etest.RecordsOf(t, &again); !reflect.DeepEqual(got, want) {
		t.Errorf("an export of the restored runs has %d records, which are not the %d from before", len(got), len(want))
	}
}

// event is a line of a run, node run or feedback, so many days ago.
func agedLine(kind, workspace, run string, days int, more string) string {
	at := time.Now().AddDate(0, 0, -days).UTC().Format(time.RFC3339)
	return fmt.Sprintf(`{"type":"dev.millrace.%s.v1","workspace_id":%q,"run_id":%q,"updated_at":%q%s}`, kind, workspace, run,
		at, strings.ReplaceAll(more, "AT", at))
}

func TestRetentionDeletesWhatTheDocumentSays(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	o.Env.Start(t, "ingest")
	keep, lines := map[string]bool{}, []string{}
	for _, c := range []struct {
		workspace, user string
		days            int
		stays           bool
	}{
		{"acme", "u-1", 80, true}, {"acme", "u-1", 100, false}, {"acme", "u-17", 1, false},
		{"trial", "u-17", 20, true}, {"trial", "u-1", 40, false},
		{"other", "u-17", 300, true}, {"other", "u-1", 500, false},
	} {
		run := fmt.Sprintf("%s-%s-%d", c.workspace, c.user, c.days)
		if c.stays {
			keep[run] = true
		}
		app := `,"source":"copilot","app_id":"a","started_at":"AT","status":"succeeded"`
		lines = append(lines, agedLine("run", c.workspace, run, c.days, app+`,"user_id":"`+c.user+`"`),
			agedLine("node", c.workspace, run, c.days, app+`,"node_id":"n","node_run_id":"n-1"`),
			agedLine("feedback", c.workspace, run, c.days, `,"feedback_id":"f","rating":"thumbsUp"`))
	}
	o.replay(t, lines...)
	tables := []string{"runs", "nodes", "feedback"}
	stored := map[string]uint64{}
	for _, table := range tables {
		stored["SELECT count() FROM "+table] = 7
	}
	e2etest.WaitForCounts(t, o.Conn, time.Minute, stored)
	o.paste(t, "## Retention")
	e2etest.Eventually(t, time.Minute, func() string {
		for _, table := range tables {
			left := e2etest.QueryTexts(t, o.Conn, "SELECT run_id FROM "+table+"_latest ORDER BY run_id")
			ok := len(left) == len(keep)
			for _, run := range left {
				ok = ok && keep[run]
			}
			if !ok {
				return fmt.Sprintf("%s has %q, want %v", table, left, keep)
			}
		}
		return ""
	})
}

// A release that is taken back finds tables that are newer than it.
func TestAVersionWorksOnTheTablesOfALaterOne(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	for _, statement := range []string{
		"ALTER TABLE runs ADD COLUMN later String DEFAULT 'x'",
		"ALTER TABLE export_events ADD COLUMN later String DEFAULT 'x'",
		"INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, '9999_later.sql', 'later')",
	} {
		if err := o.Conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	o.paste(t, "## Upgrades")
	o.Env.Start(t, "ingest")
	o.Env.Start(t, "export")
	o.replay(t, strings.Replace(e2etest.RunLine("r"), `"acme"`, `"default"`, 1))
	e2etest.WaitForCounts(t, o.Conn, time.Minute, map[string]uint64{"SELECT count() FROM runs_latest": 1})
	if c := o.request(t, "later", "a"); c.Records != 1 {
		t.Errorf("the export has %d records, want 1: %+v", c.Records, c)
	}
}
