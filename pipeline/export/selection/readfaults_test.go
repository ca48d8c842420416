package selection

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/google/uuid"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/clickhouse/clickhousetest"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

// Invariant 5: a cut stream is an error.
func TestAStreamCutAnywhereIsAnError(t *testing.T) {
	t.Parallel()
	dsn := clickhousetest.Database(t)
	exec(t, dsn, insertRuns...)
	const n = 3000
	read := func(c *cut, prepare func(), silence time.Duration) (int, error) {
		client := dial(t, c.dsn(t, dsn))
		prepare()
		return readRows(t.Context(), client, RowQuery{Query: clickhouse.Query{
			SQL: numbered(n, ""),
			Settings: append(ReadSettings("a test", time.Minute, 0), ch.SettingInt("max_block_size", 100),
				ch.SettingInt("min_joined_block_size_rows", 0), ch.SettingInt("min_joined_block_size_bytes", 0)),
		}}, patience{silence: silence, hangUp: time.Millisecond}, func(*record.Row) error { return nil })
	}
	whole := newCut(t, dsn.Addr())
	if rows, err := read(whole, func() {}, time.Minute); rows != n || err != nil {
		t.Fatalf("uncut: %d rows, %v", rows, err)
	}
	began := 0
	for i := range int64(30) {
		c := newCut(t, dsn.Addr())
		rows, err := read(c, func() {
			c.cutAfter(whole.passed() * i / 34) // the answers differ a little, in their packets of progress
		}, time.Minute)
		if err == nil || clickhouse.Classify(err) != clickhouse.Retry {
			t.Errorf("cut after %d bytes: %d rows, %v", c.passed(), rows, err)
		}
		if rows > 0 {
			began++
		}
	}
	if began < 15 {
		t.Errorf("only %d of the cuts were among the rows", began)
	}
	t.Run("before its last byte", func(t *testing.T) {
		c := newCut(t, dsn.Addr())
		if rows, err := read(c, c.withholdLast, time.Second); rows != n || !errors.Is(err, errSilent) {
			t.Errorf("%d rows, %v", rows, err)
		}
	})
}

func TestAQueryThatFailsMidwayIsAnError(t *testing.T) {
	t.Parallel()
	dsn := clickhousetest.Database(t)
	exec(t, dsn, insertRuns...)
	client := dial(t, dsn)
	rows, err := ReadRows(t.Context(), client, RowQuery{Query: clickhouse.Query{
		ID:  uuid.NewString(),
		SQL: numbered(200_000, "WHERE NOT throwIf(number = 150000, 'late')"),
		Settings: append(ReadSettings("a test", time.Minute, 0), ch.SettingInt("max_block_size", 100),
			ch.SettingInt("max_threads", 1)),
	}}, func(*record.Row) error { return nil })
	if clickhouse.Code(err) != 395 || rows == 0 {
		t.Errorf("%d rows, %v", rows, err)
	}
	if client.IsClosed() {
		t.Error("the client cannot be used again")
	}
	if rows, err := ReadRows(t.Context(), client, RowQuery{Query: clickhouse.Query{SQL: numbered(10, "")}},
		func(*record.Row) error { return nil }); rows != 10 || err != nil {
		t.Errorf("the next query: %d rows, %v", rows, err)
	}
}

func TestAnErrorOfTheCallbackStopsTheQuery(t *testing.T) {
	t.Parallel()
	dsn := clickhousetest.Database(t)
	exec(t, dsn, insertRuns...)
	client := dial(t, dsn)
	full := errors.New("disk full")
	rows, err := ReadRows(t.Context(), client, RowQuery{Query: clickhouse.Query{
		SQL:      numbered(1_000_000_000, ""), // would take minutes
		Settings: ReadSettings("a test", time.Minute, 0),
	}}, func(row *record.Row) error {
		if string(row.RunID) >= "5" {
			return full
		}
		return nil
	})
	if !errors.Is(err, full) || err.Error() != full.Error() || rows == 0 {
		t.Errorf("%d rows, %v", rows, err)
	}
	if !client.IsClosed() {
		t.Error("the connection is open, in the middle of a stream")
	}
}

