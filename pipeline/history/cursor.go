package history

import (
	"encoding/base64"
	"encoding/binary"
	"regexp"
	"strings"

	"github.com/millrace/millrace/pipeline/runs"
)

// key is the sort key of a run without its workspace. Lists descend by its fields, in this order.
// run_id alone identifies a run in its workspace. A snapshot with another key moves the run in the list.
type key struct {
	started int64 // milliseconds since 1970
	run     string
	source  string
	app     string
}

// cursorVersion is the first byte of a cursor. The key of the last run of the page follows: 8 bytes
// of started_at, then run_id, source and app_id, separated by NUL, which no id contains.
const cursorVersion = 1

// cursor returns the cursor to the runs after k.
func (k key) cursor() string {
	b := binary.BigEndian.AppendUint64([]byte{cursorVersion}, uint64(k.started))
	b = append(b, k.run+"\x00"+k.source+"\x00"+k.app...)
	return base64.RawURLEncoding.EncodeToString(b)
}

var (
	idRule = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}$`)
	endsAt = runs.EndTime().UnixMilli()
)

// parseCursor is the inverse of cursor. Each key has exactly one text, and no other text is a
// cursor.
func parseCursor(text string) (k key, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") || len(b) < 9 || b[0] != cursorVersion {
		return key{}, ErrCursor
	}
	parts := strings.Split(string(b[9:]), "\x00")
	if len(parts) != 3 {
		return key{}, ErrCursor
	}
	k = key{int64(binary.BigEndian.Uint64(b[1:9])), parts[0], parts[1], parts[2]}
	if k.started < 0 || k.started >= endsAt || !idRule.MatchString(k.run) || !idRule.MatchString(k.source) ||
		!idRule.MatchString(k.app) {
		return key{}, ErrCursor
	}
	return k, nil
}
