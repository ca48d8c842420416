package local

import (
	"encoding/binary"
	"errors"
	"testing"
)

func helloOf(database, user, password string) []byte {
	text := func(b []byte, s string) []byte { return append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	b := text([]byte{0}, "a client")
	for _, v := range []uint64{24, 300, 54459} { // its version
		b = binary.AppendUvarint(b, v)
	}
	return text(text(text(b, database), user), password)
}

func TestAHelloIsReadInAnyNumberOfPieces(t *testing.T) {
	t.Parallel()
	whole := helloOf("a database", "somebody", "secret")
	want := hello{"a database", "somebody", "secret"}
	for n := range whole {
		if _, err := parseHello(whole[:n]); !errors.Is(err, errShort) {
			t.Fatalf("after %d of %d bytes: %v, want errShort", n, len(whole), err)
		}
	}
	for _, more := range []string{"", "what follows it"} {
		if got, err := parseHello(append(whole, more...)); err != nil || got != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
}

// For every input, parseHello must return a hello, a refusal or errShort. It must not return
// errShort for more than maxHello bytes.
func FuzzParseHello(f *testing.F) {
	f.Add(helloOf("d", "default", ""))
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := parseHello(b)
		var refused *refusal
		switch {
		case err == nil, errors.As(err, &refused):
		case !errors.Is(err, errShort):
			t.Errorf("%v is neither a refusal nor errShort", err)
		case len(b) > maxHello:
			t.Errorf("%d bytes are still too short", len(b))
		}
	})
}
