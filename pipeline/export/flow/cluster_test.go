package flow_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ClickHouse/ch-go"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/dryrun"
	"github.com/millrace/millrace/pipeline/export/extract"
	"github.com/millrace/millrace/pipeline/local"
	"github.com/millrace/millrace/pipeline/local/localtest"
	schema "github.com/millrace/millrace/schemas/clickhouse"
)

// cluster is shards of one or two embedded servers each, every one behind a proxy. The tables of shards are
// not replicated, since the engine cannot do that: the test copies rows, when it wants.
type cluster struct {
	t        *testing.T
	replicas int
	proxies  []*clickhousetest.Proxy // of the replicas of shard 1, then of those of shard 2, and so on
	direct   []*clickhouse.DSN       // of the same servers, without their proxies
	lags     [4]atomic.Bool          // a server that lags gets no rows of the other one
	copying  [4]sync.Mutex
	copied   [4]map[string]string // for each server: how many rows its tables had when the other one got them
	user     string               // and password, as literals of SQL
}

const (
	clusterName     = "c1"
	clusterDatabase = "millrace"
)

var (
	onCluster  = regexp.MustCompile(` ?ON CLUSTER '` + clusterName + `'`)
	replicated = regexp.MustCompile(`Replicated(\w*MergeTree)\('[^']*', '\{replica\}'(?:, )?`)
)

