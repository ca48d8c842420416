// Package clickhousetest gives tests a database of ClickHouse, a server that refuses every client,
// and a proxy that breaks.
package clickhousetest

import (
	"encoding/binary"
	"net"
	"testing"
)

// Refuse starts a server that answers the greeting of every client with an error, as ClickHouse
// answers a wrong password (516) or an unknown database (81). It returns its host:port. The
// embedded engine cannot stand in: it crashes.
func Refuse(t testing.TB, code int32, message string) string {
	t.Helper()
	listener := listen(t)
	// The packet of an exception: its kind, then code, name, message, stack trace, and no nested
	// one.
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
				conn.Read(make([]byte, 4096)) //nolint:errcheck // the greeting does not matter
				conn.Write(answer)            //nolint:errcheck // the client may have closed the connection
				conn.Read(make([]byte, 1))    //nolint:errcheck // until the client closes the connection
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
