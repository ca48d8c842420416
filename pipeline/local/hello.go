package local

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// doorkeeper reads the hello of a native client before the server does. It refuses clients that the
// server would refuse: a wrong user, a missing database, another protocol. The embedded engine
// would also answer such a client, but would then abort, because it does not survive an exception
// in the handshake. (It survives an error in a query.)
//
// A hello has these parts: varint 0; the client's name; the major, minor and revision of its
// version as varints; the database; the user; the password. Each string follows its length as a
// varint. See clickhouse.com/docs/native-protocol/client.
type doorkeeper struct {
	password   string                       // of User
	noPassword bool                         // let user default in too
	http       *atomic.Pointer[net.TCPAddr] // HTTP address of the server, to ask about databases
}

const (
	// maxHello bounds a hello in bytes. It is many times the longest name or password that
	// ClickHouse allows.
	maxHello = 16 << 10

	// helloTime is how long a client may take to send its hello.
	helloTime = time.Minute
)

// Error codes of ClickHouse, from src/Common/ErrorCodes.cpp.
const (
	codeUnknownDatabase      = 81
	codeUnexpectedPacket     = 101
	codeAuthenticationFailed = 516
)

// refusal is the error that the server would have answered with.
type refusal struct {
	code    int32
	message string
}

func (r *refusal) Error() string { return r.message }

// errShort means that the rest of the hello has not arrived yet.
var errShort = errors.New("the hello is not complete")

// admit returns the bytes that an accepted client has sent so far, at least its whole hello, to be
// passed to the server. If ok is false, the client was refused and has got its answer.
func (d doorkeeper) admit(client *net.TCPConn) (first []byte, ok bool) {
	_ = client.SetReadDeadline(time.Now().Add(helloTime))
	buf := make([]byte, 0, 512)
	var h hello
	err := errShort
	for errors.Is(err, errShort) {
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, 2*cap(buf)), buf...)
		}
		n, readErr := client.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if h, err = parseHello(buf); errors.Is(err, errShort) && readErr != nil {
			return nil, false
		}
	}
	_ = client.SetReadDeadline(time.Time{})
	if err == nil {
		err = d.check(h)
	}
	var refused *refusal
	switch {
	case err == nil:
		return buf, true
	case errors.As(err, &refused):
		_, _ = client.Write(refused.packet(buf))
		_ = client.CloseWrite()
		_ = client.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.Copy(io.Discard, client)
	}
	return nil, false
}

type hello struct{ database, user, password string }

func parseHello(b []byte) (h hello, err error) {
	if len(b) > 0 && b[0] != 0 {
		return h, &refusal{codeUnexpectedPacket, fmt.Sprintf("Unexpected packet from client (expected Hello, got %d)", b[0])}
	}
	number := func() (v uint64) {
		if err != nil {
			return 0
		}
		v, n := binary.Uvarint(b)
		switch {
		case n == 0:
			err = errShort
		case n < 0:
			err = &refusal{codeUnexpectedPacket, "Unexpected packet from client (a number of its hello is too large)"}
		default:
			b = b[n:]
		}
		return v
	}
	text := func() (s string) {
		n := number()
		switch {
		case err != nil:
		case n > maxHello:
			err = &refusal{codeUnexpectedPacket, "Unexpected packet from client (a string of its hello is too large)"}
		case n > uint64(len(b)):
			err = errShort
		default:
			s, b = string(b[:n]), b[n:]
		}
		return s
	}
	size := len(b)
	number() // the packet's type
	text()   // the client's name
	number() // its version
	number()
	number()
	h.database, h.user, h.password = text(), text(), text()
	if errors.Is(err, errShort) && size > maxHello {
		err = &refusal{codeUnexpectedPacket, "Unexpected packet from client (its hello is too large)"}
	}
	return h, err
}

// check returns a refusal if the server would refuse the client.
func (d doorkeeper) check(h hello) error {
	known := h.user == User && subtle.ConstantTimeCompare([]byte(h.password), []byte(d.password)) == 1
	guest := d.noPassword && (h.user == "" || h.user == "default") && h.password == ""
	if !known && !guest {
		return &refusal{codeAuthenticationFailed, h.user +
			": Authentication failed: the password is wrong, or the user is not " + User}
	}
	if h.database == "" {
		return nil
	}
	addr := d.http.Load()
	if addr == nil {
		return errors.New("there is no server now")
	}
	// The value of a query parameter must be escaped like a TSV field.
	escaped := strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`, "\x00", `\0`, "\b", `\b`, "\f", `\f`).
		Replace(h.database)
	found, err := ask(context.Background(), addr, d.password, url.Values{
		"query":      {"SELECT count() FROM system.databases WHERE name = {name:String}"},
		"param_name": {escaped},
	})
	if err != nil {
		return err
	}
	if found == "0" {
		return &refusal{codeUnknownDatabase, "Database " + h.database + " does not exist"}
	}
	return nil
}

// askClient sends queries to a child. It keeps no connections, since the child may be gone by the
// next query.
var askClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}

// ask sends a query to a child as User, and returns its small answer without white space around it.
func ask(ctx context.Context, addr *net.TCPAddr, password string, parameters url.Values) (string, error) {
	target := url.URL{Scheme: "http", User: url.UserPassword(User, password), Host: addr.String(), Path: "/",
		RawQuery: parameters.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return "", err
	}
	resp, err := askClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("ask the embedded ClickHouse: %s", resp.Status)
	}
	return strings.TrimSpace(string(body)), err
}

// packet returns the refusal in the client's protocol, which is recognised by the client's first
// bytes: an exception packet, or an HTTP answer for HTTP clients.
func (r *refusal) packet(first []byte) []byte {
	if len(first) > 0 && (first[0] == 'G' || first[0] == 'P') {
		return []byte("HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n" +
			"This port is for ClickHouse's native protocol; HTTP has a port of its own.\n")
	}
	text := func(b []byte, s string) []byte { return append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	b := []byte{2} // Exception
	b = binary.LittleEndian.AppendUint32(b, uint32(r.code))
	b = text(b, "DB::Exception")
	b = text(b, "DB::Exception: "+r.message)
	b = text(b, "")     // stack trace
	return append(b, 0) // no nested exception
}