// newCluster starts up to four servers. The priorities are those of the replicas in the configuration.
func newCluster(t *testing.T, shards, replicas int, priorities ...int) *cluster {
	c, list := &cluster{t: t, replicas: replicas}, make([]string, shards)
	password := filepath.Join(t.TempDir(), "password")
	var servers []*local.ClickHouse
	for i := range shards * replicas {
		c.copied[i] = map[string]string{}
		cfg := localtest.Config(t)
		cfg.PasswordFile = password
		s, err := local.NewClickHouse(cfg)
		if err != nil {
			t.Fatal(err)
		}
		servers = append(servers, s)
		c.user = "'" + local.User + "', " + clickhouse.QuoteText(s.Password())
		proxy := clickhousetest.NewProxy(t, s.NativeAddr())
		c.proxies = append(c.proxies, proxy)
		host, port, _ := net.SplitHostPort(proxy.Addr)
		priority := 1
		if priorities != nil {
			priority = priorities[i%replicas]
		}
		list[i/replicas] += fmt.Sprintf("<replica><host>%s</host><port>%s</port><user>%s</user><password>%s</password>"+
			"<priority>%d</priority></replica>", host, port, local.User, s.Password(), priority)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	for i, s := range servers {
		config := fmt.Sprintf("<clickhouse><macros><shard>%d</shard><replica>%d</replica></macros>"+
			"<remote_servers><%s>", i/replicas+1, i%replicas+1, clusterName)
		for _, replicas := range list {
			config += "<shard><internal_replication>true</internal_replication>" + replicas + "</shard>"
		}
		config += "</" + clusterName + "></remote_servers></clickhouse>"
		dir := filepath.Join(s.Dir(), "config.d")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "cluster.xml"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		running.Go(func() { s.Run(ctx) })
	}
	for _, s := range servers {
		if err := s.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
		c.direct = append(c.direct, c.dsn(s.DSN(clusterDatabase)))
	}
	c.migrate()
	return c
}

func (c *cluster) dsn(text string) *clickhouse.DSN {
	c.t.Helper()
	dsn, err := clickhouse.ParseDSN(text)
	if err != nil {
		c.t.Fatal(err)
	}
	return dsn
}

// migrate makes the tables of a cluster on each server, without what the engine lacks.
func (c *cluster) migrate() {
	c.t.Helper()
	migrations, err := clickhouse.Render(schema.Migrations, clusterDatabase, clusterName)
	if err != nil {
		c.t.Fatal(err)
	}
	for i := range c.direct {
		bare := *c.direct[i]
		bare.Database = "default"
		c.exec(&bare, "CREATE DATABASE "+clusterDatabase)
	}
	for _, m := range migrations {
		for _, statement := range m.Statements {
			statement = onCluster.ReplaceAllString(replicated.ReplaceAllString(statement, "$1("), "")
			for _, dsn := range c.direct {
				c.exec(dsn, statement)
			}
		}
	}
}

func (c *cluster) exec(dsn *clickhouse.DSN, statement string) {
	c.t.Helper()
	conn, err := dsn.Open()
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Exec(c.t.Context(), statement); err != nil {
		c.t.Fatalf("%.200s: %v", statement, err)
	}
}

// through returns the DSN of the cluster as exports use it, at a server, with its barrier.
func (c *cluster) through(server int) *clickhouse.DSN {
	d := c.direct[server]
	return d.Behind(clickhouse.Replicas(d, clusterName, c.sync))
}

var errLags = errors.New("the replica lags, as the test wants")

// sync is what replication does: the server of a client gets the rows of its shard's other server. One that
// lags does not get them in time.
func (c *cluster) sync(ctx context.Context, client *ch.Client, table string) error {
	if c.replicas == 1 {
		return nil
	}
	name, err := clickhouse.ReadTexts(ctx, client,
		clickhouse.Query{SQL: "SELECT concat(getMacro('shard'), getMacro('replica'))"})
	if err != nil {
		return err
	}
	i := slices.Index([]string{"11", "12", "21", "22"}, name[0])
	if c.lags[i].Load() {
		return errLags
	}
	return c.copyRows(ctx, client, i^1, table)
}

// copyRows copies the rows of a table that a server lacks from another one, past its proxy: what a server had sent
// before it died arrives.
func (c *cluster) copyRows(ctx context.Context, client *ch.Client, from int, table string) error {
	d := c.direct[from]
	c.copying[from].Lock()
	defer c.copying[from].Unlock()
	other, err := d.Dial(ctx)
	if err != nil {
		return err
	}
	defer other.Close()
	rows, err := clickhouse.ReadTexts(ctx, other, clickhouse.Query{SQL: "SELECT toString(count()) FROM " + table})
	if err != nil || c.copied[from][table] == rows[0] {
		return err
	}
	columns, err := clickhouse.ReadTexts(ctx, client, clickhouse.Query{SQL: "SELECT name FROM system.columns " +
		"WHERE database = '" + clusterDatabase + "' AND table = '" + table + "' AND default_kind NOT IN ('MATERIALIZED', 'ALIAS') ORDER BY position"})
	if err != nil {
		return err
	}
	list := strings.Join(columns, ", ")
	err = clickhouse.Do(ctx, client, ch.Query{Body: "INSERT INTO " + table + " (" + list + ") SELECT " + list +
		" FROM remote('" + d.Addr() + "', '" + clusterDatabase + "', '" + table + "', " + c.user + ") EXCEPT SELECT " + list + " FROM " + table})
	if err == nil {
		c.copied[from][table] = rows[0]
	}
	return err
}

// Each purpose has the same records on a cluster whose replicas lag or are dead as on one server, read at once and
// in windows.
func TestAClusterWhoseReplicasLagExportsWhatOneServerDoes(t *testing.T) {
	notShort(t)
	t.Parallel()
	c := newCluster(t, 2, 2)
	one, many := newFlow(t), newFlow(t)
	many.dsn = c.through(1)
	insertEverything(one, 0, 90)
	c.proxies[2].Refuse() // so that the first replica of shard 2 lacks the rows
	insertEverything(many, 0, 90)
	c.proxies[2].Pass()
	requests := map[string]string{}
	for _, purpose := range []string{export.ExportDataset, export.RecipeEvaluation, export.NodeEvaluation,
		export.NodeOptimization, export.FineTuning} {
		fields := limit1000
		switch {
		case strings.HasPrefix(purpose, "node_"):
			fields += `,"nodes":["solve"]`
		case purpose == export.ExportDataset:
			fields += withNodes
		}
		for _, way := range []string{"direct", "windows"} {
			id := purpose + "." + way
			text := strings.Replace(request(id, fields), "export_dataset", purpose, 1)
			if way == "windows" {
				text = strings.Replace(text, `"selection"`, `"fragment":{"max_records":10},"selection"`, 1)
			}
			requests[id] = text
		}
	}
	for _, f := range []*flow{one, many} {
		f.windowRecords = 20
	}
	one.start()
	// Of shard 1 the first replica is dead, so that the second one is read, which lacks the rows until it catches up.
	// Of shard 2 the first one lags until an export has said so.
	c.proxies[0].Refuse()
	c.lags[2].Store(true)
	var dying atomic.Bool
	many.failpoint = func(at, point string) error {
		if at == export.StageExtract && point == extract.InsideWindow && dying.CompareAndSwap(true, false) {
			c.proxies[2].Refuse()
		}
		return nil
	}
	many.start()
	for _, text := range requests {
		one.send(text)
		many.send(text)
	}
	many.poll("an export that waits", func() bool {
		for id := range requests {
			for _, p := range many.progress(id) {
				if p.Retrying != nil && p.Retrying.Code == export.ReplicaBehind {
					return true
				}
			}
		}
		return false
	})
	for id := range requests {
		if got := many.completions(id); len(got) > 0 {
			t.Fatalf("%s ended while a shard lagged: %s", id, describe(got[0]))
		}
	}
	c.lags[2].Store(false)
	for _, f := range []*flow{one, many} {
		ended := func() (n int) {
			for id := range requests {
				n += len(f.completions(id))
			}
			return n
		}
		for n := ended(); n < len(requests); n = ended() {
			f.poll("the next export that ends", func() bool { return ended() > n })
		}
	}
	for id, text := range requests {
		r, err := export.ParseRequest([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		d, err := dryrun.Run(t.Context(), many.dsn, r, 1000)
		if err != nil {
			t.Fatalf("a dry run of %s: %v", id, err)
		}
		if got := many.sameAs(one, id); d.Rows != got.RowsPlanned {
			t.Errorf("%s: a dry run has %d rows, want %d", id, d.Rows, got.RowsPlanned)
		}
	}

	// What is stored while another server is dead is exported, although one more dies meanwhile. An export of what
	// arrived in March has just that.
	c.proxies[0].Pass()
	c.proxies[1].Refuse()
	for i, f := range []*flow{one, many} {
		insertEverything(f, 90, 140)
		servers := [][]*clickhouse.DSN{{one.dsn}, c.direct}[i]
		for _, dsn := range servers {
			table := []string{"runs", "runs_shard"}[i]
			c.exec(dsn, "ALTER TABLE "+table+" UPDATE ingested_at = '2026-03-05' WHERE startsWith(run_id, 'run-0000') "+
				"SETTINGS mutations_sync = 1")
		}
		f.send(request("march", `,"fragment":{"max_records":2},"selection":{"window":{"by":"ingested_at",`+
			`"from":"2026-03-01T00:00:00Z","to":"2026-04-01T00:00:00Z"}}`))
	}
	if c := many.sameAs(one, "march"); c.Records != 6 {
		t.Errorf("%d records of March, want the 6 that were not judged since", c.Records)
	}
	// Runs that were deleted are not exported.
	dying.Store(true)
	for i, f := range []*flow{one, many} {
		for _, dsn := range [][]*clickhouse.DSN{{one.dsn}, c.direct}[i] {
			c.exec(dsn, "DELETE FROM "+[]string{"runs", "runs_shard"}[i]+" WHERE endsWith(run_id, '7')")
		}
		f.send(request("all", `,"fragment":{"max_records":10}`+limit1000))
	}
	if c := many.sameAs(one, "all"); c.Records != 126 {
		t.Errorf("%d records, want 126", c.Records)
	}
	if dying.Load() {
		t.Error("no server died")
	}
}

// sameAs waits for an export of both flows, and checks that it has the same records.
func (f *flow) sameAs(other *flow, id string) *export.Completion {
	f.t.Helper()
	other.poll(id, func() bool { return len(other.completions(id)) > 0 })
	f.poll(id, func() bool { return len(f.completions(id)) > 0 })
	want, got := other.completions(id)[0], f.completions(id)[0]
	if got.Status != export.StatusSucceeded || got.Records == 0 || got.Records != want.Records || got.Vanished != 0 ||
		!bytes.Equal(f.data(got), other.data(want)) {
		f.t.Errorf("%s: %s with %d records, want %s with %d", id, describe(got), got.Records, describe(want), want.Records)
	}
	return got
}

// data returns the records of an export, sorted.
func (f *flow) data(c *export.Completion) []byte {
	f.t.Helper()
	m, _ := f.verify(c)
	var lines [][]byte
	for _, file := range m.Files {
		if file.Kind == export.Data {
			body, err := f.bucket.Read(f.t.Context(), "exports/"+c.String()+"/"+file.Key)
			if err != nil {
				f.t.Fatal(err)
			}
			lines = append(lines, bytes.Split(bytes.TrimSpace(body), []byte("\n"))...)
		}
	}
	slices.SortFunc(lines, bytes.Compare)
	return bytes.Join(lines, []byte("\n"))
}
