// Package clickhousetest gives tests a database of ClickHouse, a server that refuses every client, and a proxy
// that breaks.
package clickhousetest

import (
	"encoding/binary"
	"net"
	"testing"
)

// Refuse starts a server that answers every client's greeting with an error, as ClickHouse answers a
// wrong password (516) or an unknown database (81), and returns its host:port. The embedded engine
// cannot be used for that: it dies of it.
func Refuse(t testing.TB, code int32, message string) string {
	t.Helper()
	listener := listen(t)
	// The packet of an exception: its kind, then code, name, message, stack trace, and no nested one.
	answer := binary.LittleEndian.AppendUint32([]byte{2}, uint32(code))
	for _, s := range []string{"DB::Exception", message, ""} {
		answer = binary.AppendUvarint(answer, uint64(len(s)))
		answer = append(answer, s...)
	}
	answer = append(answer, 0)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				conn.Read(make([]byte, 4096)) //nolint:errcheck // whatever it says
				conn.Write(answer)            //nolint:errcheck // it may have gone
				conn.Read(make([]byte, 1))    //nolint:errcheck // until it goes
			}()
		}
	}()
	return listener.Addr().String()
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}