func TestACancelledReadReturnsAtOnce(t *testing.T) {
	t.Parallel()
	dsn := clickhousetest.Database(t)
	exec(t, dsn, insertRuns...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := ReadRows(ctx, dial(t, dsn), RowQuery{Query: clickhouse.Query{
		SQL:      numbered(1_000_000_000, ""),
		Settings: ReadSettings("a test", time.Minute, 0),
	}}, func(*record.Row) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// The network drops packets: no error ever comes from it.
func TestAServerThatGoesSilentIsGivenUp(t *testing.T) {
	t.Parallel()
	dsn := clickhousetest.Database(t)
	exec(t, dsn, insertRuns...)
	for _, after := range []int64{0, 40_000} { // before the first packet of the answer, and inside of a block
		c := newCut(t, dsn.Addr())
		client := dial(t, c.dsn(t, dsn))
		c.silentAfter(after)
		_, err := readRows(t.Context(), client, RowQuery{Query: clickhouse.Query{SQL: numbered(100_000, "")}},
			patience{silence: 300 * time.Millisecond, hangUp: 10 * time.Millisecond}, func(*record.Row) error { return nil })
		if !errors.Is(err, errSilent) || clickhouse.Classify(err) != clickhouse.Retry {
			t.Errorf("silent after %d bytes: %v", after, err)
		}
	}
}

// A slow callback, an upload that hangs for a while, is not a silent server.
func TestASlowCallbackIsNotASilentServer(t *testing.T) {
	t.Parallel()
	dsn := clickhousetest.Database(t)
	exec(t, dsn, insertRuns...)
	slow := time.NewTimer(2500 * time.Millisecond)
	rows, err := readRows(t.Context(), dial(t, dsn), RowQuery{Query: clickhouse.Query{SQL: numbered(1000, "")}},
		patience{silence: 2 * time.Second, hangUp: time.Second}, func(row *record.Row) error {
			if string(row.RunID) == "500" {
				<-slow.C
			}
			return nil
		})
	if rows != 1000 || err != nil {
		t.Errorf("%d rows, %v", rows, err)
	}
}

// cut is a relay of one connection to a server that does not send the whole answer. The server sees
// a client that hangs up in order.
type cut struct {
	addr string

	mu       sync.Mutex
	sent     int64 // bytes of the answer
	limit    int64 // how many may be sent
	silent   bool  // at the limit, send nothing more instead of closing
	withhold bool  // send the last byte only when another follows
}

func newCut(t *testing.T, target string) *cut {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cut{addr: listener.Addr().String(), limit: math.MaxInt64}
	t.Cleanup(func() { listener.Close() })
	go func() {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		defer client.Close()
		server, err := net.Dial("tcp", target)
		if err != nil {
			t.Error(err)
			return
		}
		defer server.Close()
		c.relay(client, server)
	}()
	return c
}

func (c *cut) relay(client, server net.Conn) {
	clientDone := make(chan struct{})
	go func() {
		defer close(clientDone)
		_, _ = io.Copy(server, client)
		_ = server.(*net.TCPConn).CloseWrite()
	}()
	buf := make([]byte, 4096)
	held := 0 // bytes at the start of buf that were withheld
	for {
		n, err := server.Read(buf[held:])
		n += held
		if held = 0; c.withholds() && n > 0 {
			n--
			held = 1
		}
		allowed, silent := c.allow(n)
		_, writeErr := client.Write(buf[:allowed])
		copy(buf, buf[n:n+held])
		switch {
		case silent:
			<-clientDone
			return
		case err != nil, writeErr != nil, allowed < n:
			client.Close()
			_, _ = io.Copy(io.Discard, server)
			return
		}
	}
}

func (c *cut) cutAfter(bytes int64) { c.change(func() { c.limit = c.sent + bytes }) }
func (c *cut) silentAfter(bytes int64) {
	c.change(func() { c.limit, c.silent = c.sent+bytes, true })
}
func (c *cut) withholdLast() { c.change(func() { c.withhold = true }) }

func (c *cut) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func (c *cut) passed() (n int64) {
	c.change(func() { n = c.sent })
	return n
}

func (c *cut) withholds() (yes bool) {
	c.change(func() { yes = c.withhold })
	return yes
}

// allow returns how many of n bytes may be sent, and whether nothing is to follow them in silence.
func (c *cut) allow(n int) (allowed int, silent bool) {
	c.change(func() {
		allowed = int(min(int64(n), c.limit-c.sent))
		c.sent += int64(allowed)
		silent = c.silent && allowed < n
	})
	return allowed, silent
}

// dsn is that of the server behind the relay.
func (c *cut) dsn(t *testing.T, server *clickhouse.DSN) *clickhouse.DSN {
	t.Helper()
	dsn, err := clickhouse.ParseDSN(localtest.ClickHouse(t).DSNAt(c.addr, server.Database))
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}
