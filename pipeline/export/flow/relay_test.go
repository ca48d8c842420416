package flow_test

import (
	"io"
	"net"
	"sync/atomic"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

// relay starts a relay to a ClickHouse server and returns its DSN. It calls reached for each
// connection on which the server has sent limit bytes, and cuts the connection where reached
// returns false.
func (f *flow) relay(server string, limit int64, reached func() bool) *clickhouse.DSN {
	f.t.Helper()
	return f.tapped(server, io.Discard, limit, reached)
}

// tapped is relay, and writes to tap what clients send.
func (f *flow) tapped(server string, tap io.Writer, limit int64, reached func() bool) *clickhouse.DSN {
	f.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { l.Close() })
	serve := func(client net.Conn) {
		defer client.Close()
		s, err := net.Dial("tcp", server)
		if err != nil {
			return
		}
		defer s.Close()
		go io.Copy(s, io.TeeReader(client, tap))
		if n, _ := io.CopyN(client, s, limit); n == limit && reached() {
			io.Copy(client, s)
		}
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go serve(client)
		}
	}()
	dsn, err := clickhouse.ParseDSN(localtest.ClickHouse(f.t).DSNAt(l.Addr().String(), f.dsn.Database))
	if err != nil {
		f.t.Fatal(err)
	}
	return dsn
}

// cutting returns the DSN of a relay that cuts the first connections on which ClickHouse sends
// limit bytes, and counts the connections that reach the limit.
func (f *flow) cutting(server string, limit int64, times int32) (*clickhouse.DSN, *atomic.Int32) {
	f.t.Helper()
	cuts := new(atomic.Int32)
	return f.relay(server, limit, func() bool { return cuts.Add(1) > times }), cuts
}

// valve is a relay that holds the first connection on which ClickHouse sends limit bytes until open
// is closed. To the reader of a window that looks as if its process had been paused.
type valve struct {
	dsn        *clickhouse.DSN
	held, open chan struct{}
}

func (f *flow) valve(limit int64) *valve {
	f.t.Helper()
	v := &valve{held: make(chan struct{}), open: make(chan struct{})}
	var once atomic.Bool
	v.dsn = f.relay(f.dsn.Addr(), limit, func() bool {
		if once.CompareAndSwap(false, true) {
			close(v.held)
			<-v.open
		}
		return true
	})
	return v
}
