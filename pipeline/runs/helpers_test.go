package runs_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// object is a JSON object: each key's value is a JSON text.
type object map[string]string

// with returns a copy with one field added, or removed if the value is "".
func (o object) with(key, value string) object {
	o = maps.Clone(o)
	if o[key] = value; value == "" {
		delete(o, key)
	}
	return o
}

func (o object) String() string {
	var b strings.Builder
	b.WriteByte('{')
	for i, key := range slices.Sorted(maps.Keys(o)) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quote(key) + ":" + o[key])
	}
	b.WriteByte('}')
	return b.String()
}

// minimal has the least event of each type.
var minimal = map[string]object{
	runs.TypeRun: {
		"workspace_id": `"acme"`, "run_id": `"r1"`, "source": `"recipe"`, "app_id": `"a1"`,
		"started_at": `"2026-01-31T10:00:00Z"`, "status": `"running"`,
	},
	runs.TypeNode: {
		"workspace_id": `"acme"`, "run_id": `"r1"`, "node_run_id": `"n1"`, "source": `"recipe"`, "app_id": `"a1"`,
		"node_id":    `"solve"`,
		"started_at": `"2026-01-31T10:00:00Z"`, "status": `"running"`,
	},
	runs.TypeFeedback: {"workspace_id": `"acme"`, "run_id": `"r1"`, "feedback_id": `"f1"`, "rating": `"thumbsUp"`},
}

// eventTime is the time of the tests' events.
var eventTime = time.Date(2026, 1, 31, 12, 0, 0, 123_456_000, time.UTC)

// latest is the latest updated_at that decode accepts.
var latest = time.Date(2197, 1, 1, 0, 0, 0, 0, time.UTC)

func decode(eventType, data string) (runs.Event, error) {
	d := runs.Decoder{Latest: latest}
	return d.Decode(eventType, []byte(data), "", eventTime)
}

// mustDecode decodes an event that the contract allows.
func mustDecode[E runs.Event](t *testing.T, o object) E {
	t.Helper()
	var e E
	decoded, err := decode(e.Type(), o.String())
	if err != nil {
		t.Fatal(err)
	}
	return decoded.(E)
}

// checkRefusal checks an error against a code ("" = none) and a pointer.
func checkRefusal(t *testing.T, err error, code strictjson.Code, pointer string) {
	t.Helper()
	if code == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	var refusal *strictjson.Refusal
	if !errors.As(err, &refusal) {
		t.Errorf("got %v, want %s at %q", err, code, pointer)
		return
	}
	if refusal.Code != code || refusal.Pointer != pointer {
		t.Errorf("got %s at %q (%s), want %s at %q", refusal.Code, refusal.Pointer, refusal.Rule, code, pointer)
	}
}

// quote returns a JSON string.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// nested returns an array in an array …, depth deep.
func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func ptr[T any](v T) *T { return &v }
