package secured

import (
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// The doctor knows what its own user may do, and what it may look at.
func TestTheDoctorNamesRightsThatARoleLacks(t *testing.T) {
	t.Parallel()
	s := e2etest.NewSite(t)
	ingest := documented(t, s, "ingest")
	var lacking right
	fewer := slices.DeleteFunc(slices.Clone(ingest), func(r right) bool {
		if r.kind == "group" {
			lacking = r
		}
		return r.kind == "group"
	})
	for name, c := range map[string]struct {
		rights []right
		flags  []string
		code   int // where it is known
		texts  []string
	}{
		"all rights of ingest": {ingest, []string{"--role", "ingest"}, 0, []string{"the Kafka user has the rights of ingest"}},
		"without the flag":     {ingest, nil, 0, []string{"the Kafka user has the rights of ingest"}},
		"one right is missing": {fewer, nil, e2etest.ExitFailed, []string{"lacks 1 rights of the role ingest",
			"grant " + lacking.String()}},
		"rights of another role": {ingest, []string{"--role", "serve"}, e2etest.ExitFailed, []string{"rights of the role serve",
			"WRITE on topic " + s.Prefix + "audit"}},
		"a user of its own": {documented(t, s, "doctor"), nil, 0, []string{"the Kafka user has the rights of no role",
			"topics are as `millrace topics` makes them",
			"the clock of Kafka's controller is that of this machine"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := environment(t, s, c.rights).Try(t, "", append([]string{"doctor"}, c.flags...)...)
			if c.code != 0 && got.Code != c.code {
				t.Errorf("exit code %d", got.Code)
			}
			for _, text := range c.texts {
				if !strings.Contains(got.Stdout, text) {
					t.Errorf("no %q in\n%s%s", text, got.Stdout, got.Stderr)
				}
			}
		})
	}
}
