package event_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/strictjson"
	"github.com/millrace/millrace/schemas/events"
)

func TestSchemasNameTheLimitsOfSizes(t *testing.T) {
	t.Parallel()
	want := fmt.Sprintf("a string over %d MiB counted in bytes, an event over %d MiB,", strictjson.MaxString>>20,
		event.MaxValue>>20)
	for _, name := range []string{"run", "node", "feedback", "export.requested", "export.cancelled"} {
		schema, _ := events.Schema("dev.millrace." + name + ".v1")
		if !bytes.Contains(schema, []byte(want)) {
			t.Errorf("%s does not say: %s", name, want)
		}
	}
}
